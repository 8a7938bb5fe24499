"""Observations: what an event, a reply or a list page shows of one object, and how a document merges it."""

from datetime import datetime
from typing import Any

from pymongo.errors import DuplicateKeyError

from stripe_mongo_sync.models import Status, SyncedDocument
from stripe_mongo_sync.models.base.decision import leaves_doubt
from stripe_mongo_sync.models.base.facts import Observation
from stripe_mongo_sync.models.base.resource import Resource, is_deleted, shortened
from stripe_mongo_sync.models.event_body import request_key
from stripe_mongo_sync.models.rows.content import sight
from stripe_mongo_sync.sync.engine.references import referring
from stripe_mongo_sync.sync.stripe.answers import Reply, api_version

Model = type[SyncedDocument]
FOREVER = 2**53  # later than any second of Stripe's


def _sight(model: Model, remote: dict[str, Any], *, whole: bool, asked: bool = True) -> dict[str, Any]:
    """Return the content that an observation shows: none unless it is `whole`, in our version.

    An event was not `asked` for the fields that Stripe shows only on request, so it shows nothing of them.
    """
    if not whole:
        return {"remote": None, "fields": {}}
    read = sight(remote)
    unshown = () if asked else tuple(name for name in model.resource.expand if name not in read.kept)
    fields = model.fields_from(read.kept)
    shown = {name: value for name, value in fields.items() if name not in unshown} if unshown else fields
    return {"remote": read.kept, "fields": shown, "unshown": unshown, "read": read}


def _is_whole(model: Model, reply: Reply, remote: dict[str, Any]) -> bool:
    asked = reply.version == api_version() and reply.expanded >= set(model.resource.expand)
    return asked and not shortened(remote)  # it may show only the first ten of a list


def from_event(model: Model, event: dict[str, Any]) -> Observation:
    """Return an event's observation. It has no content if the event is rendered in another API version than ours, shows
    only the beginning of a list, or was stored without some fields.

    The deletion of a mirrored object keeps its last content; an object without a GET has the content that events show.
    """
    remote, resource, version = event["data"]["object"], model.resource, event.get("api_version")
    gone = resource.deletes(event["type"]) or is_deleted(remote)
    if gone:
        whole = resource.mirrored and not is_deleted(remote)
    else:
        ours = version == api_version() or (resource.events_only and version is not None)
        whole = ours and not (event.get("withheld") or shortened(remote))
    at = _moment(resource, event, gone)
    return Observation(
        source=f"webhook {event['id']}",
        stripe_id=remote["id"],
        **_sight(model, remote, whole=whole, asked=False),
        earliest=at,
        latest=at,
        event=True,
        events_only=resource.events_only,
        deleted=gone,
        completed_key=request_key(event),
    )


def _moment(resource: Resource, event: dict[str, Any], gone: bool) -> int:
    """Return the second by which an event is ordered among the observations of its object."""
    if gone and resource.mirrored and not resource.accepts_custom_id:
        return FOREVER  # Stripe never reuses its id, so nothing comes after its deletion
    first = resource.events_only and event["type"] == resource.created_event
    return int(event["created"]) - first  # the other events of that second came after


def from_reply(
    model: Model,
    reply: Reply,
    completed_key: str | None = None,
    problem: dict[str, Any] | None = None,
    lease: datetime | None = None,
) -> Observation:
    """Return a reply's observation. A reply that is replayed, incomplete, or in another API version than ours (its
    operation was staged before an upgrade) proves the id, but shows no content.
    """
    fresh = not reply.replayed and not reply.gone and _is_whole(model, reply, reply.remote)
    return Observation(
        source=f"reply {reply.request_id}",
        stripe_id=reply.remote["id"],
        **_sight(model, reply.remote, whole=fresh),
        earliest=reply.earliest if fresh else 0,
        latest=reply.latest if fresh or reply.gone else 0,
        deleted=reply.gone,
        completed_key=completed_key,
        problem=problem,
        lease=lease,
    )


def from_page(model: Model, remote: dict[str, Any], page: Reply) -> Observation:
    """Return the observation of one object on a list page.

    It is treated like an event that happened between two known seconds: merged if surely newer than the snapshot,
    otherwise a refresh is due. It confirms the content, and unlike the reply to a POST it never ends a lease.
    """
    return Observation(
        source=f"list {page.request_id}",
        stripe_id=remote["id"],
        **_sight(model, remote, whole=_is_whole(model, page, remote)),
        earliest=page.earliest,
        latest=page.latest,
        event=True,
    )


def existence_of(stripe_id: str, by: str, *, deleted: bool = False) -> Observation:
    """Return an observation without content: the object exists, or it is now deleted."""
    latest = FOREVER if deleted else 0
    return Observation(
        source=by, stripe_id=stripe_id, remote=None, fields={}, earliest=0, latest=latest, deleted=deleted
    )


def merge_observation(
    model: Model,
    where: dict[str, Any],
    evidence: Observation,
    *,
    hearsay: bool = False,
    held: SyncedDocument | None = None,
) -> SyncedDocument | None:
    """Merge `evidence` into the document that `where` selects, and return that document, or None if there is none.

    If an unused adopted document has the object, it is removed in favor of the document whose key created the object;
    a document of an earlier object with the same id is deleted.
    A reply is `hearsay`: against a document that created the object itself, it raises DuplicateKeyError. `held` is the
    document as the caller read it, who holds its lease.
    """
    try:
        return model.merge(where, evidence, held)
    except DuplicateKeyError:
        holder = model.objects(stripe_id=evidence.stripe_id, is_current=True).first()
        ended = holder is None or _ended_by(holder, evidence)
        if hearsay and not ended and holder.creation_key is not None:
            raise
        if ended or (holder.adopted and not referenced(holder) and holder.remove_adopted()):
            return merge_observation(model, where, evidence, hearsay=hearsay)
        owner = model.objects(__raw__=where).first()
        told = f"{evidence.stripe_id} was created by this document's key, but another document has it and is in use"
        reason = f"{told}: {holder.id}. `operations roll-back <id>` gives up the one of the two that is wrong"
        reviewed: SyncedDocument | None = owner and (owner.send_to_review(reason) or owner.fetch_latest())
        return reviewed


def _ended_by(document: SyncedDocument, evidence: Observation) -> bool:
    """Whether an observation shows that another object has this document's id: then the document is deleted."""
    if document.facts(document.updated_at).age_of(evidence) <= 0:
        return False
    ended = document.merge({"_id": document.id}, evidence)
    return ended is None or ended.status == Status.DELETED


def referenced(document: SyncedDocument) -> bool:
    """Whether a current document refers to this one's object."""
    return any(model.objects(__raw__=condition).first() for model, condition in referring(document))


def needs_refresh(document: SyncedDocument, evidence: Observation) -> bool:
    """Whether the document's content is still in doubt after it has merged `evidence`."""
    return leaves_doubt(document.facts(document.updated_at), evidence)


def is_new_incarnation(document: SyncedDocument, remote: dict[str, Any]) -> bool:
    """Whether a custom id that was deleted here now belongs to another object. Stripe never reuses an id of its own.

    A thin event does not show when its object was created; it may then be another object.
    """
    born = (document.stripe or {}).get("created")
    reusable = document.status == "deleted" and document.resource.accepts_custom_id
    return reusable and not is_deleted(remote) and remote.get("created") != born
