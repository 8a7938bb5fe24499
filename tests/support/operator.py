"""An operator with a shell and docs/operations.md, who does only what a command printed or the page says."""

import re
import subprocess
import sys
from collections.abc import Callable

from stripe_mongo_sync.demo.stack import ROOT, Stack

PAGE = (ROOT / "docs/operations.md").read_text()
LOOKS = {"status", "doctor", "reconcile"}  # what the page has everybody run, whatever is wrong
PROGRAM = re.compile(r"^(?:python -m sync|stripe-mongo-sync) ")
BLANK = re.compile(r"ID|DATE|URL|\S*…|<[^>]*>")  # a word that the operator fills in
CODE = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\]\(#([\w-]+)\)")


def rows() -> list[tuple[list[str], str]]:
    """Return what the table of the page says: how a finding looks, and the whole row."""
    table = PAGE.partition("## What you see\n")[2].partition("\n## ")[0]
    lines = [line for line in table.splitlines() if line.startswith("| `")]
    return [(CODE.findall(line.split(" | ")[0]), line) for line in lines]


def section(anchor: str) -> str:
    """Return the section of the page to which a link leads."""
    found = re.split(r"^(?=##+ )", PAGE, flags=re.MULTILINE)
    return next(each for each in found if slug(each.splitlines()[0]) == anchor)


def slug(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lstrip("# ").lower()).replace(" ", "-")


def looks_like(seen: str, text: str) -> bool:
    """Whether this is in a text: `…`, N and M stand for anything."""
    parts = re.split(r"…|\b[NM]\b", seen)
    return re.search(".+?".join(map(re.escape, parts)), text) is not None


class Operator:
    """Who operates a stack. Everything printed is read, and so is what the page says of it."""

    def __init__(self, stack: Stack, **settings: str) -> None:
        """Be in the folder of a stack's settings; some may be other ones here."""
        self.stack = stack
        self._settings = settings
        self._read: list[str] = []

    def sees(self, command: str, *findings: str, code: int = 1) -> str:
        """Run a command that everybody runs; assert that it says these, and look them up on the page."""
        assert command in LOOKS
        told = self._run(command, code)
        for finding in findings:
            assert looks_like(finding, told), told
        return told

    def types(self, line: str, code: int = 0) -> str:
        """Type a command that was printed, or is on the page; assert its exit code, and return what it prints."""
        words = line.split()
        assert any(is_filled_in(each, words) for text in self._read for each in CODE.findall(text)), (
            f"nobody said so: {line}\n" + "\n".join(self._read)
        )
        return self._run(line, code)

    def does(self, said: str, act: Callable[[], object]) -> None:
        """Do by hand what no command of ours does, because it was said."""
        assert any(said in text for text in self._read), f"nobody said so: {said}\n" + "\n".join(self._read)
        act()

    def _run(self, line: str, code: int) -> str:
        shell = f"alias stripe-mongo-sync='{sys.executable} -m sync'\nstripe-mongo-sync {line}"
        done = subprocess.run(
            ["sh", "-c", shell],
            env={**self.stack.environment, **self._settings},
            cwd=self.stack.directory,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, f"{line}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        told = done.stdout + done.stderr
        self._read.append(told)
        self._look_up(told)
        return told

    def _look_up(self, told: str) -> None:
        for seen, row in rows():
            if any(looks_like(each, told) for each in seen):
                self._read += [row, *map(section, LINK.findall(row))]


def is_filled_in(written: str, words: list[str]) -> bool:
    """Whether a command is the one that is written, with its blanks filled in."""
    wanted = PROGRAM.sub("", written).split()
    return len(wanted) == len(words) and all(
        BLANK.fullmatch(one) or one == other for one, other in zip(wanted, words, strict=True)
    )
