"""A terminal of 80 columns: what each command shows there fits, nothing is lost, and colours are optional."""

import re
from collections.abc import Callable

import pytest
from click import unstyle

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Event
from stripe_mongo_sync.sync.__main__ import main
from stripe_mongo_sync.sync.process.screen import breadth
from tests.support import samples
from tests.support.hooks import listening
from tests.support.run import Run
from tests.support.terminal import terminal
from tests.support.world import World

READERS = (
    "status",
    "operations list",
    "events list",
    "hooks list",
    "usage list",
    "endpoint list",
    "doctor",
    "types",
    "payouts",
    "indexes --dry-run",
)
Shows = Callable[..., list[str]]


@pytest.fixture
def shows(monkeypatch: pytest.MonkeyPatch) -> Shows:
    """Runs a command on a terminal, and returns the lines that are seen there."""

    def seen(line: str, width: int = 80, encoding: str = "utf-8", **environment: str) -> list[str]:
        with monkeypatch.context() as patched, terminal(patched, width, encoding) as shown:
            for name, value in environment.items():
                patched.setenv(name, value)
            main(line.split())
        return shown.lines(encoding)

    return seen


@pytest.fixture
def troubled(world: World, dead: Event) -> World:
    """A world with an entry in every list."""
    with listening("customer.active", then=lambda notice: 1 / 0):
        sync.create_customer("eve@example.com", name="Eve")
        sync.record_usage("eve@example.com", "meals")
        world.stripe.fault("cut_before", method="POST", times=None)
        sync.create_customer("pending@example.com")
        world.stripe.clear_faults()
        assert samples.create("product").send_to_review("Stripe may have made it; 查看一下. " * 10) is not None
        main(["hooks", "run", "--attempts", "1"])
    world.stripe.endpoint("https://shop.example/a/path/that/is/longer/than/a/terminal/is/wide/webhooks/stripe")
    return world


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_what_a_terminal_shows_fits_its_80_columns(troubled: World, shows: Shows, encoding: str) -> None:
    for line in READERS:
        lines = shows(line, encoding=encoding)

        assert lines, line
        for each in map(unstyle, lines):
            assert breadth(each) <= 80, (line, each)


def test_a_list_is_a_table_whose_entries_are_whole(troubled: World, shows: Shows, run: Run) -> None:
    for name, head in {
        "operations list": "KIND ID STATUS AGE",
        "events list": "ID TYPE STATE AGE",
        "hooks list": "ID STATE AGE",
        "usage list": "ID STATE METER VALUE",
        "endpoint list": "ID STATUS URL",
    }.items():
        first, *rows = map(unstyle, shows(name))
        assert first.split() == head.split()
        _, entries = run(name)
        there = "".join("".join(rows).split())
        for entry in entries:
            for value in (entry["id"], entry.get("error"), entry.get("url"), entry.get("review")):
                if name != "hooks list" and value:
                    assert "".join(value.split()) in there or name == "endpoint list", (name, value)
        assert len(entries) > 0


def test_a_narrow_terminal_loses_nothing(troubled: World, shows: Shows, run: Run) -> None:
    _, entries = run("operations list")

    lines = [unstyle(each) for each in shows("operations list", width=56)]

    assert all(breadth(each) <= 56 for each in lines)
    for entry in entries:
        assert any(entry["id"] in each for each in lines)


def test_colours_are_of_our_marks_and_heads_alone_and_no_color_takes_them_away(troubled: World, shows: Shows) -> None:
    status = shows("status")
    assert any(each.startswith("\x1b[31m✘\x1b[0m ") for each in status)
    assert shows("operations list")[0].startswith("\x1b[1mKIND")
    for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        for line in ("status", "operations list", "status --json"):
            assert "\x1b" not in "\n".join(shows(line, **environment)), line
    assert "\x1b" not in "".join(shows("status --json"))


def test_in_ascii_our_signs_are_spelled(troubled: World, shows: Shows) -> None:
    lines = shows("status", encoding="ascii", NO_COLOR="1")

    assert [each for each in lines if each.startswith("x ")]
    assert not [each for each in lines if r"\u27" in each]


def test_json_is_one_line_on_a_terminal_too(troubled: World, shows: Shows) -> None:
    for line in READERS[:5]:
        assert len(shows(f"{line} --json")) == 1, line


def test_times_are_utc_and_durations_have_units(
    troubled: World, shows: Shows, capsys: pytest.CaptureFixture[str]
) -> None:
    troubled.reconcile()
    troubled.advance(minutes=65)

    assert main(["status"]) == 1

    out = capsys.readouterr().out
    assert re.search(r"^last_reconcile: \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", out, re.MULTILINE)
    assert re.search(r"^oldest_operation: (\d+ (d|h|min|s) ?){1,2}$", out, re.MULTILINE)
    assert main(["events", "list"]) == 0
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ evt_", capsys.readouterr().out)
    assert re.search(r" \d+ (h|min) .*$", unstyle(shows("events list")[1]) + " ")
