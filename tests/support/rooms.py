"""The rooms of the product, read from its imports: `python -m tests.support.rooms` prints the drawing of them.

A room is a folder, and each file beside the rooms of `sync/` is one by itself. An arrow is an import, wherever it
stands: in a function or under TYPE_CHECKING, too.
"""

import ast
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from tests.support import ROOT

PACKAGE = "stripe_mongo_sync"
SERVICE = ("api", "ops", "webhooks", "sync", "models")
PRODUCT = (*SERVICE, "emulator")
FACADES = ("sync/__init__.py", "sync/__main__.py", "emulator/__init__.py", "emulator/__main__.py")  # above their rooms


def folders() -> dict[str, int]:
    """Return each folder of the product, with the number of its Python files."""
    found = [path.parent for top in PRODUCT for path in (ROOT / top).rglob("*.py")]
    return {folder.relative_to(ROOT).as_posix(): found.count(folder) for folder in sorted(set(found))}


@cache
def arrows(*tops: str) -> dict[str, set[str]]:
    """Return for each room below these folders the rooms that its files import."""
    files = {path.relative_to(ROOT) for top in tops for path in (ROOT / top).rglob("*.py")}
    found: dict[str, set[str]] = {}
    for file in sorted(files):
        here = room(file)
        known = {room(other) for name in imported(ROOT / file) if (other := _file_of(name, files))}
        found.setdefault(here, set()).update(known - {here})
    return found


def room(file: Path) -> str:
    """Return the room in which a file lies."""
    if file.as_posix() in FACADES:
        return f"{file.parent}/{file.name}"
    return file.with_suffix("").as_posix() if file.parent == Path("sync") else file.parent.as_posix()


def imported(file: Path) -> set[str]:
    """Return what a file imports of the package, as dotted names below it."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.removeprefix(f"{PACKAGE}.") for name in names if name.startswith(f"{PACKAGE}.")}


def _file_of(name: str, files: set[Path]) -> Path | None:
    """Return the file of a module, or of the module that has this name in it."""
    places = (name.replace(".", "/"), name.rpartition(".")[0].replace(".", "/"))
    candidates = (Path(f"{place}{end}") for place in places if place for end in (".py", "/__init__.py"))
    return next((each for each in candidates if each in files), None)


def circle(found: dict[str, set[str]]) -> list[str]:
    """Return rooms that need each other, in order; none when there is no circle."""
    try:
        TopologicalSorter(found).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def drawing(found: dict[str, set[str]]) -> str:
    """Return a Mermaid graph of the rooms, without the arrows that follow from others."""
    lines = ["graph TD"]
    for here, known in sorted(found.items()):
        further = set().union(*(_below(each, found) for each in known))
        lines += [f"    {here} --> {other}" for other in sorted(known - further)]
    return "\n".join(lines)


def _below(here: str, found: dict[str, set[str]]) -> set[str]:
    known = found.get(here, set())
    return known.union(*(_below(each, found) for each in known))


if __name__ == "__main__":
    print(drawing(arrows(*SERVICE)), drawing(arrows("emulator")), sep="\n\n")
