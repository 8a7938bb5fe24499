"""Lists of entries: a table that fits the terminal, else a line for each entry, so that a program can read it."""

import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from stripe_mongo_sync.sync.commands.cli import Given
from stripe_mongo_sync.sync.process import screen
from stripe_mongo_sync.sync.process.screen import breadth, spelled, wrapped

Entry = dict[str, Any]
GAP = "  "
LEAST = 6  # columns that each column keeps
ID = "ID"  # the head of what is copied: it is broken last


def tell_list(
    given: Given,
    entries: Sequence[Entry],
    *,
    heads: Mapping[str, str],
    note: Callable[[Entry], str],
    line: Callable[[Entry], str],
    nothing: str,
    goes_on: bool = False,
) -> bool:
    """Print entries: with --json as they are, on a terminal as a table, else a line for each; or that there is none.

    `heads` says which value of an entry stands under which head, and its note stands below the row. A list that goes on
    has no heads again. Returns False when the output is closed.
    """
    if given.json:
        return screen.put(screen.in_json(entries))
    if not entries:
        return goes_on or screen.tell(nothing)
    width = screen.columns(sys.stdout)
    if width is None:
        return screen.tell(*map(line, entries))
    rows = [[spelled(_cell(one[name]), sys.stdout) for name in heads.values()] for one in entries]
    notes = [spelled(note(one), sys.stdout) for one in entries]
    lines = table([*heads], rows, notes, width)
    return screen.show("".join(f"{each}\n" for each in (lines[1:] if goes_on else lines)))


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str], width: int) -> list[str]:
    """Return the lines of a table, the first with its heads, none wider than `width` unless that is very narrow.

    The widest column gives way, and its texts are broken: nothing is left out that an operator may need.
    """
    widths = [max(map(breadth, column)) for column in zip(heads, *rows, strict=True)]
    while sum(widths) + len(GAP) * (len(widths) - 1) > width:
        free = [at for at, head in enumerate(heads) if head != ID and widths[at] > max(LEAST, len(head))]
        at = max(free or range(len(widths)), key=widths.__getitem__)
        if widths[at] <= LEAST:
            break
        widths[at] -= 1
    (head,) = _row(heads, widths)
    lines = [f"{screen.BOLD}{head}{screen.RESET}"]
    for row, note in zip(rows, notes, strict=True):
        lines += _row(row, widths)
        lines += wrapped(f"{GAP}{note}", width, GAP, whole=False)
    return lines


def _row(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    broken = [wrapped(text, width, whole=False) for text, width in zip(cells, widths, strict=True)]
    deepest = max(map(len, broken))
    columns = [[*parts, *[""] * (deepest - len(parts))] for parts in broken]
    return [
        GAP.join(f"{part}{' ' * (width - breadth(part))}" for part, width in zip(parts, widths, strict=True)).rstrip()
        for parts in zip(*columns, strict=True)
    ]


def _cell(value: Any) -> str:
    """Return a value as it stands in a table: of a time, how long ago it was."""
    if isinstance(value, datetime):
        from stripe_mongo_sync.models.rows import clock

        return screen.lasting(clock.now() - value)
    return "-" if value is None else screen.word(value)
