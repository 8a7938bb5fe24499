"""Back: what is deleted here and there all the same, as Stripe's list shows it, is put right.

A list may have been read before the deletion. So the object is read by its id, after the document: what it shows then
is newer than whatever made the document deleted, and is written only if nothing has changed since.
"""

from pymongo.errors import DuplicateKeyError

from stripe_mongo_sync.models import SyncedDocument
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.engine.composite import notify_dependents
from stripe_mongo_sync.sync.engine.observations import from_reply, is_new_incarnation
from stripe_mongo_sync.sync.logs import log

BACK, DELETED, HELD = "back", "deleted", "held"  # what became of it, in the words of the counts


def bring_back(document: SyncedDocument, *, dry: bool = False) -> str:
    """Make a deleted document active again if its object is there; return what became of it. Raises CannotLook.

    Where it cannot be (its username was given to another, or it was erased), it is put in review.
    """
    model = type(document)
    reply = current().gateway.get(document.path) if document.path else None
    if reply is None or reply.gone or is_new_incarnation(document, reply.remote):
        return DELETED
    holder = model.objects(stripe_id=document.stripe_id, live=True, id__ne=document.id).first()
    if holder is not None:
        return DELETED  # the object has another document
    if dry:
        return BACK
    about = f"{document.stripe_id} is deleted here, and there at Stripe"
    if document.erased_at is not None:
        return _held(document, f"{about}, although it was erased")
    try:
        back = document.bring_back(from_reply(model, reply))
    except DuplicateKeyError:
        return _held(document, f"{about}, but its username was given to another: rename or delete that one, then retry")
    if back is None:
        return DELETED  # somebody moved it meanwhile: the next comparison sees
    log.warning("%s %s was called deleted, and Stripe lists %s: active again", *_named(document), document.stripe_id)
    notify_dependents(back)
    return BACK


def _held(document: SyncedDocument, reason: str) -> str:
    if document.review is None:
        document.send_to_review(reason)
        log.warning("%s %s needs a person: %s", *_named(document), reason)
    return HELD


def _named(document: SyncedDocument) -> tuple[str, str]:
    return document.resource.kind, str(document.id)
