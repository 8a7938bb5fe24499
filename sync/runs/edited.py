"""Finds documents that were edited by hand in MongoDB, names the fields without their values, and restores them.

An edited row contradicts itself (`models/base/stripe_fields.py`). A row that does not costs no request.
"""

import json
from collections.abc import Iterator
from typing import Any

from pymongo.errors import DuplicateKeyError

from stripe_mongo_sync.models import Event, Order, StagedDocument, Status, SyncedDocument
from stripe_mongo_sync.models.base.facts import Observation
from stripe_mongo_sync.models.rows.sure import sure
from stripe_mongo_sync.sync.engine.dependents import notify_dependents
from stripe_mongo_sync.sync.engine.observations import from_event
from stripe_mongo_sync.sync.engine.refresh import refresh
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.runs.back import BACK, DELETED, bring_back
from stripe_mongo_sync.sync.shop import orders

BY = "full comparison"
RECENT = 20  # events of one object that are searched for the content that was stored


def edits(document: StagedDocument, strays: list[str] | None = None) -> list[str]:
    """Return the fields that were edited by hand, as far as the row shows; an order is compared with its payment.

    `strays` are the fields that contradict the payment, if they are known.
    """
    found = type(document).edited(sure(document.stored))
    if not isinstance(document, Order):
        return found
    strays = orders.strays([document])[document.id] if strays is None else strays
    return (
        strays if document.review_reason is not None else sorted({*found, *strays})
    )  # an operator knows of the others


def tell_log(kind: str, id: Any, fields: list[str]) -> None:
    """Log which fields of a document were edited."""
    log.warning("%s %s was edited in MongoDB and contradicts itself: %s", kind, id, ", ".join(fields))


def put_right(document: StagedDocument, fields: list[str], sight: Observation | None = None) -> None:
    """Bring a document whose `fields` were edited to what Stripe has; `sight` is how a list just showed its object.

    Written only if nothing changed since the document was read; else the next comparison sees. Raises CannotReadStripe.
    """
    if isinstance(document, Order):
        _restore_order(document, fields)
    elif isinstance(document, SyncedDocument):
        _restore(document, fields, sight)


def _restore(document: SyncedDocument, fields: list[str], sight: Observation | None) -> None:
    if document.status == Status.DELETED:
        became = bring_back(document)
        if became == DELETED:
            document.update_if_unchanged(BY, status=Status.DELETED)
        elif became == BACK:
            refresh(document.fetch_latest())
        return
    restored = type(document).misderived(sure(document.stored))
    named = _named(document, fields, restored)
    if named is None or named.status != Status.ACTIVE or restored.keys() >= {*fields}:
        return
    seen = _as_stored(named, fields, sight)
    if seen is None:
        if sight is not None and sight.remote is not None:
            named.stripe = sight.remote  # of what is read under its owner, it names the owner; never stored
        seen = refresh(named)
    notify_dependents(seen)


def _restore_order(order: Order, fields: list[str]) -> None:
    status = Status(order.status) if order.status in [*Status] else Status.ACTIVE
    named = order.update_if_unchanged(BY, status=status) if "status" in fields else order
    if named is not None and named.status == Status.ACTIVE and fields != ["status"]:
        orders.follow(named)


def _named(document: SyncedDocument, fields: list[str], restored: dict[str, Any]) -> SyncedDocument | None:
    """Restore the id, the status and these fields from the rest of the row; return None when that is impossible."""
    changes = dict(restored)
    if "stripe_id" in fields:
        changes["stripe_id"] = sure(document.stripe)["id"]
    if "status" in fields:
        changes["status"] = _derived_status(document)
    if not changes:
        return document
    try:
        return document.update_if_unchanged(BY, **changes)
    except DuplicateKeyError:
        id = changes.get("stripe_id", document.stripe_id)
        holder = type(document).objects(stripe_id=id, is_current=True, id__ne=document.id).first()
        if holder is not None and holder.adopted and holder.remove_adopted():  # made for the object meanwhile
            return _named(document, fields, restored)
        told = "it was edited in MongoDB, and another document now has its object or its name"
        document.send_to_review(f"{told}: change that one, then `operations retry {document.id}`")
        return None


def _derived_status(document: SyncedDocument) -> Status:
    """Return the status that fits the rest of a document. A refresh finds whether its object still exists."""
    operation = document.operation
    if document.stripe_id is not None or document.stripe is not None:
        return Status.ACTIVE
    staged = operation is not None and operation.verb == "create" and document.finished_at is None
    return Status.PENDING if staged else Status.ROLLED_BACK


def _as_stored(document: SyncedDocument, fields: list[str], sight: Observation | None) -> SyncedDocument | None:
    """Store again what the digest says was stored, where it was just seen, or an event told it; else None.

    While a look is due, only that can tell which of two sights is the newer.
    """
    if document.due_at is not None:
        return None
    sights = [sight] if sight is not None else _told(document) if "stripe" in fields else ()
    for each in sights:
        if document.is_as(each) and each.remote is not None:
            return document.store_snapshot(each)
    return None


def _told(document: SyncedDocument) -> Iterator[Observation]:
    """Yield what the last events tell of an object: what Stripe shows in events only can be read nowhere else."""
    model, id = type(document), document.stripe_id
    for row in Event.objects(object_id=id, erased_at=None).order_by("-created").limit(RECENT):
        event = json.loads(row.raw)
        if event["data"]["object"].get("object") == model.resource.kind:
            yield from_event(model, event)
