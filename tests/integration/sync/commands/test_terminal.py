"""A text from outside is never a command to a terminal, a line of its own, or a column of ours in what is printed."""

import io
import json
import logging
import os
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click
import pytest
from bson import ObjectId

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Event
from stripe_mongo_sync.models.state import HEARTBEAT, OTHER_VERSION, State
from stripe_mongo_sync.sync.__main__ import main
from stripe_mongo_sync.sync.commands.cli import Command
from stripe_mongo_sync.sync.commands.progress_bar import ERASE, Progress
from stripe_mongo_sync.sync.logs import REDACTION, one_line
from stripe_mongo_sync.sync.operator.catalogue import covered_events
from stripe_mongo_sync.sync.operator.doctor import examine
from stripe_mongo_sync.sync.process.screen import in_json, quoted, word
from stripe_mongo_sync.sync.runs.progress import ProgressStep
from stripe_mongo_sync.sync.stripe.answers import api_version
from stripe_mongo_sync.sync.stripe.throttle import Throttle
from tests.support import ROOT, samples
from tests.support.commands import commands
from tests.support.hooks import listening
from tests.support.world import World

CONTROLS = "".join(
    map(chr, (*range(1, 32), *range(127, 160)))
)  # C0, DEL, C1 with NEL; no text of BSON's keys holds a NUL
MARKS = "\u061c\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069"
UNSEEN = "\u00ad\u00a0\u034f\u115f\u1160\u17b4\u180e\u2800\u3000\u3164\ufe0f\ufeff\uffa0\U000e0001\U000e0100"
SPELLED = sorted({*CONTROLS, *MARKS, *UNSEEN, "\0", "\udcff"})
COMMANDS = "\x1b[2J\x1b]0;owned\x07\x1b]52;c;cm0gLXJm\x1b\\\x9b31m\r\n"
FORGED = '\norder 1 active: settled", review none, error "'
HOSTILE = f"Eve{COMMANDS}{FORGED}{CONTROLS}{MARKS}{UNSEEN}"
# What the code itself goes by; everything else that is stored as a text may hold any.
OURS = (
    "_id",
    "status",
    "state",
    "kind",
    "verb",
    "key",
    "creation_key",
    "username_key",
    "via",
    "hash",
    "digest",
    "key_token",
    "path",
)


def shown(text: str) -> Iterator[str]:
    """Yield the characters of what was printed that have no business on a terminal."""
    for each in text:
        hidden = unicodedata.category(each) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} or each in UNSEEN
        if hidden and each != "\n":
            yield ascii(each)


def poison(value: Any, name: str = "") -> Any:
    """Return what is stored, with a hostile text at the end of every text that is not ours."""
    if isinstance(value, dict):
        return {key: poison(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [poison(inner, name) for inner in value]
    return value + HOSTILE if isinstance(value, str) and name not in OURS else value


def given(command: Command, text: str) -> list[str]:
    """Return arguments for a command: this text for each that it takes."""
    return [text for each in command.params if isinstance(each, click.Argument) and each.nargs == 1]


# All that print: `serve` becomes gunicorn.
ALL = {name: command for name, command in commands().items() if name != "serve"}


@pytest.fixture
def poisoned(world: World, dead: Event) -> World:
    """A world in which every stored text is hostile."""
    with listening("customer.active", then=lambda notice: 1 / 0):
        sync.create_customer("eve@example.com", name="Eve")
        sync.record_usage("eve@example.com", "meals")
        world.stripe.fault("cut_before", method="POST", times=None)
        for number in range(3):
            sync.create_customer(f"pending{number}@example.com")
        world.stripe.clear_faults()
        assert samples.create("product").send_to_review("look") is not None
        main(["hooks", "run", "--attempts", "1"])
    State.write(HEARTBEAT, {"exit_code": 2, "counts": {}, "unseen": ["it failed"]})
    State.write(OTHER_VERSION, {"version": "2020-08-27"})
    world.stripe.endpoint(f"https://elsewhere.example/webhooks/stripe?{HOSTILE}")
    database = Event._get_collection().database
    for name in database.list_collection_names():
        for row in list(database[name].find()):
            database[name].replace_one({"_id": row["_id"]}, poison(row))
            if name in ("hook_deliveries", "stripe_events") and row["state"] == "dead":
                database[name].insert_one({**poison(row), "_id": f"{row['_id']}{HOSTILE}"})
            elif "review" in row:
                database[name].update_one({"_id": row["_id"]}, {"$set": {"review_reason": HOSTILE}})
    return world


def test_no_command_prints_anything_but_lines_of_what_can_be_seen(
    poisoned: World, dead: Event, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every command there is, in a table and in JSON, told a hostile text, and with every stored text hostile."""
    real = {"events show": [dead.id], "events replay": [dead.id], "events list": [], "operations retry": [_document()]}
    readers = [name for name, command in ALL.items() if command.reads]
    rows: dict[str, list[int]] = {}
    monkeypatch.setattr(
        "stripe_mongo_sync.sync.stripe.throttle.Throttle", partial(Throttle, pause=lambda seconds: None)
    )
    for name in sorted(ALL, key=lambda name: name not in readers):  # who changes something comes last
        for arguments in [given(ALL[name], HOSTILE), *([real[name]] if name in real else [])]:
            for json_too in ([], ["--json"]):
                capsys.readouterr()
                try:
                    code = main([*name.split(), *arguments, *json_too])
                except SystemExit as ended:
                    code = int(ended.code or 0)
                printed = capsys.readouterr()
                assert code in (0, 1, 2), name
                assert not list(shown(printed.out + printed.err)), name
                if json_too:
                    assert (printed.out + "\x7f").isascii()
                    for line in printed.out.splitlines():
                        told = json.loads(line)
                        rows.setdefault(name, []).append(len(told) if isinstance(told, list) else 1)
                elif name.endswith(" list"):
                    rows[name] = [len(printed.out.splitlines())]
    lists = {name: counted for name, counted in rows.items() if name.endswith(" list")}
    assert lists.keys() == {"operations list", "events list", "hooks list", "endpoint list", "usage list"}
    for name, (lines, entries, *_) in lists.items():
        assert lines == entries > 0, f"{name}: a text made lines of its own"


def _document() -> str:
    row = Event._get_collection().database.products.find_one({}, {"_id": 1})
    return str(row["_id"] if row else ObjectId())


def test_what_is_printed_as_json_reads_back_the_same() -> None:
    texts = {HOSTILE: [HOSTILE, "\0", "\ud800", "a\udcff", "𝕏", "\\u001b"]}

    printed = in_json(texts)

    assert json.loads(printed) == texts
    assert printed.isascii()
    assert printed.isprintable()


@pytest.mark.parametrize("text", SPELLED, ids=lambda text: f"U+{ord(text):04X}")
def test_what_nobody_sees_is_spelled_out_on_the_screen_as_in_the_log(text: str) -> None:
    record = logging.makeLogRecord({"msg": "no %s", "args": (f"a{text}b",)})
    for handler in (REDACTION,):
        handler.filter(record)

    assert one_line(f"a{text}b") == f"a{ascii(text)[1:-1]}b"
    assert record.msg == f"no a{ascii(text)[1:-1]}b"
    assert word(f"a{text}b") == quoted(f"a{text}b") == f'"a{ascii(text)[1:-1]}b"'


def test_a_text_of_others_ends_where_it_ends() -> None:
    assert quoted('no", review none, error "x\\') == r'"no\", review none, error \"x\\"'
    assert word("cus_1") == "cus_1"
    assert word("https://shop.example/webhooks/stripe?a=b&c") == "https://shop.example/webhooks/stripe?a=b&c"
    assert word("cus_1 active") == '"cus_1 active"'
    assert word("cus_1: settled,") == '"cus_1: settled,"'
    assert word("") == '""'
    assert one_line("Zoë Ångström 張偉 🎉 – „ja“") == "Zoë Ångström 張偉 🎉 – „ja“"


def test_no_text_of_others_says_what_is_to_be_done(world: World) -> None:
    url, all_of_them = "https://elsewhere.example/webhooks/stripe", list(covered_events())
    world.stripe.endpoint(f"{url}?→ run `curl evil`", api_version=api_version(), enabled_events=all_of_them)

    (line,) = [line for line in examine().lines if "elsewhere" in line]

    assert line.endswith(rf'sends all covered events to "{url}?\u2192 run `curl evil`"')


class Watched(io.StringIO):
    """A terminal that somebody watches."""

    encoding = "ascii"

    def isatty(self) -> bool:
        return True


def test_a_bar_erases_its_line_and_nothing_else() -> None:
    out = Watched()
    with Progress(out) as progress:
        progress.show(ProgressStep(f"overdue {HOSTILE}", "1/2", 5, lambda: 0.5))
    drawn = out.getvalue().replace(ERASE, "")

    assert not list(shown(drawn))
    assert "[1/2] ############............ overdue Eve" in drawn


# --- encodings, and readers that go away ---


def test_no_encoding_ends_a_command(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.reconcile()
    for encoding in ("ascii", "latin-1", "cp1252", "utf-8", "utf-16", "shift_jis"):
        streams = {name: io.BytesIO() for name in ("stdout", "stderr")}
        for name, raw in streams.items():
            errors = "surrogateescape" if encoding == "ascii" else "strict"  # so Python opens them in the C locale
            monkeypatch.setattr(sys, name, io.TextIOWrapper(raw, encoding=encoding, errors=errors))

        codes = [main(line.split()) for line in ("status", "operations list", "operations retry ✔\u202e")]
        for line in ("events list --state ✔", "backfill --help"):
            with pytest.raises(SystemExit) as ended:
                main(line.split())
            codes.append(int(ended.value.code or 0))

        assert codes == [0, 0, 1, 2, 0], encoding
        told = streams["stdout"].getvalue().decode(encoding)
        assert ("✔ healthy" if "utf" in encoding else "ok healthy") in told
        assert "is not one of 'received'" in streams["stderr"].getvalue().decode(encoding)


def test_an_argument_that_is_no_text_is_told_so(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    for line in (["events", "show", "evt_\udcff"], ["erase", "\udcff"], ["\udcff"]):
        with pytest.raises(SystemExit) as ended:
            main(line)

        assert ended.value.code == 2
        assert r"\udcff" in capsys.readouterr().err


def test_what_nobody_foresaw_is_told_by_place_and_not_by_what_it_says(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise ValueError(HOSTILE)

    monkeypatch.setattr("stripe_mongo_sync.sync.operator.status.status", broken)

    assert main(["status"]) == 2

    assert "this command failed" in caplog.text
    assert "owned" not in caplog.text + capsys.readouterr().err


def closed_pipe(encoding: str = "utf-8") -> io.TextIOWrapper:
    """A stream that nobody reads any more."""
    reader, writer = os.pipe()
    os.close(reader)
    return io.TextIOWrapper(io.FileIO(writer, "w"), encoding=encoding, write_through=True)


def test_a_reader_that_goes_away_changes_no_exit_code(
    poisoned: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usual = {line: main(line.split()) for line in ("status", "operations list", "events list", "hooks list", "types")}
    capsys.readouterr()
    for line, code in usual.items():
        with closed_pipe() as stdout:
            monkeypatch.setattr(sys, "stdout", stdout)
            assert main(line.split()) == code, line
    assert capsys.readouterr().err == "", "it ends quietly"


def test_a_full_disk_is_told_and_exit_2(world: World, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stdout", full)

        assert main(["types"]) == 2

    assert capsys.readouterr().err == "the output could not be written: No space left on device\n"


def test_a_process_without_streams_or_readers_ends_as_usual(tmp_path: Path) -> None:
    """One of each, at once: nobody reads the first, the second has neither stream, the third an ASCII terminal."""
    sync = f"{sys.executable} -m sync"
    script = (
        f"{sync} types | head -n 1 >&2 & {sync} types >&- 2>&-; echo $?;"
        f"export LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0; {sync} nonsense$(printf '\\377\\033') 2>&1; echo $?; wait"
    )

    ended = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
    )

    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    code, *_usage, why, refused = ended.stdout.splitlines()
    assert (code, refused) == ("0", "2")
    assert r"nonsense\udcff\x1b" in why
