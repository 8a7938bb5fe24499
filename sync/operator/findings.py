"""Findings: each says what a check found, how serious it is, and what an operator can do about it."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """How serious a finding is."""

    OK = "ok"
    WARNING = "warning"  # deserves attention
    PROBLEM = "problem"  # needs an operator
    UNSEEN = "unseen"  # could not be checked


MARKS = {Level.OK: "✔", Level.WARNING: "!", Level.PROBLEM: "✘", Level.UNSEEN: "?"}


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    check: str
    level: Level
    message: str
    advice: str = ""  # empty when nothing is to be done

    def __str__(self) -> str:
        return f"{self.message}: {self.advice}" if self.advice else self.message

    @property
    def line(self) -> str:
        """The finding as a line of a report. Only our advice follows an arrow, so other texts have theirs escaped."""
        message = self.message.replace("→", ascii("→")[1:-1])
        return f"{MARKS[self.level]} {self.check}: {message}{f' → {self.advice}' if self.advice else ''}"

    def as_json(self) -> dict[str, Any]:
        """Return the finding as an entry of a JSON report; `told` and `do` are old names, until 0.3."""
        return {**asdict(self), "told": self.message, "do": self.advice}


def exit_code(findings: Iterable[Finding]) -> int:
    """Return 2 when something could not be checked, 1 when something needs an operator, else 0."""
    levels = {finding.level for finding in findings}
    return 2 if Level.UNSEEN in levels else 1 if Level.PROBLEM in levels else 0
