"""Link: an operator says that a Stripe object is a document's. It is read first, and compared with what was staged.

Whether there is such an object, Stripe alone judges: ids of every form are in use.
"""

from dataclasses import dataclass, field
from typing import Any

from stripe_mongo_sync.models import Status, SyncedDocument
from stripe_mongo_sync.models.base.resource import is_id
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.engine.composite import COMPOSITES, notify_dependents
from stripe_mongo_sync.sync.engine.observations import existence_of, merge_observation, referenced
from stripe_mongo_sync.sync.engine.refresh import matches, refresh
from stripe_mongo_sync.sync.errors import NotPossible, ReadRefused
from stripe_mongo_sync.sync.logs import log


@dataclass(frozen=True)
class Difference:
    """A field that an object does not have as it was staged."""

    name: str
    staged: Any = field(repr=False)
    at_stripe: Any = field(repr=False)

    def __str__(self) -> str:
        return f"{self.name}: staged {self.staged!r}, at Stripe {self.at_stripe!r}"


class Differs(NotPossible):
    says = "The object differs from what was staged."

    def __init__(self, message: str, differences: list[Difference]) -> None:
        super().__init__(message)
        self.differences = differences


@dataclass(frozen=True)
class Linked:
    """What a link did."""

    document: SyncedDocument
    differs: list[str]  # the names of the fields that it does not have as they were staged
    removed: str | None  # the id of the adopted document that held the object


def linked(document: SyncedDocument, stripe_id: str, *, force: bool = False) -> Linked:
    """Hand an object to a document that is pending or was rolled back (then it is a twin, and undone).

    Raises Differs unless it is as it was staged, or `force` says that this does not matter; NotPossible; CannotLook.
    """
    model = type(document)
    if document.status not in (Status.PENDING, Status.ROLLED_BACK) or document.resource.kind in COMPOSITES:
        raise NotPossible(f"This document is {document.status}.")
    remote = _read(document, stripe_id)
    differences = compare(document, remote)
    if not force and document.operation is None:
        raise Differs("What was staged is no longer kept, so it cannot be compared: if you are sure, --force.", [])
    if differences and not force:
        names = ", ".join(difference.name for difference in differences)
        raise Differs(f"{stripe_id} differs from what was staged ({names}): if it is the one, --force.", differences)
    holder = model.objects(stripe_id=stripe_id, live=True, id__ne=document.id).first()
    if holder is not None and (not holder.adopted or referenced(holder)):
        raise NotPossible(f"Document {holder.id} holds {stripe_id}, and is in use.")
    if document.review is not None:
        document = _moved(document.move(review=None, in_doubt=False, lease=clock.from_now()))
    taken = _moved(merge_observation(model, {"_id": document.id}, existence_of(stripe_id, "operator")))
    removed = str(holder.id) if holder is not None and model.objects(id=holder.id).first() is None else None
    if removed is not None:
        log.warning("%s %s: the adopted document %s, which held %s, was removed", *_of(document), removed, stripe_id)
    seen = refresh(taken) if taken.status == Status.ACTIVE else taken
    notify_dependents(seen)
    return Linked(seen, [difference.name for difference in differences], removed)


def _read(document: SyncedDocument, stripe_id: str) -> dict[str, Any]:
    """Return the object of that id. Raises NotPossible where Stripe has none."""
    try:
        reply = current().gateway.get(document.resource.object_path(stripe_id)) if is_id(stripe_id) else None
    except ReadRefused:
        reply = None
    if reply is None or reply.gone or reply.remote.get("object") != document.resource.kind:
        raise NotPossible(f"Stripe has no {document.resource.kind} {ascii(stripe_id)[1:-1]}.")
    return reply.remote


def compare(document: SyncedDocument, remote: dict[str, Any]) -> list[Difference]:
    """Return the fields that an object does not have as they were staged; what is only told to Stripe shows nowhere."""
    sent = document.operation.params if document.operation is not None else {}
    shown, has = {*type(document).own_fields(), "id"}, type(document).in_request_shape(remote)
    return [
        Difference(name, value, has.get(name))
        for name, value in sent.items()
        if name in shown and not matches({name: value}, has)
    ]


def _of(document: SyncedDocument) -> tuple[str, str]:
    return document.resource.kind, str(document.id)


def _moved(moved: SyncedDocument | None) -> SyncedDocument:
    if moved is None:
        raise NotPossible("Somebody else changed it at the same time: look, and try again.")
    return moved
