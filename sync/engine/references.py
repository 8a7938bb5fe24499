"""References: a field that `refers` to another kind accepts our id or Stripe's, and is sent as Stripe's."""

from collections.abc import Iterator
from typing import Any

from bson import ObjectId
from mongoengine import EmbeddedDocumentField, ListField
from mongoengine.base import BaseField

from stripe_mongo_sync.models import StagedDocument, Status, SyncedDocument, created_kinds, kinds
from stripe_mongo_sync.models.base.input import Invalid
from stripe_mongo_sync.models.base.resource import is_id


def resolved(model: type[StagedDocument], values: dict[str, Any]) -> dict[str, Any]:
    """Return checked `values` with every reference as a Stripe id. Raises Invalid unless all are active."""
    return resolve_references(dict(model._fields), values)


def resolve_references(fields: dict[str, BaseField], values: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of an action, with every reference as a Stripe id. Raises Invalid unless all are active."""
    errors: dict[str, str] = {}
    result = _resolve(fields, values, "", errors)
    if errors:
        raise Invalid(errors)
    return result


def _resolve(fields: dict[str, BaseField], values: dict[str, Any], path: str, errors: dict[str, str]) -> dict[str, Any]:
    return {name: _one(fields.get(name), value, path + name, errors) for name, value in values.items()}


def _one(field: BaseField | None, value: Any, label: str, errors: dict[str, str]) -> Any:
    if value is None or field is None:
        return value
    if isinstance(field, EmbeddedDocumentField):
        return _resolve(dict(field.document_type._fields), value, f"{label}.", errors)
    if isinstance(field, ListField) and field.field is not None:
        return [_one(field.field, item, f"{label}.{n}", errors) for n, item in enumerate(value)]
    kind = getattr(field, "references", None)
    if kind is None:
        return value
    target = kinds()[kind].lookup(value)
    if target is None and getattr(field, "allow_unknown", False) and is_id(value) and not ObjectId.is_valid(value):
        return value  # this kind has no creation event, so the object may exist: Stripe checks it
    if target is None:
        errors[label] = f"there is no such {kind} here"
        return value
    if target.status != Status.ACTIVE:
        errors[label] = f"this {kind} is {target.status}, not active"
    return target.stripe_id


def referring(document: SyncedDocument) -> Iterator[tuple[type[StagedDocument], dict[str, Any]]]:
    """Yield each model that can refer to this kind, with the query of its current documents that refer to this one."""
    for model in created_kinds().values():
        for path in _paths(dict(model._fields), document.resource.kind):
            yield model, {"is_current": True, path: document.stripe_id}


def _paths(fields: dict[str, BaseField], kind: str, prefix: str = "") -> Iterator[str]:
    for name, field in fields.items():
        inner = field.field if isinstance(field, ListField) else field
        if isinstance(inner, EmbeddedDocumentField):
            yield from _paths(dict(inner.document_type._fields), kind, f"{prefix}{name}.")
        elif getattr(inner, "references", None) == kind:
            yield prefix + name
