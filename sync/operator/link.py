"""Link: an operator says which Stripe object belongs to a document. It is read first, and compared with the operation.

Only Stripe decides whether such an object exists, because ids of every form are in use.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from bson import ObjectId

from stripe_mongo_sync.models import StagedDocument, Status, SyncedDocument
from stripe_mongo_sync.models.base.resource import is_id
from stripe_mongo_sync.models.rows.claimable import Decided, Decision, deciding
from stripe_mongo_sync.models.rows.clock import DueReason, due
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.engine.dependents import notify_dependents
from stripe_mongo_sync.sync.engine.observations import existence_of, merge_observation, referenced
from stripe_mongo_sync.sync.engine.refresh import matches, refresh
from stripe_mongo_sync.sync.errors import NotPossible, ReadRefused
from stripe_mongo_sync.sync.logs import log

ANYBODY = "operator"  # who acts by a command
ACTOR: ContextVar[str] = ContextVar("ACTOR", default=ANYBODY)  # who acts, as `status_changed_by` names them
D = TypeVar("D", bound=StagedDocument)
About = TypeVar("About", bound=str | Decided)
Rest = ParamSpec("Rest")
Result = TypeVar("Result")
Act = Callable[Concatenate[About, Rest], Result]


@contextmanager
def acting_as(name: str) -> Iterator[None]:
    """Let the rows that the block changes say which operator did it."""
    token = ACTOR.set(f"{ANYBODY} {name}")
    try:
        yield
    finally:
        ACTOR.reset(token)


def act(name: str) -> Callable[[Act[About, Rest, Result]], Act[About, Rest, Result]]:
    """Let the row that an act is about, which is given first, or its id, store the act, who did it, and when."""

    def decorated(do: Act[About, Rest, Result]) -> Act[About, Rest, Result]:
        @wraps(do)
        def done(about: About, /, *args: Rest.args, **kwargs: Rest.kwargs) -> Result:
            id = about if isinstance(about, str) else about.id
            with deciding(Decision(ObjectId(id) if ObjectId.is_valid(id) else id, name, ACTOR.get())):
                return do(about, *args, **kwargs)

        return done

    return decorated


def decision_of(row: Decided | None) -> dict[str, Any]:
    """Return what an operator decided last about a row, who that was, and when."""
    return {name: getattr(row, name, None) for name in ("decision", "decided_by", "decided_at")}


@dataclass(frozen=True)
class Difference:
    """A field whose value at Stripe differs from the staged one."""

    name: str
    staged: Any = field(repr=False)
    at_stripe: Any = field(repr=False)

    def __str__(self) -> str:
        return f"{self.name}: staged {self.staged!r}, at Stripe {self.at_stripe!r}"


class Differs(NotPossible):
    says = "The object differs from the staged operation."

    def __init__(self, message: str, differences: list[Difference]) -> None:
        super().__init__(message)
        self.differences = differences


@dataclass(frozen=True)
class Linked:
    """The result of a link."""

    document: SyncedDocument
    differs: list[str]  # the names of the fields that differ from the staged ones
    removed: str | None  # the id of the adopted document that had the object before


def linked(document: SyncedDocument, stripe_id: str, *, force: bool = False) -> Linked:
    """Link an object to a pending document; at a rolled-back one it becomes an orphan, which is undone.

    Raises Differs when the object is not as it was staged, unless `force` is given; NotPossible; CannotReadStripe.
    """
    model = type(document)
    if document.status not in (Status.PENDING, Status.ROLLED_BACK):
        why = f"it is {document.status}, and only pending or rolled-back documents can be linked"
        raise NotPossible(f"Cannot link {document.id}: {why}.")
    remote = _read(document, stripe_id)
    differences = compare(document, remote)
    if not force and document.operation is None:
        told = f"The operation of {document.id} is no longer kept, so {stripe_id} cannot be compared with it."
        raise Differs(f"{told} If you are sure, add --force.", [])
    if differences and not force:
        names = ", ".join(difference.name for difference in differences)
        told = f"{stripe_id} differs from the staged operation ({names})."
        raise Differs(f"{told} If it is the right object, add --force.", differences)
    holder = model.objects(stripe_id=stripe_id, is_current=True, id__ne=document.id).first()
    if holder is not None and (not holder.adopted or referenced(holder)):
        raise NotPossible(f"{stripe_id} already belongs to document {holder.id}, which is in use.")
    if document.review_reason is not None:
        document = moved(document.update_if_unchanged(review_reason=None, in_doubt=False, **due(DueReason.OPERATOR)))
    taken = moved(merge_observation(model, {"_id": document.id}, existence_of(stripe_id, ACTOR.get())))
    removed = str(holder.id) if holder is not None and model.objects(id=holder.id).first() is None else None
    if removed is not None:
        log.warning("%s %s: the adopted document %s, which had %s, was removed", *_of(document), removed, stripe_id)
    seen = refresh(taken) if taken.status == Status.ACTIVE else taken
    notify_dependents(seen)
    return Linked(seen, [difference.name for difference in differences], removed)


def _read(document: SyncedDocument, stripe_id: str) -> dict[str, Any]:
    """Return the object with that id. Raises NotPossible when Stripe has none."""
    try:
        reply = current().gateway.get(document.resource.object_path(stripe_id, document)) if is_id(stripe_id) else None
    except ReadRefused:
        reply = None
    if reply is None or reply.gone or reply.remote.get("object") != document.resource.kind:
        raise NotPossible(f"Stripe has no {document.resource.kind} {ascii(stripe_id)[1:-1]}.")
    return reply.remote


def compare(document: SyncedDocument, remote: dict[str, Any]) -> list[Difference]:
    """Return the fields that differ from the staged ones, except those that Stripe never returns."""
    return side_by_side(document, remote)[1]


def side_by_side(document: SyncedDocument, remote: dict[str, Any]) -> tuple[list[str], list[Difference]]:
    """Return the staged fields that an object shows as they were sent, and those that differ from it."""
    sent = document.resource.sent(document.operation) if document.operation is not None else {}
    comparable, has = type(document).comparable(sent), type(document).in_request_shape(remote)
    comparable |= {"id": sent["id"]} if "id" in sent else {}
    same = [name for name, value in comparable.items() if matches({name: value}, has)]
    return same, [Difference(name, value, has.get(name)) for name, value in comparable.items() if name not in same]


def _of(document: SyncedDocument) -> tuple[str, str]:
    return document.resource.kind, str(document.id)


def moved(document: D | None) -> D:
    """Return a document that was changed. Raises NotPossible if it was not, because another process did."""
    if document is None:
        raise NotPossible("Another process changed this document at the same time. Try again.")
    return document
