"""The parts of which the pages are made."""

import re
from collections.abc import Iterable, Iterator

MADE = "Made from the code by `make types`."


def table(head: Iterable[str], cells: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown."""
    titles = [*head]
    return "".join(f"| {' | '.join(row)} |\n" for row in (titles, ["---"] * len(titles), *cells))


def code(names: Iterable[str]) -> str:
    """Return names as code, separated by commas."""
    return ", ".join(f"`{name}`" for name in names)


def rows(text: str) -> Iterator[list[str]]:
    """Yield the cells of each row whose first cell is code, of the tables in a text."""
    for line in re.findall(r"^\| (`.*) \|$", text, re.MULTILINE):
        yield re.split(r"(?<!\\) ?\| ?", line)
