"""Migrations: rewrite what an older version stored, as this version would have stored it: `migrate`.

Each goes through whole collections in batches, and every step is idempotent. So a kill costs one batch at most, and
several processes may do it at once, also beside a service of this version.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from stripe_mongo_sync.models import Delivery, Event, SyncedDocument, present_kinds, stored
from stripe_mongo_sync.models.event_body import creation_key, without_content
from stripe_mongo_sync.models.rows.keys import IdempotencyKey
from stripe_mongo_sync.models.state import MIGRATIONS, State
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.database.schema import migrated
from stripe_mongo_sync.sync.engine.admission import OTHERS
from stripe_mongo_sync.sync.inbox.arrival import Malformed, parse
from stripe_mongo_sync.sync.personal.persons import FIELDS, Model, guard_of, right_owners
from stripe_mongo_sync.sync.process.stop import STOP
from stripe_mongo_sync.sync.runs.progress import OnProgress, ProgressStep

BATCH = 500
Row = dict[str, Any]


def migrate(on_progress: OnProgress) -> dict[str, int]:
    """Run the migrations that are not done; return how many rows each has rewritten.

    `on_progress` may stop them; the next call continues.
    """
    rewritten = dict.fromkeys(MIGRATED, 0)
    for name, rewrite in MIGRATED.items():
        known = State.read(MIGRATIONS) or {}
        if migrated(known):
            break
        if name in known.get("done", ()):
            continue
        place = known.get("place") or {}
        read = 0
        for model in sorted(_models(), key=lambda model: model.plural()):
            before = place.get("name") == name and model.plural() < place.get("collection", "")
            at = place.get("after") if place.get("name") == name and place.get("collection") == model.plural() else None
            for after, changed in rewrite(model, at) if not before else ():
                rewritten[name] += changed
                State.set_part(MIGRATIONS, "place", {"name": name, "collection": model.plural(), "after": after})
                on_progress(ProgressStep(f"migrate: {name}", "0/3", read := read + BATCH))
                STOP.here()
        State.add(MIGRATIONS, "done", name)
    return rewritten


def _models() -> list[Model]:
    return [*present_kinds().values(), Event, Delivery]


Batches = Iterator[tuple[Any, int]]  # the id of the last row of each batch, and how many rows it has changed


def _in_batches(model: Model, after: Any, fields: tuple[str, ...], change: Callable[[Row], Row]) -> Batches:
    """Set the fields that `change` returns, {} for none; the first field changes whenever the others do."""
    while rows := stored.rows_after(model.plural(), after, BATCH, *fields):
        after = rows[-1]["_id"]
        changed = [(row, changes) for row in rows if (changes := change(row))]
        if not stored.rewrite_each(model.plural(), fields[0], changed):
            for row, _ in changed:
                _change(model, row["_id"], fields, change)
        yield after, len(changed)


def _change(model: Model, id: Any, fields: tuple[str, ...], change: Callable[[Row], Row]) -> None:
    """Rewrite a row until no other process changes it meanwhile."""
    for row in stored.row(model.plural(), id, *fields):
        if (changes := change(row)) and not stored.rewrite(model.plural(), row, fields[0], changes):
            _change(model, id, fields, change)


# --- the fields of every row have the names of this version ---


def _names(model: Model, after: Any) -> Batches:
    while ids := stored.old_rows_after(model, after, BATCH):
        after = ids[-1]
        yield after, stored.upgrade(model, ids)


# --- creation events say with which key, and those of other installations stay, without their bodies ---


def _creations(model: Model, after: Any) -> Batches:
    if model is Event:
        yield from _in_batches(model, after, ("raw", "reason", "type", "creation_key"), _creation)


def _creation(row: Row) -> Row:
    if row.get("creation_key") is not None or row.get("raw") is None or row.get("reason") in OTHERS:
        return {}
    try:
        event = parse(row["raw"])
    except Malformed:
        return {}
    key = creation_key(event)
    maker = IdempotencyKey.parse(key)
    theirs = maker is not None and maker.installation != current().installation
    kept = {"raw": without_content(event), "finished_at": None} if theirs else {}
    return {} if key is None else {"creation_key": key, **kept}


# --- every row names whose it is ---


def _owners(model: Model, after: Any) -> Batches:
    yield from _in_batches(model, after, (guard_of(model), "owners", *FIELDS), partial(_owners_of, model))


def _owners_of(model: Model, row: Row) -> Row:
    return right_owners(model, row) if row.get("owners") is None else {}


# --- what was mirrored once and is created now has the fields of its type ---


def _fields(model: Model, after: Any) -> Batches:
    if issubclass(model, SyncedDocument) and not model.resource.mirrored:
        read = (guard_of(model), "stripe", *model.own_fields())
        yield from _in_batches(model, after, read, partial(_lacking, model))


def _lacking(model: type[SyncedDocument], row: Row) -> Row:
    lacking = model.own_fields().keys() - row.keys()
    if not lacking or not isinstance(row.get("stripe"), dict):
        return {}
    shown = model.fields_from(row["stripe"])
    return {name: shown[name] for name in lacking}


MIGRATED: dict[str, Callable[[Model, Any], Batches]] = {
    "names": _names,
    "creations": _creations,
    "owners": _owners,
    "fields": _fields,
}
