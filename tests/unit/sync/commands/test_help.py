"""Help and mistakes: what the command line says of itself, and of a line that cannot be meant."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from stripe_mongo_sync.sync.__main__ import main
from stripe_mongo_sync.sync.commands import ROOT, SECTIONS
from stripe_mongo_sync.sync.commands.cli import count, moment, rate, seconds
from stripe_mongo_sync.sync.commands.completion import ASKS, SHELLS
from stripe_mongo_sync.sync.process.starting import SCRIPT
from tests.support import ROOT as HERE
from tests.support.commands import commands, every, helped


def refused(line: str, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """Run a line that cannot be meant, and return what it prints."""
    with pytest.raises(SystemExit) as ended:
        main(shlex.split(line))
    assert ended.value.code == 2
    return capsys.readouterr()


def test_help_fits_80_columns_and_a_terminal_that_has_ascii_only() -> None:
    for line in "\n".join(helped(*each) for each in every()).splitlines():
        assert len(line) <= 80, line
        assert line.isascii(), line


def test_every_command_says_what_it_does_and_shows_an_example() -> None:
    for command, context in every():
        assert command.help, context.command_path
        assert isinstance(command, click.Group) or command.examples, context.command_path
        assert [each.name for each in command.get_params(context) if not each.help and each.name != "arguments"] == []


def test_every_command_is_called_as_the_help_lists_it() -> None:
    named = [name for section in SECTIONS.values() for name in section]

    assert [command.name for command, context in every() if context.parent and not context.parent.parent] == named


def test_every_example_is_a_line_that_is_understood() -> None:
    found = [each for command in commands().values() for each in command.examples]

    assert len(found) > 25
    for example in found:
        line, _, _ = example.partition(" >")
        if "--kind" not in line:  # which the registry knows
            with ROOT.make_context(SCRIPT, shlex.split(line)) as context:
                ROOT.invoke(context)


def test_without_arguments_it_prints_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([])

    shown = capsys.readouterr()
    assert (ended.value.code, shown.err) == (0, "")
    assert shown.out == f"{helped(*next(every()))}\n"


@pytest.mark.parametrize("name", ["operations", "events", "hooks", "usage", "endpoint"])
def test_without_an_action_a_group_prints_its_help_and_exits_2(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = refused(name, capsys)

    assert out == ""
    assert err in {f"{helped(*each)}\n" for each in every()}
    assert f"usage: {SCRIPT} {name} " in err


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("stauts", "'status'"),
        ("operation list", "'operations'"),
        ("operations retyr x", "'retry'"),
        ("reconcile --ful", "'--full'"),
        ("erase x --dryrun", "'--dry-run'"),
    ],
)
def test_a_misspelled_name_is_told_what_may_be_meant(line: str, meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    _, err = refused(line, capsys)

    assert meant in err.splitlines()[-1].lower().partition("did you mean")[2]


@pytest.mark.parametrize("line", ["stauts", "operations", "operations retry", "events list --limit 0", "events replay"])
def test_with_json_a_mistake_is_json_in_the_shape_of_the_apis_errors(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out, err = refused(f"{line} --json", capsys)

    told = json.loads(err)
    assert out == ""
    assert (told["type"].rpartition("/")[2], told["title"], told["exit_code"]) == ("malformed", "malformed", 2)
    assert told["detail"]


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (seconds, {"300": 300, "1.5": 1.5, "5min": 300, "2 h": 7200, "1d": 86400}, "0 -1 nan inf x 5m min 1e9"),
        (count, {"1": 1, "9999999": 9999999}, "0 -1 1.5 x 99999999"),
        (rate, {"0.5": 0.5, "1000": 1000}, "0 -1 nan 1001 x"),
    ],
)
def test_numbers_are_read_or_refused(kind: click.types.FuncParamType, good: dict[str, float], bad: str) -> None:
    assert {text: kind(text) for text in good} == good
    for text in bad.split():
        with pytest.raises(click.BadParameter, match="must be"):
            kind(text)


def test_a_moment_is_utc_unless_it_names_a_zone() -> None:
    assert moment("2026-11-23").isoformat() == "2026-11-23T00:00:00+00:00"
    assert moment("2026-11-23T18:00:05Z").isoformat() == "2026-11-23T18:00:05+00:00"
    assert moment("2026-11-23T18:00+01:00").isoformat() == "2026-11-23T18:00:00+01:00"
    with pytest.raises(click.BadParameter, match="must be a date"):
        moment("yesterday")


# --- completion ---


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_of_each_shell_asks_this_program(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0

    out = capsys.readouterr().out
    assert f"{ASKS}={shell}_complete" in out
    assert SCRIPT in out


def completions(words: str, tmp_path: Path) -> list[str]:
    """Ask bash how a line goes on: its last word is what was typed of it."""
    script = f"""
        PATH="{Path(sys.executable).parent}:$PATH"
        eval "$({SCRIPT} completion bash)"
        COMP_WORDS=({SCRIPT} {words}); COMP_CWORD={len(words.split())}; COMP_LINE="{SCRIPT} {words}"
        _stripe_mongo_sync_completion {SCRIPT}; printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    told = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert told.stderr == ""
    return told.stdout.split()


def test_bash_completes_commands_actions_options_and_values(tmp_path: Path) -> None:
    assert completions("op", tmp_path) == ["operations"]
    assert completions("operations r", tmp_path) == ["retry", "roll-back", "reset-breaker"]
    assert completions("reconcile --o", tmp_path) == ["--owner-reads"]
    assert completions("events list --state de", tmp_path) == ["dead"]


# --- colours ---


def test_help_has_colours_on_a_terminal_only_and_never_with_no_color(tmp_path: Path) -> None:
    def shown(**environment: str) -> bytes:
        leader, follower = os.openpty()
        subprocess.run(
            [sys.executable, "-m", "sync", "status", "--help"],
            stdout=follower,
            cwd=HERE,
            check=True,
            env={"PATH": os.environ["PATH"], "TERM": "xterm", **environment},
        )
        os.close(follower)
        with os.fdopen(leader, "rb") as read:
            return read.read1(65_536)

    assert b"\x1b[1musage:\x1b[0m" in shown()
    for plain in (shown(NO_COLOR="1"), shown(TERM="dumb")):
        assert plain.startswith(b"usage: ")
        assert b"\x1b" not in plain


def test_a_formatter_styles_what_the_screen_leaves_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert "\x1b[1m" in next(every())[1].get_help()
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "\x1b" not in capsys.readouterr().out
