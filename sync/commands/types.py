"""`stripe-mongo-sync types`: list the types that are stored, and the events that update them."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from stripe_mongo_sync.sync.commands.cli import Given, command, flag, say
from stripe_mongo_sync.sync.process.screen import put

if TYPE_CHECKING:
    from stripe_mongo_sync.sync.operator.written import Entry


@command("types", "list the types that are stored, and their events", connects=False, reads=True, examples=("types",))
@flag("--markdown", "print docs/TYPES.md")
def main(given: Given) -> int:
    """Print the catalogue: the page is made from the registry, the list from the stored file if it is current."""
    from stripe_mongo_sync.sync.operator import written

    found = None if given.markdown else written.read()
    if found is None:
        from stripe_mongo_sync.sync.operator.catalogue import all_ignored, catalogue

        found = catalogue(), all_ignored()
    entries, not_kept = found
    told = {"types": [asdict(entry) for entry in entries], "ignored": not_kept}
    if given.markdown and not given.json:
        put(*markdown(entries))
    else:
        say(given, told, *lines(entries))
    return 0


def lines(entries: list["Entry"]) -> Iterator[str]:
    """Yield the catalogue for a terminal, one line per kind."""
    width = max(len(entry.kind) for entry in entries)
    for entry in entries:
        origin = f"created here ({', '.join(entry.actions)})" if entry.created_here else "mirrored"
        yield f"{entry.kind:{width}}  {entry.collection}: {origin}; read by {_read(entry)}; {_events(entry.events)}"


def _read(entry: "Entry") -> str:
    ways = [name for name, path in (("get", entry.get), ("list", entry.list)) if path]
    ways += [f"list of each {owner}" for owner in entry.owners]
    told = " and ".join(ways) or ("nothing: it exists here only" if entry.created_here else "events alone")
    return f"{told}; {entry.unlisted}" if entry.unlisted and ways else told


def _events(events: Iterable[str]) -> str:
    return ", ".join(events) or "no events"


def markdown(entries: list["Entry"]) -> list[str]:
    """Return the lines of the page docs/TYPES.md."""
    from stripe_mongo_sync.models.mirrored import NOT_MIRRORED

    here = [entry for entry in entries if entry.created_here]
    copied = [entry for entry in entries if not entry.created_here]
    return [
        "# What is kept of Stripe",
        "",
        "Printed by `stripe-mongo-sync types --markdown` (`make types`). `reconcile --full` compares the objects of a",
        "*list*; of a *list of each* owner, it reads some in each run. A *get* refreshes one object. *Events alone*",
        "means that Stripe offers neither.",
        "",
        "## Created here",
        "",
        *_table(("kind", "collection", "actions", "read by", "events"), map(_created_row, here)),
        "",
        "### What may be sent",
        "",
        "Names and nesting are stripe-python's; the OpenAPI document (`GET /openapi.json`) describes each parameter.",
        "One that is no field of the document is stored with the operation until Stripe has it. A GET does not show it",
        "as a field; Stripe's object shows it, where Stripe does (`expand=stripe`). These may not be given:",
        "",
        *_ours(),
        "",
        *_table(("kind", "with", "parameters"), (row for entry in here for row in _given_rows(entry))),
        "",
        "## Mirrored",
        "",
        "Copied from any event, whatever `ADOPT` says, and never changed by this service. Changes that no event shows",
        "are found by `reconcile --full` only.",
        "",
        "Of a connected account, only its `account` object is stored, and updated by its events. All other events of",
        "that account are `ignored`.",
        "",
        *_table(("kind", "collection", "read by", "events"), map(_mirrored_row, copied)),
        "",
        "## Not kept",
        "",
        "Our endpoint does not request their events. If one comes, it is answered with 200, and stored in the inbox as",
        "`ignored`, with the reason.",
        "",
        *_table(("because", "kinds, and types of event"), ((why, _code(names.split())) for why, names in NOT_MIRRORED)),
    ]


def _created_row(entry: "Entry") -> tuple[str, ...]:
    return _code([entry.kind]), _code([entry.collection]), ", ".join(entry.actions), _read(entry), _code(entry.events)


def _mirrored_row(entry: "Entry") -> tuple[str, ...]:
    return _code([entry.kind]), _code([entry.collection]), _read(entry), _code(entry.events)


def _given_rows(entry: "Entry") -> Iterator[tuple[str, ...]]:
    return ((_code([entry.kind]), verb, _code(names)) for verb, names in entry.parameters.items() if names)


def _ours() -> Iterator[str]:
    from stripe_mongo_sync.models.params.ours import OURS, OURS_AT

    yield from (f"- `{name}`, at any depth: it {why}." for name, why in OURS.items())
    yield from (f"- `{path}`: it {why}." for path, why in OURS_AT.items())


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    for cells in (head, ("---",) * len(head), *rows):
        yield f"| {' | '.join(cells)} |"
