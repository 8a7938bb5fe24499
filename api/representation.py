"""How a document looks in JSON."""

from datetime import UTC, datetime
from typing import Any

from mongoengine import EmbeddedDocument

from models import Status, SyncedDocument
from models.content import handed_on, linked, shown, without_links


def as_json(document: SyncedDocument, *, expand: bool = False, keys: bool, links: bool = True) -> dict[str, Any]:
    """Return a document as the API shows it; with `expand`, with Stripe's object under `stripe`.

    `keys` are shown to who may write: a buyer's way to pay. Without `links`, those are null: they may be dead.
    """
    kind, own = document.resource.kind, type(document).own_fields()
    hidden = (frozenset() if keys else handed_on(kind)) | (frozenset() if links else linked(kind))
    names = ["username"] if hasattr(document, "username") else []
    names += list(own)
    told: dict[str, Any] = {
        "id": str(document.id),
        "kind": kind,
        "status": document.status,
        "stripe_id": document.stripe_id,
        **{name: None if name in hidden else _plain(getattr(document, name)) for name in names},
        "confirmed_at": _plain(document.confirmed_at),
        "created_at": _plain(document.created_at),
        "updated_at": _plain(document.updated_at),
        "operation": None,
        "error": None,
        "review": document.review,
        "erased_at": _plain(document.erased_at),
        **({"links_seen_at": _plain(document.links_seen_at)} if linked(kind) else {}),
    }
    operation, error = document.operation, document.error
    if operation is not None and document.status != Status.ROLLED_BACK:  # a tombstone keeps it as evidence only
        told["operation"] = {
            "verb": operation.verb,
            "since": _plain(operation.since),
            "attempts": operation.attempts,
        }
    if error is not None:
        told["error"] = {"type": error.type, "code": error.code, "message": error.message}
    if expand:
        remote = document.stripe if keys or document.stripe is None else shown(document.stripe)
        told["stripe"] = remote if links or remote is None else without_links(remote)
    return told


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, EmbeddedDocument):
        return {name: _plain(getattr(value, name)) for name in value._fields}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
