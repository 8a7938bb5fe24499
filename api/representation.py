"""How a document looks in JSON."""

from datetime import UTC, datetime
from typing import Any

from mongoengine import EmbeddedDocument

from models import Status, SyncedDocument


def as_json(document: SyncedDocument, *, expand: bool = False) -> dict[str, Any]:
    """Return a document as the API shows it; with `expand`, with Stripe's object under `stripe`."""
    names = ["username"] if hasattr(document, "username") else []
    names += list(type(document).own_fields())
    shown: dict[str, Any] = {
        "id": str(document.id),
        "kind": document.resource.kind,
        "status": document.status,
        "stripe_id": document.stripe_id,
        **{name: _plain(getattr(document, name)) for name in names},
        "confirmed_at": _plain(document.confirmed_at),
        "created_at": _plain(document.created_at),
        "updated_at": _plain(document.updated_at),
        "operation": None,
        "error": None,
        "review": document.review,
        "erased_at": _plain(document.erased_at),
    }
    operation, error = document.operation, document.error
    if operation is not None and document.status != Status.ROLLED_BACK:  # a tombstone keeps it as evidence only
        shown["operation"] = {
            "verb": operation.verb,
            "since": _plain(operation.since),
            "attempts": operation.attempts,
        }
    if error is not None:
        shown["error"] = {"type": error.type, "code": error.code, "message": error.message}
    if expand:
        shown["stripe"] = document.stripe
    return shown


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, EmbeddedDocument):
        return {name: _plain(getattr(value, name)) for name in value._fields}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
