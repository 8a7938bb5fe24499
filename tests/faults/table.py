"""The fault matrix, read from `table.txt`: what can break, at which step of which journey, and what must come of it.

1 to 62 are those of the study that this project was designed by, in the words of what was built; 63 to 99 are what
orders, actions, hooks, thin events and the backfill brought, and every call and write of every journey; from 100 on,
whole processes, a backlog, and who gets in.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One row. A test shows that it holds by `@pytest.mark.fault(id)`."""

    id: str
    step: str
    fault: str
    outcome: str


def rows(text: str) -> tuple[Row, ...]:
    """Return the rows in a text, in the order of their numbers; each has a line of its own."""
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return tuple(sorted((Row(*line.split(" | ")) for line in lines), key=lambda row: int(row.id)))


TABLE = rows(Path(__file__).with_name("table.txt").read_text())
