"""The stored copy of the catalogue, written by `make types`: reading it needs neither MongoEngine nor stripe-python."""

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FILE = HERE / "types.json"
MODELS = HERE.parents[1] / "models"
TABLES = ("mirrored.py", "owned.py")  # a type without a file of its own is a row in one of these


@dataclass(frozen=True)
class Entry:
    """A stored kind."""

    kind: str
    collection: str
    created_here: bool  # as opposed to mirrored
    actions: tuple[str, ...]  # what callers may do, besides reading
    events: tuple[str, ...]  # the event types about it
    get: str | None  # the path that reads one object
    list: str | None  # the path that lists all objects
    owners: tuple[str, ...]  # the kinds whose objects have a list of these
    unlisted: str  # which objects no list shows, in words
    parameters: "dict[str, tuple[str, ...]]"  # what a caller may give, by verb


def read() -> "tuple[list[Entry], dict[str, str]] | None":
    """Return the catalogue and what is ignored; None if it was written for other types or another stripe-python."""
    found: dict[str, Any] = json.loads(FILE.read_text()) if FILE.exists() else {}
    if found.get("of") != _of():
        return None
    return [Entry(**each) for each in found["types"]], found["ignored"]


def text(entries: "list[Entry]", ignored: dict[str, str]) -> str:
    """Return what the file must contain; a test compares."""
    return json.dumps({"of": _of(), "types": [*map(asdict, entries)], "ignored": ignored}, indent=1) + "\n"


def _of() -> str:
    """Return a digest of our types, and of the events and the version of stripe-python."""
    library = find_spec("stripe")
    events = [
        Path(place) / name
        for place in (library and library.submodule_search_locations) or ()
        for name in ("_event.py", "_version.py")
    ]
    parts = [*(path.name.encode() for path in sorted(MODELS.glob("*.py")))]
    parts += [path.read_bytes() for path in (*(MODELS / name for name in TABLES), *events)]
    return sha256(b"\0".join(parts)).hexdigest()
