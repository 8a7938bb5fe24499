"""Small charts: the numbers become places in a drawing, so that a template only writes them down."""

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 240.0, 48.0  # of the drawing


@dataclass(frozen=True)
class Column:
    """One column of a chart, with the number that it stands for."""

    x: float
    y: float
    width: float
    height: float
    number: float | None


@dataclass(frozen=True)
class Chart:
    """The columns of numbers in time, the largest and the last number; None if there are none."""

    columns: list[Column]
    most: float | None
    last: float | None


@dataclass(frozen=True)
class Bar:
    """A bar with its name; its share of the largest is its length."""

    name: str
    number: int
    width: float


def columns(numbers: Sequence[float | None]) -> Chart:
    """Return the chart of numbers in time, the last on the right. A minute without one has no column."""
    there = [number for number in numbers if number is not None]
    most, width = max(there, default=None), WIDTH / max(len(numbers), 1)
    drawn = []
    for place, number in enumerate(numbers):
        height = round(HEIGHT * number / most, 2) if number and most else 0.0
        drawn.append(Column(round(place * width, 2), round(HEIGHT - height, 2), round(width * 0.8, 2), height, number))
    return Chart(drawn, most, there[-1] if there else None)


def bars(numbers: Sequence[tuple[str, int]]) -> list[Bar]:
    """Return the bars of named numbers."""
    most = max((number for _, number in numbers), default=0) or 1
    return [Bar(name, number, round(WIDTH * number / most, 2)) for name, number in numbers]
