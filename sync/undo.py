"""Undo: make an orphan unusable, with the brakes that keep a mistake of ours from deleting a shop's customers."""

from dataclasses import dataclass, field

from models import SyncedDocument, Undo, created_kinds
from models.keys import Key
from models.state import LATCH, State
from sync.connection import current, log
from sync.converge import backoff
from sync.gateway import Answer, Refusal, Unknown

LEAST = 20  # undos and deletions that one run may do in any installation
SHARE = 100  # and in a large one, every hundredth of the live documents


@dataclass
class Brakes:
    """The cap of one run on what cannot be taken back. Once it is reached it latches, until an operator confirms."""

    spent: int = 0
    _cap: int | None = None
    _latched: bool | None = field(default=None)

    @property
    def latched(self) -> bool:
        """Whether an earlier run, or this one, reached the cap."""
        if self._latched is None:
            self._latched = State.read(LATCH) is not None
        return self._latched

    def spend(self) -> bool:
        """Take one of the cap; False when it is used up."""
        if self.latched:
            return False
        if self._cap is None:
            live = sum(model.objects(live=True).count() for model in created_kinds().values())
            self._cap = max(LEAST, live // SHARE)
        if self.spent >= self._cap:
            State.write(LATCH, {"cap": self._cap})
            self._latched = True
            log.error("the cap of %s undos and deletions is reached: look, then `operations confirm`", self._cap)
            return False
        self.spent += 1
        return True


def undo(document: SyncedDocument, brakes: Brakes) -> bool:
    """Undo the orphans of a claimed document; False when the brakes stopped it. Raises CannotLook.

    Each goes only if no live document claims it and no money hangs on it; else the document is put in review.
    """
    while document.orphans:
        orphan = document.orphans[0]
        reason = held_by(document, orphan)
        if reason is not None:
            document.ask_for_review(f"{orphan} should be undone, but {reason}")
            return True
        if is_usable(document, orphan):
            if not brakes.spend():
                return False
            answer = _undo(document, orphan)
            if isinstance(answer, Unknown):
                document.postpone(backoff(1))
                return True
            if isinstance(answer, Refusal) and not answer.missing:
                document.ask_for_review(f"{orphan} should be undone, but Stripe says: {answer.problem['message']}")
                return True
        undone = document.undid(orphan)
        if undone is None:
            return True  # it moved meanwhile; the next run goes on
        log.info("%s %s: %s undone", document.resource.kind, document.id, orphan)
        document = undone
    return True


def held_by(document: SyncedDocument, orphan: str) -> str | None:
    """Return why this orphan must not be undone automatically, or None."""
    holder = type(document).objects(stripe_id=orphan, live=True).first()
    if holder:
        return f"document {holder.id} uses it"
    if not document.resource.undo:
        return "what it did cannot be taken back"
    gateway, resource = current().gateway, document.resource
    for path in resource.holds:
        if gateway.first(path, **{resource.kind: orphan}) is not None:
            return f"{path} has something of it"
    reply = gateway.get(resource.url(orphan)) if resource.holds else None
    if reply and not reply.gone and reply.remote.get("balance"):
        return "it has a balance"
    return None


def is_usable(document: SyncedDocument, orphan: str) -> bool:
    """Whether the orphan still has to be undone. Raises CannotLook."""
    resource = document.resource
    reply = current().gateway.get(resource.url(orphan))
    return reply is not None and resource.is_usable(reply.remote)


def _undo(document: SyncedDocument, orphan: str) -> Answer:
    gateway, resource = current().gateway, document.resource
    url = resource.url(orphan)
    for way in resource.undo:
        key = str(Key.draw(current().installation, resource.kind, document.id, "undo"))
        match way:
            case Undo.DELETE:
                answer = gateway.delete(url)
            case Undo.ARCHIVE:
                answer = gateway.post(url, {"active": False}, key)
            case _:
                answer = gateway.post(f"{url}/{way}", {}, key)
        if not isinstance(answer, Refusal) or answer.missing:
            break
    return answer
