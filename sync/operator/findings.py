"""What an operator is told: one finding each, how bad it is, and what to do about it."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"  # deserves attention
    PROBLEM = "problem"  # needs an operator
    UNSEEN = "unseen"  # could not be looked at


MARKS = {Level.OK: "✔", Level.WARNING: "!", Level.PROBLEM: "✘", Level.UNSEEN: "?"}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    check: str
    level: Level
    told: str
    do: str = ""  # nothing, where all is well

    def __str__(self) -> str:
        return f"{self.told}: {self.do}" if self.do else self.told

    @property
    def line(self) -> str:
        """As a line of a report; what is to be done is ours, so no text of others brings an arrow."""
        told = self.told.replace("→", ascii("→")[1:-1])
        return f"{MARKS[self.level]} {self.check}: {told}{f' → {self.do}' if self.do else ''}"

    def as_json(self) -> dict[str, Any]:
        """As an entry of one."""
        return asdict(self)


def exit_code(findings: Iterable[Finding]) -> int:
    """Return 2 when something could not be looked at, 1 when something needs an operator, else 0."""
    levels = {finding.level for finding in findings}
    return 2 if Level.UNSEEN in levels else 1 if Level.PROBLEM in levels else 0
