"""Migrations: the first run rewrites what an older version stored, as this version would have stored it.

Each goes through whole collections in batches and saves its place after each batch, so a kill costs one batch at most.
Every step is idempotent, and several runs may do it at once. When all are done, they cost one read per run.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from pymongo.errors import DuplicateKeyError

from stripe_mongo_sync.models import (
    Customer,
    Delivery,
    Erasure,
    Event,
    Status,
    SyncedDocument,
    kinds,
    present_kinds,
    stored,
    synced_kinds,
)
from stripe_mongo_sync.models.event_body import creation_key, object_id, of_others, storable, without_content
from stripe_mongo_sync.models.mirrored import collection_of
from stripe_mongo_sync.models.rows.content import digest, has_links, kept
from stripe_mongo_sync.models.rows.keys import IdempotencyKey
from stripe_mongo_sync.models.rows.tally import having
from stripe_mongo_sync.models.state import ALIKE, MIGRATIONS, State
from stripe_mongo_sync.models.username import fold, key_of_id
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.database.schema import migrated, settle
from stripe_mongo_sync.sync.engine.admission import OTHERS
from stripe_mongo_sync.sync.engine.dependents import notify_dependents
from stripe_mongo_sync.sync.inbox.arrival import Malformed, parse
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.process.stop import STOP
from stripe_mongo_sync.sync.runs.progress import OnProgress, ProgressStep
from stripe_mongo_sync.sync.shop.persons import FIELDS, Model, guard_of, right_owners

BATCH = 500
Row = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """The change of the rows of one collection."""

    collection: str
    fields: tuple[str, ...]  # the fields to read; the first changes whenever the others do, so it guards the write
    change: Callable[[Row], Row]  # returns the fields to set, {} for none
    taken: Callable[[Row], None] | None = None  # called if another row has the unique value that this one would get


@dataclass(frozen=True)
class Migration:
    """A named change of the stored rows."""

    name: str
    parts: Callable[[], list[Part]]
    ends: Callable[[], None] = lambda: None  # called after the last row


def migrate(on_progress: OnProgress) -> None:
    """Run the migrations that are not done. `on_progress` may stop them; the next run continues."""
    known = State.read(MIGRATIONS) or {}
    if migrated(known):
        return
    done, place = list(known.get("done", [])), known.get("place")
    for migration in MIGRATED:
        if migration.name not in done:
            _do(migration, done, place if place and place["name"] == migration.name else None, on_progress)
            done.append(migration.name)
            State.write(MIGRATIONS, {"done": done, "place": None})
    settle(current().settings)


def _do(migration: Migration, done: list[str], at: Row | None, on_progress: OnProgress) -> None:
    read = changed = 0
    for part in sorted(migration.parts(), key=lambda part: part.collection):
        if at and part.collection < at["collection"]:
            continue
        after = at["after"] if at and part.collection == at["collection"] else None
        while rows := stored.rows_after(part.collection, after, BATCH, *part.fields):
            changed += sum(_changed(part, row) for row in rows)
            read, after = read + len(rows), rows[-1]["_id"]
            if len(rows) == BATCH:
                place = {"name": migration.name, "collection": part.collection, "after": after}
                State.write(MIGRATIONS, {"done": done, "place": place})
            on_progress(ProgressStep("migrations", "0/3", read))
            STOP.here()
    migration.ends()
    if changed:
        log.info("%s: %s of %s rows were rewritten", migration.name, changed, read)


def _changed(part: Part, row: Row) -> bool:
    """Rewrite a row, and return whether it changed. If another process changed it meanwhile, read it again."""
    rows = [row]
    while rows:
        changes = part.change(rows[0])
        if not changes:
            return False
        try:
            if stored.rewrite(part.collection, rows[0], part.fields[0], changes):
                return True
        except DuplicateKeyError:
            if part.taken is None:
                raise
            part.taken(rows[0])
            return False
        rows = list(stored.row(part.collection, row["_id"], *part.fields))
    return False


# --- keys are removed, links get the time of their reading, and digests are of the content that stays ---

GONE = ("billing_portal.session",)  # kinds that were mirrored once, although their objects are keys


def _content() -> list[Part]:
    fields = ("revision", "stripe", "digest", "links_seen_at", "seen_at")
    documents = [Part(model.plural(), fields, _document) for model in present_kinds().values()]
    of_event = [Part(model.plural(), ("raw", "type"), _event) for model in (Event, Delivery)]
    return documents + of_event


def _document(row: Row) -> Row:
    remote = row.get("stripe")
    if not isinstance(remote, dict):
        return {}
    left = kept(remote)
    told = row.get("digest") and digest(left)
    seen = row.get("links_seen_at")
    if seen is None and has_links(left):
        seen = datetime.fromtimestamp(row.get("seen_at") or 0, UTC)
    new = {"stripe": left, "digest": told, "links_seen_at": seen}
    return {name: value for name, value in new.items() if value != row.get(name)}


def _event(row: Row) -> Row:
    raw = row.get("raw")
    if raw is None:
        return {}
    try:
        left = storable(parse(raw), raw)
    except Malformed:
        left = storable({"id": row["_id"], "type": row.get("type", "")}, json.dumps({}).encode())
    return {"raw": left} if left != raw else {}


def _drop_keys() -> None:
    for name in {collection_of(kind) for kind in GONE if kind not in kinds()}:
        if stored.is_there(name):
            stored.drop(name)


# --- orders with disputes from before orders followed disputes are recomputed ---


def _follow_disputes() -> None:
    for dispute in synced_kinds()["dispute"].objects:
        notify_dependents(dispute)


# --- events of other accounts and modes lose their bodies ---


def _inbox() -> list[Part]:
    return [Part(Event.plural(), ("raw", "error", "type", "object_id"), _of_others)]


def _of_others(row: Row) -> Row:
    if row.get("error") not in OTHERS or row.get("raw") is None:
        return {}
    try:
        event = of_others(parse(row["raw"]))
    except Malformed:
        event = {"id": row["_id"], "type": row.get("type", "")}
    left = {"raw": without_content(event), "object_id": object_id(event)}
    return {name: value for name, value in left.items() if value != row.get(name)}


# --- creation events say with which key, and those of other installations stay, without their bodies ---


def _creations() -> list[Part]:
    return [Part(Event.plural(), ("raw", "error", "type", "creation_key"), _creation)]


def _creation(row: Row) -> Row:
    if row.get("creation_key") is not None or row.get("raw") is None or row.get("error") in OTHERS:
        return {}
    try:
        event = parse(row["raw"])
    except Malformed:
        return {}
    key = creation_key(event)
    maker = IdempotencyKey.parse(key)
    theirs = maker is not None and maker.installation != current().installation
    kept = {"raw": without_content(event), "settled_at": None} if theirs else {}
    return {} if key is None else {"creation_key": key, **kept}


# --- usernames that look the same get the same key, and custom ids get a key that no username may have ---


def _ids() -> list[Part]:
    return [Part("customers", ("revision", "stripe_id", "id_key"), _id_key)]


def _id_key(row: Row) -> Row:
    key = row.get("stripe_id") and key_of_id(row["stripe_id"])
    return {"id_key": key} if key != row.get("id_key") else {}


def _names() -> list[Part]:
    return [Part("customers", ("revision", "username", "username_key"), _username_key, _alike)]


def _username_key(row: Row) -> Row:
    key = row.get("username_key") and row.get("username") and fold(row["username"])
    return {"username_key": key} if key and key != row["username_key"] else {}


def _alike(row: Row) -> None:
    """Record a customer whose username looks like another's: it keeps its old key, and is found by the exact name."""
    State.add(ALIKE, "ids", row["_id"])


# --- customers who were erased only because an object of theirs mentioned an erased person are restored ---


def _remember_the_living() -> None:
    """Restore these customers after their objects: a run that continues this finds them by their `erased_at`."""
    erased = [each.id for each in Erasure.objects.only("id")]
    living = list(Customer.objects(status=Status.ACTIVE, erased_at__ne=None, id__nin=erased))  # nobody asked for it
    for customer in living:
        Erasure.spare(customer.stripe_id)
    theirs = {"erased_at": {"$ne": None}, "stripe.customer": {"$in": [customer.stripe_id for customer in living]}}
    for model in having(present_kinds().values(), {}) if living else ():
        for document in model.objects(__raw__=theirs):
            _remember(document)
    for customer in living:
        _remember(customer)


def _remember(document: SyncedDocument) -> None:
    while document.erased_at is not None and document.unerase() is None:
        document = document.fetch_latest()  # another process changed it meanwhile


# --- every row names whose it is ---


def _owners() -> list[Part]:
    models: list[Model] = [*present_kinds().values(), Event, Delivery]
    return [Part(model.plural(), (guard_of(model), "owners", *FIELDS), partial(_owners_of, model)) for model in models]


def _owners_of(model: Model, row: Row) -> Row:
    return right_owners(model, row) if row.get("owners") is None else {}


MIGRATED = (
    Migration("content", _content, _drop_keys),
    Migration("disputes", lambda: [], _follow_disputes),
    Migration("of others", _inbox),
    Migration("chosen ids", _ids),
    Migration("usernames", _names),
    Migration("living", lambda: [], _remember_the_living),
    Migration("creations", _creations),
    Migration("owners", _owners),
)
