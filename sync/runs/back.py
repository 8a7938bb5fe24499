"""Makes a deleted document active again when Stripe's list still shows its object.

The list may have been read before the deletion. So the object is read by its id, after the document: this reply is
newer than whatever deleted the document, and is stored only if nothing has changed since.
"""

from pymongo.errors import DuplicateKeyError

from stripe_mongo_sync.models import SyncedDocument
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.engine.dependents import notify_dependents
from stripe_mongo_sync.sync.engine.observations import from_reply, is_new_incarnation
from stripe_mongo_sync.sync.logs import log

BACK, DELETED, HELD = "back", "deleted", "held"  # the outcomes, in the words of the counts


def bring_back(document: SyncedDocument, *, dry: bool = False) -> str:
    """Make a deleted document active again if its object exists; return the outcome. Raises CannotReadStripe.

    When that is impossible (another customer has its username, or it was erased), the document is put in review.
    """
    model = type(document)
    reply = current().gateway.get(document.path) if document.path else None
    if reply is None or reply.gone or is_new_incarnation(document, reply.remote):
        return DELETED
    holder = model.objects(stripe_id=document.stripe_id, is_current=True, id__ne=document.id).first()
    if holder is not None:
        return DELETED  # the object has another document
    if dry:
        return BACK
    about = f"{document.stripe_id} is deleted here, but exists at Stripe"
    if document.erased_at is not None:
        return _held(document, f"{about}, although it was erased")
    try:
        back = document.bring_back(from_reply(model, reply))
    except DuplicateKeyError:
        return _held(document, f"{about}, and another customer has its username: rename or delete that one, then retry")
    if back is None:
        return DELETED  # another process changed it; the next comparison sees it
    log.warning("%s %s was deleted, but Stripe lists %s: it is active again", *_named(document), document.stripe_id)
    notify_dependents(back)
    return BACK


def _held(document: SyncedDocument, reason: str) -> str:
    if document.review_reason is None:
        document.send_to_review(reason)
        log.warning("%s %s is in review: %s", *_named(document), reason)
    return HELD


def _named(document: SyncedDocument) -> tuple[str, str]:
    return document.resource.kind, str(document.id)
