"""Undo: make an orphan unusable. A circuit breaker keeps a bug of ours from deleting a shop's customers."""

from dataclasses import dataclass, field

from stripe_mongo_sync.models import SyncedDocument, Undo, created_kinds
from stripe_mongo_sync.models.base.embedded import Call
from stripe_mongo_sync.models.base.facts import KEY_REPLAY_WINDOW
from stripe_mongo_sync.models.base.resource import Resource
from stripe_mongo_sync.models.rows.keys import IdempotencyKey
from stripe_mongo_sync.models.rows.sure import sure
from stripe_mongo_sync.models.state import CIRCUIT_BREAKER, State
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.process.backoff import backoff
from stripe_mongo_sync.sync.stripe.about import of_id
from stripe_mongo_sync.sync.stripe.answers import Refusal, Reply, Unknown
from stripe_mongo_sync.sync.stripe.dashboard import page_of

MIN_CAP = 20  # undos and deletions that one run may do in any installation
CAP_DIVISOR = 100  # a large installation's cap is the number of its current documents divided by this


@dataclass
class CircuitBreaker:
    """Limits what one run does that cannot be reversed. Once the cap is reached, it stays open until an operator
    confirms.
    """

    spent: int = 0
    _latched: bool | None = field(default=None)
    _cap: int | None = field(default=None)

    @property
    def is_open(self) -> bool:
        """Whether this run or an earlier one has reached the cap."""
        if self._latched is None:
            self._latched = State.read(CIRCUIT_BREAKER) is not None
        return self._latched

    @property
    def cap(self) -> int:
        """The limit of this run. It is counted when a run comes near it, which most never do."""
        if self._cap is None:
            live: int = sum(model.objects(is_current=True).count() for model in created_kinds().values())
            self._cap = max(MIN_CAP, live // CAP_DIVISOR)
        return self._cap

    def allow(self) -> bool:
        """Count one undo or deletion; return False if the breaker is open."""
        if self.is_open:
            return False
        if self.spent >= MIN_CAP and self.spent >= self.cap:
            State.write(CIRCUIT_BREAKER, {"cap": self.cap})
            self._latched = True
            log.error("circuit breaker open: the limit of %s undos and deletions is reached; see `status`", self.cap)
            return False
        self.spent += 1
        return True


def undo(document: SyncedDocument, breaker: CircuitBreaker) -> bool:
    """Undo the orphans of a claimed document; return False if the circuit breaker stopped it. Raises CannotReadStripe.

    An orphan is undone only if no current document uses it and no money depends on it; otherwise the document is sent
    to review.
    """
    while document.orphans:
        orphan = document.orphans[0]
        reason = undo_blocker(document, orphan)
        if reason is not None:
            document.send_to_review(f"{orphan} should be undone, but {reason}. {_settles(document, orphan)}")
            return True
        if is_usable(document, orphan):
            if not breaker.allow():
                return False
            sent = _undo(document, orphan)
            if sent is None:
                return True
            document = sent
        undone = document.record_undo(orphan)
        if undone is None:
            return True  # another writer changed the document; the next run continues
        log.info("%s %s: %s undone", document.resource.kind, document.id, orphan)
        document = undone
    return True


def undo_blocker(document: SyncedDocument, orphan: str) -> str | None:
    """Return why this orphan must not be undone automatically, or None."""
    holder = type(document).objects(stripe_id=orphan, is_current=True).first()
    if holder:
        return f"document {holder.id} uses it"
    if not document.resource.undo:
        return "its effect cannot be undone"
    return use_of(document.resource, orphan)


def use_of(resource: Resource, id: str) -> str | None:
    """Return what at Stripe forbids to undo an object automatically, or None."""
    gateway = current().gateway
    for path in resource.undo_blockers:
        if gateway.first(path, **{resource.kind: id}) is not None:
            return f"{path} shows an object of it"
    reply = gateway.get(resource.object_path(id)) if resource.undo_blockers else None
    if reply and not reply.gone and reply.remote.get("balance"):
        return "it has a balance"
    return None


def is_usable(document: SyncedDocument, orphan: str) -> bool:
    """Whether the orphan must still be undone, as after a 404, which proves nothing. Raises CannotReadStripe."""
    resource = document.resource
    reply = current().gateway.get(resource.object_path(orphan))
    return reply is None or resource.is_usable(reply.remote)


def _undo(document: SyncedDocument, orphan: str) -> SyncedDocument | None:
    """Make an orphan unusable, and return the document, or None if a later run must continue.

    The undo is staged before it is sent, so that an operator who keeps the orphan sees a request in flight.
    If the operator has kept it before, the revision has changed, and nothing is sent.
    """
    resource = document.resource
    begun = document.undoing if document.undoing and document.undoing.orphan == orphan else None
    for way in resource.undo[resource.undo.index(Undo(begun.way)) if begun else 0 :]:
        known = (
            begun is not None
            and begun.way == way
            and begun.key
            and document.claimed_at - begun.staged_at < KEY_REPLAY_WINDOW
        )
        key = (
            None if known else str(IdempotencyKey.generate(current().installation, resource.kind, document.id, "undo"))
        )
        staged = document.begin_undo(orphan, way, key)
        if staged is None:
            return None  # another writer changed the document, or the lease has ended
        document = staged
        answer = current().gateway.write(_call(document), of_id(orphan))
        if not isinstance(answer, Refusal) or answer.not_found:
            break
    match answer:
        case Unknown() | Reply(replayed=True):  # a replay is up to a day old: it may be usable again
            spent = document.spend_undo() if isinstance(answer, Reply) or answer.saved else document
            (spent or document).reschedule(backoff(1))
            return None
        case Refusal(not_found=False):
            told = f"{orphan} should be undone, but Stripe says: {answer.problem['message']}"
            document.send_to_review(f"{told.removesuffix('.')}. {_settles(document, orphan)}", undoing=None)
            return None
    return document


def _settles(document: SyncedDocument, orphan: str) -> str:
    """Return how an operator decides about an orphan."""
    page = page_of(document.resource.kind, orphan, livemode=current().settings.livemode)
    why = "The key of this document created it, and the document has another object or was given up"
    keep, undo = f"`operations roll-back {document.id}`", f"`operations retry {document.id}`"
    return f"{why}. {page}. To keep it: {keep}; once nothing uses it any more, to undo it: {undo}"


def _call(document: SyncedDocument) -> Call:
    undoing = sure(document.undoing)
    url = document.resource.object_path(undoing.orphan)
    match undoing.way:
        case Undo.DELETE:
            return Call(url, {}, "delete")
        case Undo.ARCHIVE:
            return Call(url, {"active": False}, key=undoing.key or "")
    return Call(f"{url}/{undoing.way}", {}, key=undoing.key or "")
