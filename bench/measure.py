"""Measurements for every benchmark: percentiles, processor time, round trips, the baseline, and tables.

The machine may be busy, so numbers of different days cannot be compared. The measured calls and the baseline therefore
alternate, round by round, and the medians of the rounds are printed with the conditions.
"""

import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from bson import ObjectId
from pymongo import WriteConcern
from pymongo.database import Database

TICK = os.sysconf("SC_CLK_TCK")
# The commands of a service; heartbeats and the benchmark's own commands are not counted.
ASKED = ("find", "findAndModify", "insert", "update", "delete", "aggregate", "count", "getMore", "distinct")
SYNCS = 200  # fdatasync calls for the median
WARM_UP = 1  # rounds that are not counted, as connections are opened and caches are filled


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value that `percent` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def cpu_seconds(*pids: int) -> float:
    """Return the processor time of these processes so far, in user and kernel mode."""
    used = 0
    for pid in pids:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        used += int(after_name[11]) + int(after_name[12])
    return used / TICK


def cpu_seconds_below(pid: int) -> float:
    """Return the processor time so far of a process and of all that it started, ended ones too."""
    times: dict[int, int] = {}
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended
        found = int(path.parent.name)
        times[found] = sum(int(each) for each in after_name[11:15])  # its own, and of children that it waited for
        children.setdefault(int(after_name[1]), []).append(found)
    below = [pid]
    for each in below:
        below += children.get(each, [])
    return sum(times[each] for each in below) / TICK


def peak_memory(pid: int) -> float:
    """Return the peak memory of a process in MB, or 0 if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return max((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), default=0.0)


def round_trips(database: Database[Any]) -> int:
    """Return the number of commands of a service that the server has answered so far."""
    counted = database.client.admin.command("serverStatus")["metrics"]["commands"]
    return sum(int(counted[name]["total"]) for name in ASKED if name in counted)


@dataclass(frozen=True)
class Sample:
    """The numbers of one round, or the medians of several rounds."""

    per_second: float
    p50: float  # ms
    p99: float  # ms
    service: float  # processor time in ms for each call
    mongodb: float
    emulator: float  # in no ratio: it stands for Stripe, which runs elsewhere
    trips: float

    @property
    def cpu(self) -> float:
        """Return the processor time of the service and MongoDB, in ms for each call."""
        return self.service + self.mongodb


def median(samples: Sequence[Sample]) -> Sample:
    """Return the median of each number, over the rounds after the warm-up."""
    warm = samples[WARM_UP:]
    return Sample(*(statistics.median(getattr(sample, each.name) for sample in warm) for each in fields(Sample)))


@dataclass
class Meter:
    """Measures rounds: `with meter.round() as latencies:` collects the latency of each call in seconds."""

    database: Database[Any]
    mongod: int
    emulator: int
    service: Callable[[], Sequence[int]]  # the processes whose time counts as the service's
    samples: list[Sample] = field(default_factory=list)

    @contextmanager
    def round(self) -> Iterator[list[float]]:
        """Measure the block."""
        latencies: list[float] = []
        pids, trips = self.service(), round_trips(self.database)
        used = [cpu_seconds(*pids), cpu_seconds(self.mongod), cpu_seconds(self.emulator)]
        began = time.monotonic()
        yield latencies
        took, n = time.monotonic() - began, len(latencies)
        assert self.service() == pids, "a worker died meanwhile"
        since = [cpu_seconds(*pids), cpu_seconds(self.mongod), cpu_seconds(self.emulator)]
        service, mongodb, emulator = (1000 * (after - before) / n for before, after in zip(used, since, strict=True))
        self.samples.append(
            Sample(
                per_second=n / took,
                p50=1000 * percentile(latencies, 50),
                p99=1000 * percentile(latencies, 99),
                service=service,
                mongodb=mongodb,
                emulator=emulator,
                trips=(round_trips(self.database) - trips) / n,
            )
        )


def ourselves() -> Sequence[int]:
    """Return the id of this process, which is the service when it is used as a library."""
    return [os.getpid()]


def together(calls: Sequence[Callable[[], object]], threads: int) -> list[float]:
    """Make these calls from this many threads; return the latency of each in seconds."""

    def timed(call: Callable[[], object]) -> float:
        began = time.monotonic()
        call()
        return time.monotonic() - began

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(timed, calls))


def baseline(database: Database[Any], writes: int, threads: int, size: int) -> list[float]:
    """Insert rows of this size, each durable when it is acknowledged; return the latencies."""
    rows = database.get_collection("bench_baseline", write_concern=WriteConcern("majority"))
    raw = os.urandom(size)

    def write() -> object:
        return rows.insert_one({"_id": ObjectId(), "raw": raw})

    return together([write] * writes, threads)


def conditions(database: Database[Any], directory: Path, **more: object) -> str:
    """Return the conditions of a measurement, without which its numbers mean nothing."""
    probe = directory / "bench-sync"
    syncs = []
    with probe.open("wb", buffering=0) as file:
        for _ in range(SYNCS):
            began = time.monotonic()
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
            syncs.append(1000 * (time.monotonic() - began))
    probe.unlink()
    facts: dict[str, object] = {
        "cores": os.cpu_count(),
        "load": " ".join(f"{load:.1f}" for load in os.getloadavg()),
        "Python": platform.python_version(),
        "mongod": f"{database.client.server_info()['version']}, a replica set of one, w=majority, on disk",
        "fdatasync": f"{percentile(syncs, 50):.2f} ms, p99 {percentile(syncs, 99):.2f} ms",
        **more,
    }
    return " · ".join(f"{name} {value}" for name, value in facts.items())


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table as text, with numbers aligned to the right."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(row[n]) for row in [list(head), *cells]) for n in range(len(head))]
    right = [all(isinstance(row[n], int | float) for row in rows) for n in range(len(head))]

    def line(row: Sequence[str]) -> str:
        aligned = (c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True))
        return "  ".join(aligned).rstrip()

    rule = "  ".join("-" * width for width in widths)
    return "\n".join([title, "", line(list(head)), rule, *map(line, cells)])


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


HEAD = (
    *("", "per second", "p50 ms", "p99 ms", "CPU ms service", "MongoDB", "emulator", "round trips"),
    *("rate ÷ baseline", "CPU ÷ baseline"),
)


def compared(title: str, meters: Mapping[str, Meter]) -> str:
    """Return the table of the medians, with the ratio of each to the first one, the baseline."""
    medians = {name: median(meter.samples) for name, meter in meters.items()}
    baseline = next(iter(medians.values()))
    rows = [
        (
            name,
            *(getattr(m, each.name) for each in fields(m)),
            m.per_second / baseline.per_second,
            _ratio(m.cpu, baseline.cpu),
        )
        for name, m in medians.items()
    ]
    return table(title, HEAD, rows)


def _ratio(value: float, baseline: float) -> float:
    return value / baseline if baseline else math.nan  # a short round can take less than one tick of the clock
