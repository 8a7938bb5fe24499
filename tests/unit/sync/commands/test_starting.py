"""What the command line loads before it runs something, what it is called, and how it hands over to gunicorn."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from stripe_mongo_sync import __version__
from stripe_mongo_sync.models.event import EventState
from stripe_mongo_sync.sync.__main__ import main
from stripe_mongo_sync.sync.commands import serve
from stripe_mongo_sync.sync.commands.events import STATES
from stripe_mongo_sync.sync.process.starting import SCRIPT, started_as

ROOT = Path(__file__).resolve().parents[4]
HEAVY = {"asyncio", "bson", "flask", "mongoengine", "pymongo", "requests", "stripe"}  # each a tenth of a second
EVERY_HELP = """
import json, sys
from contextlib import redirect_stdout
from stripe_mongo_sync.sync.__main__ import main
from tests.support.commands import every
told = [command.get_help(context) for command, context in every()]
with redirect_stdout(None):
    main(["types"])
print(json.dumps([len(told), sorted({name.partition(".")[0] for name in sys.modules})]))
"""


def test_nothing_heavy_is_loaded_to_explain_any_command_or_to_tell_of_types() -> None:
    told = subprocess.run([sys.executable, "-c", EVERY_HELP], capture_output=True, text=True, check=True, cwd=ROOT)
    count, loaded = json.loads(told.stdout)

    assert count > 25, "commands, and the actions of some"
    assert HEAVY.intersection(loaded) == set()


@pytest.mark.parametrize("line", ["--help", "status --help", "--version"])
def test_what_only_explains_loads_one_command_at_most_and_no_logging(line: str) -> None:
    script = f"""
import sys
from stripe_mongo_sync.sync.__main__ import main
try:
    main({line.split()})
except SystemExit:
    print(*sys.modules, file=sys.stderr)
"""

    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)

    loaded = set(told.stderr.split())
    assert not loaded & {*HEAVY, "argparse", "dataclasses", "json", "logging"}
    here = "stripe_mongo_sync.sync.commands."
    commands = {name.removeprefix(here) for name in loaded if name.startswith(here)} - {"cli", "completion"}
    assert commands == ({"status"} if "status" in line else set())


def test_the_states_that_can_be_asked_for_are_those_that_there_are() -> None:
    assert tuple(EventState) == STATES


@pytest.mark.parametrize(
    ("arguments", "whole", "program"),
    [
        (["-m", "status"], ["python", "-m", "sync", "status"], "python -m sync"),
        (["-m"], ["python", "-O", "-msync"], "python -m sync"),
        (["-m"], ["python", "-m", "stripe_mongo_sync.sync"], "python -m stripe_mongo_sync.sync"),
        (["/x/__main__.py", "-h"], ["python", "-m", "stripe_mongo_sync", "-h"], "python -m stripe_mongo_sync"),
        (["/x/__main__.py", "-h"], ["python", "-m", "shop", "-h"], None),
        (["/usr/bin/stripe-mongo-sync", "status"], ["python", "/usr/bin/stripe-mongo-sync", "status"], SCRIPT),
        (["-m", "tests"], ["python", "-m", "pytest", "tests"], None),
        (["/usr/bin/gunicorn"], ["python", "/usr/bin/gunicorn"], None),
        (["shop.py", "sync"], ["python", "shop.py", "sync"], None),
        ([""], ["python"], None),
        # Children of `multiprocessing`: the arguments are their parent's.
        (["/x/__main__.py", "sync", "7", "8", "9"], ["python", "-c", "spawn_main()", "--multiprocessing-fork"], None),
        (["/x/__main__.py", "7"], ["python", "sync", "--multiprocessing-fork"], None),
    ],
)
def test_it_is_called_as_it_was_started(arguments: list[str], whole: list[str], program: str | None) -> None:
    assert started_as(arguments, whole) == program


@pytest.mark.parametrize(
    "way", [["-m", "sync"], ["-m", "stripe_mongo_sync.sync"], ["-m", "stripe_mongo_sync"], [SCRIPT]], ids=" ".join
)
def test_usage_and_mistakes_name_how_it_was_started(way: list[str], tmp_path: Path) -> None:
    program = "python " + " ".join(way) if way[0] == "-m" else SCRIPT
    start = [sys.executable, *way] if way[0] == "-m" else [str(Path(sys.executable).parent / SCRIPT)]
    where = ROOT if way == ["-m", "sync"] else tmp_path

    told = subprocess.run([*start, "no-such-command"], capture_output=True, text=True, cwd=where)

    assert told.returncode == 2
    assert told.stderr.startswith(f"usage: {program} ")
    assert f"\n{program}: error: " in told.stderr


def test_it_tells_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])

    assert (ended.value.code, capsys.readouterr().out) == (0, f"{SCRIPT} {__version__}\n")


@pytest.mark.parametrize("line", ["status --workers 4", "--workers 4 status", "events list extra"])
def test_only_serve_hands_arguments_on(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(line.split())

    assert ended.value.code == 2
    assert re.search("unexpected extra argument|No such option", capsys.readouterr().err)


def served(tmp_path: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """Run `serve`, from a folder that is no checkout, and without settings; return its code and what it said."""
    command = [sys.executable, "-m", "stripe_mongo_sync.sync", "serve", *arguments]
    base = {name: value for name, value in os.environ.items() if name not in ("PORT", serve.COUNT)}
    told = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env={**base, **environment})
    return told.returncode, told.stderr


@pytest.mark.parametrize("value", ["", " ", "3"])
def test_serve_starts_gunicorn_with_our_configuration_and_whatever_a_platform_left_empty(
    value: str, tmp_path: Path
) -> None:
    code, told = served(tmp_path, "--bind", "127.0.0.1:0", WEB_CONCURRENCY=value)

    assert "Starting gunicorn" in told
    assert "STRIPE_SECRET_KEY is missing" in told, "said by our configuration"
    assert (code, "Traceback" in told) == (2, False)


@pytest.mark.parametrize("value", ["two", "1.5", "0", "٣"])
def test_serve_says_which_number_cannot_be_read(value: str, tmp_path: Path) -> None:
    code, told = served(tmp_path, WEB_CONCURRENCY=value)

    assert (code, told) == (2, "cannot start:\n  WEB_CONCURRENCY must be a whole number from 1 to 1000\n")


def test_serve_hands_its_arguments_to_gunicorn(tmp_path: Path) -> None:
    code, told = served(tmp_path, "--workers", "many")

    assert code == 2
    assert "argument -w/--workers: invalid int value: 'many'" in told


def test_serve_without_gunicorn_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(serve, "find_spec", lambda name: None)

    assert main(["serve"]) == 2
    assert capsys.readouterr().err == 'serve needs gunicorn: pip install "stripe-mongo-sync[server]"\n'
