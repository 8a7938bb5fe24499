"""The rooms: no two need each other, none is crowded, each says what it is, and the built package has them all."""

import ast
import re
import tomllib

import pytest

from tests.support.rooms import PACKAGE, PRODUCT, ROOT, SERVICE, arrows, circle, drawing, folders

CROWDED = 14
TESTS = ("tests/unit", "tests/integration")  # each mirrors the rooms; what holds for all of them lies at its top
PLACES = ("models", "sync/commands")  # one file for each stored thing, and for each command
LONGEST = 300  # lines


@pytest.mark.parametrize("tops", [SERVICE, ("emulator",)], ids=" ".join)
def test_no_room_needs_one_that_needs_it(tops: tuple[str, ...]) -> None:
    assert not circle(arrows(*tops))


def test_a_circle_is_found_and_what_follows_is_not_drawn() -> None:
    assert set(circle({"a": {"b"}, "b": {"c"}, "c": {"a"}})) == {"a", "b", "c"}
    assert drawing({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == "graph TD\n    a --> b\n    b --> c"


def test_no_room_is_crowded() -> None:
    assert {name: count for name, count in folders().items() if count > CROWDED and name not in PLACES} == {}


def test_no_file_is_long() -> None:
    files = [path for top in (*PRODUCT, "demo", "bench") for path in (ROOT / top).rglob("*.py")]

    assert {str(path): lines for path in files if (lines := len(path.read_text().splitlines())) > LONGEST} == {}


@pytest.mark.parametrize("folder", folders())
def test_each_room_says_what_lives_there(folder: str) -> None:
    assert ast.get_docstring(ast.parse((ROOT / folder / "__init__.py").read_text()))


def test_the_package_that_is_built_has_every_room() -> None:
    built = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]

    assert built == [PACKAGE, *(f"{PACKAGE}.{folder.replace('/', '.')}" for folder in folders())]


@pytest.mark.parametrize("tops", [SERVICE, ("emulator",)], ids=" ".join)
def test_the_drawing_in_the_documentation_is_the_codes(tops: tuple[str, ...]) -> None:
    """`python -m tests.support.rooms` prints it."""
    assert drawing(arrows(*tops)) in (ROOT / "docs/ARCHITECTURE.md").read_text()


def test_the_tests_of_a_room_lie_under_its_path() -> None:
    found = {
        path.parent.relative_to(ROOT / top).as_posix() for top in TESTS for path in (ROOT / top).rglob("test_*.py")
    }

    assert found <= {*folders(), "demo", "."}
    assert {room for room in folders() if room.startswith("sync")} <= found


def test_each_place_that_a_change_is_sent_to_is_there() -> None:
    table = (ROOT / "CONTRIBUTING.md").read_text().partition("## Where does it go?")[2].partition("\n## ")[0]
    named = {name for name in re.findall(r"`([\w./-]+(?:/|\.py|\.md|\.txt|\.example))`", table) if "/" in name}

    assert len(named) > 40
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
