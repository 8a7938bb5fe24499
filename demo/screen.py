"""What the demo prints: short lines, ✔ and ✘, in colour where somebody looks on."""

import os
import sys
from collections.abc import Mapping

from stripe_mongo_sync.sync.logs import one_line

GREEN, RED, BOLD, FAINT = "32", "31", "1", "2"


class Screen:
    """Prints to stdout, and counts what was not as claimed."""

    def __init__(self) -> None:
        self.wrong = 0
        self.right = 0
        self._colourful = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def title(self, text: str) -> None:
        """Begin a chapter."""
        self._print(f"\n{self._in(BOLD, text)}")

    def note(self, text: str) -> None:
        """Tell what happens."""
        self._print(self._in(FAINT, f"    {text}"))

    def holds(self, words: str) -> None:
        """✔."""
        self.right += 1
        self._print(f"  {self._in(GREEN, '✔')} {one_line(words)}")

    def fails(self, words: str, why: str) -> None:
        """✘, and why."""
        self.wrong += 1
        self._print(f"  {self._in(RED, '✘')} {one_line(words)}")
        for line in why.split("\n"):
            self._print(f"      {one_line(line)}")

    def table(self, rows: Mapping[str, str]) -> None:
        """Print names and values."""
        width = max(map(len, rows))
        for name, value in rows.items():
            self._print(f"  {self._in(BOLD, name.ljust(width))}  {one_line(value)}")

    def end(self, text: str, *, good: bool) -> None:
        """Print the last line; uncoloured words, so that programs can read it too."""
        self._print(f"\n{self._in(GREEN if good else RED, text)}")

    def _in(self, code: str, text: str) -> str:
        told = one_line(text)  # the only commands to the terminal are ours
        return f"\033[{code}m{told}\033[0m" if self._colourful else told

    def _print(self, line: str) -> None:
        print(line, flush=True)
