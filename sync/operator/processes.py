"""Compares the settings of all processes that run now, as each stored its own (`sync/presence.py`)."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from stripe_mongo_sync.models.state import PROCESSES, State
from stripe_mongo_sync.sync.operator.findings import Finding, Level
from stripe_mongo_sync.sync.presence import LIVE, SECRET
from stripe_mongo_sync.sync.process.screen import word

NAMED = 5  # processes of one program and machine that a finding names
HARMS = {  # what a difference does, where it loses something
    "HOOKS": "what a process without a hook changes gives that hook no notice",
    "mode": "a process ignores every event of the other mode",
    "STRIPE_WEBHOOK_SECRET": "a process refuses webhooks that others accept",
    "API_TOKENS": "a process refuses callers whom others serve",
}
SHAPE = {"program": str, "host": str, "pid": int, "settings": dict, "at": datetime}
HARM = "what is done depends on the process that does it"


@dataclass(frozen=True)
class Process:
    """A process that runs now, and its settings by their names; it has no name of what it does not need."""

    program: str
    host: str
    pid: int
    settings: dict[str, str] = field(repr=False)


def processes(now: datetime) -> list[Process]:
    """Return the processes that have shown themselves within five minutes, at MongoDB's time `now`."""
    told = (State.read(PROCESSES) or {}).get("live", {})
    found = (_read(entry) for entry in told.values() if _is_whole(entry) and entry["at"] > now - LIVE)
    return sorted(found, key=lambda process: (process.program, process.host, process.pid))


def _is_whole(entry: Any) -> bool:
    """Whether an entry is as we write it; what was edited by hand is ignored until its process renews it."""
    return isinstance(entry, dict) and all(isinstance(entry.get(name), type) for name, type in SHAPE.items())


def _read(entry: dict[str, Any]) -> Process:
    settings = {name: str(value) for name, value in entry["settings"].items()}
    return Process(entry["program"], entry["host"], entry["pid"], settings)


def count(running: list[Process]) -> dict[str, int]:
    """Return how many processes each program has."""
    return dict(Counter(process.program for process in running))


def differences(running: list[Process]) -> Iterator[Finding]:
    """Yield a finding for each setting that is not the same in all processes that have it."""
    for name in dict.fromkeys(name for process in running for name in process.settings):
        groups: dict[str, list[Process]] = defaultdict(list)
        for process in running:
            if name in process.settings:
                groups[process.settings[name]].append(process)
        if len(groups) > 1:
            spoken = "; ".join(_spoken(name, number, *group) for number, group in enumerate(groups.items(), 1))
            level = Level.PROBLEM if name in HARMS else Level.WARNING
            told = f"the processes differ in {word(name)}, so {HARMS.get(name, HARM)} ({spoken})"
            do = "give all the same, and restart those that differ; who has ended is forgotten after five minutes"
            yield Finding("processes", level, told, do)


def _spoken(name: str, number: int, value: str, group: list[Process]) -> str:
    """Return a value, or the number of a secret one, and whose it is."""
    told = f"secret {number}" if name in SECRET else ", ".join(map(word, value.split(", "))) if value else "none"
    return f"{told}: {_who(group)}"


def _who(group: list[Process]) -> str:
    pids: dict[str, list[str]] = defaultdict(list)
    for process in group:
        pids[f"{word(process.program)} on {word(process.host)}"].append(str(process.pid))
    more = {name: f" and {len(each) - NAMED} more" if len(each) > NAMED else "" for name, each in pids.items()}
    return ", ".join(f"{name} (pid {', '.join(each[:NAMED])}{more[name]})" for name, each in pids.items())
