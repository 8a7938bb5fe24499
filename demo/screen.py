"""Prints the demo: short lines with ✔ or ✘, in colour on a terminal."""

import os
import sys
from collections.abc import Mapping

from stripe_mongo_sync.sync.logs import one_line

GREEN, RED, BOLD, FAINT = "32", "31", "1", "2"


class Screen:
    """Prints to stdout, and counts the expectations that were met and missed."""

    def __init__(self) -> None:
        self.missed = 0
        self.met = 0
        self._colourful = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def title(self, text: str) -> None:
        """Print the title of a chapter."""
        self._print(f"\n{self._in(BOLD, text)}")

    def note(self, text: str) -> None:
        """Print a line about what the demo does."""
        self._print(self._in(FAINT, f"    {text}"))

    def holds(self, words: str) -> None:
        """Print ✔ and an expectation that was met."""
        self.met += 1
        self._print(f"  {self._in(GREEN, '✔')} {one_line(words)}")

    def fails(self, words: str, why: str) -> None:
        """Print ✘ and an expectation that was missed, with the reason."""
        self.missed += 1
        self._print(f"  {self._in(RED, '✘')} {one_line(words)}")
        for line in why.split("\n"):
            self._print(f"      {one_line(line)}")

    def table(self, rows: Mapping[str, str]) -> None:
        """Print names and values."""
        width = max(map(len, rows))
        for name, value in rows.items():
            self._print(f"  {self._in(BOLD, name.ljust(width))}  {one_line(value)}")

    def end(self, text: str, *, good: bool) -> None:
        """Print the last line of the demo."""
        self._print(f"\n{self._in(GREEN if good else RED, text)}")

    def _in(self, code: str, text: str) -> str:
        safe = one_line(text)  # so that no text can send control sequences to the terminal
        return f"\033[{code}m{safe}\033[0m" if self._colourful else safe

    def _print(self, line: str) -> None:
        print(line, flush=True)
