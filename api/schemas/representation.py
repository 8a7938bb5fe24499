"""Renders a document as JSON, with what the caller's token may see.

A token with `read` sees every document, any other one the documents that it created, and of the rest only id, kind and
status. A token without `read` is meant for a checkout or a form, which must not look customers up.
"""

from datetime import datetime
from typing import Any

from flask import g
from mongoengine import EmbeddedDocument

from stripe_mongo_sync.models import Customer, StagedDocument, Status
from stripe_mongo_sync.models.lists.filters import MAIN
from stripe_mongo_sync.models.rows.content import handed_on, linked, shown, without_links
from stripe_mongo_sync.sync.process.screen import precisely
from stripe_mongo_sync.sync.tokens import Scope


def as_caller_sees(document: StagedDocument, *, expand: bool = False, links: bool = True) -> dict[str, Any]:
    """Return a document as the caller's token may see it; with `expand`, with Stripe's object under `stripe`.

    A token without `read` sees the documents that it created, as they are now, with Stripe's object only if it also
    created the customer, as the object shows that customer's data. Of other documents it sees id, kind and status.
    """
    keys = caller_has(Scope.WRITE)
    if caller_has(Scope.READ):
        return as_json(document, expand=expand, keys=keys, links=links)
    if not made_by_caller(document):
        return {"id": str(document.id), "kind": document.resource.kind, "status": document.status}
    shown = as_json(document, expand=expand, keys=keys, links=links)
    if expand and not _made_customer_of(document):
        shown["stripe"] = None
    return shown


def caller_has(scope: Scope) -> bool:
    """Return whether the caller's token has this scope."""
    return scope in g.get("scopes", ())


def made_by_caller(document: StagedDocument) -> bool:
    """Return whether the caller's token created this document."""
    caller = g.get("token")
    return caller is not None and document.request is not None and document.request.caller == caller


def _made_customer_of(document: StagedDocument) -> bool:
    customer = getattr(document, "customer", None)
    owner = Customer.by_stripe_id(customer) if isinstance(customer, str) else None
    return customer is None or (owner is not None and made_by_caller(owner))


def as_json(document: StagedDocument, *, expand: bool = False, keys: bool, links: bool = True) -> dict[str, Any]:
    """Return a document as the API shows it; with `expand`, with Stripe's object under `stripe`.

    `keys`, such as a `client_secret`, let a buyer pay; without them they are null. Without `links`, links are null, as
    they may have expired.
    """
    kind, own = document.resource.kind, type(document).own_fields()
    hidden = (frozenset() if keys else handed_on(kind)) | (frozenset() if links else linked(kind))
    names = ["username"] if hasattr(document, "username") else []
    names += [*own, *(MAIN if document.resource.mirrored else ())]
    body: dict[str, Any] = {
        "id": str(document.id),
        "kind": kind,
        "status": document.status,
        "stripe_id": document.stripe_id,
        **{name: None if name in hidden else plain(getattr(document, name)) for name in names},
        "confirmed_at": plain(document.confirmed_at),
        "created_at": plain(document.created_at),
        "updated_at": plain(document.updated_at),
        "operation": None,
        "error": None,
        "review": document.review_reason,
        "erased_at": plain(document.erased_at),
        **({"links_seen_at": plain(document.links_seen_at)} if linked(kind) else {}),
    }
    operation, error = document.operation, document.error
    if operation is not None and document.status != Status.ROLLED_BACK:  # a tombstone's is only for late objects
        body["operation"] = {
            "verb": operation.verb,
            "since": plain(operation.staged_at),
            "attempts": operation.attempts,
        }
    if error is not None:
        body["error"] = {"type": error.type, "code": error.code, "message": error.message}
    if expand:
        remote = document.stripe if keys or document.stripe is None else shown(document.stripe)
        body["stripe"] = remote if links or remote is None else without_links(remote)
    return body


def plain(value: Any) -> Any:
    """Return a value as JSON shows it, with dates as texts."""
    if isinstance(value, datetime):
        return precisely(value)
    if isinstance(value, EmbeddedDocument):
        return {name: plain(getattr(value, name)) for name in value._fields}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    return value
