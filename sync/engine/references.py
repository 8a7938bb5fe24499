"""References: a parameter that names an object of another kind takes our id or Stripe's, and is sent as Stripe's."""

from collections.abc import Iterator
from typing import Any

from bson import ObjectId
from mongoengine import EmbeddedDocumentField, ListField
from mongoengine.base import BaseField

from stripe_mongo_sync.models import Customer, StagedDocument, Status, SyncedDocument, created_kinds, kinds
from stripe_mongo_sync.models.base.input import Invalid
from stripe_mongo_sync.models.base.resource import is_id
from stripe_mongo_sync.models.params.ours import REFERENCES, reference
from stripe_mongo_sync.models.params.table import Table, table


def resolved(model: type[StagedDocument], values: dict[str, Any], verb: str, by: str = "") -> dict[str, Any]:
    """Return validated `values` with every reference as a Stripe id. Raises Invalid unless all are active.

    A customer who is provisional for another document than this one, `by`, is to stay from now on.
    """
    errors: dict[str, str] = {}
    result = _resolve(model.resource.kind, model.resource.takes(verb), values, ("", ""), errors)
    if errors:
        raise Invalid(errors)
    if (customer := result.get("customer")) and "customer" in model.resource.takes(verb):
        used(Customer.by_stripe_id(customer), "customer", by)
    return result


def used(customer: Customer | None, name: str, by: str) -> None:
    """Let a customer stay who is provisional for another document than `by`, which names them. Raises Invalid."""
    if customer is not None and customer.made_for not in (None, by) and not customer.keep():
        raise Invalid({name: "is being deleted"})


Place = tuple[str, str]  # the path of a parameter, and the same with the places in lists, as an error names it


def _resolve(kind: str, fields: Table, values: dict[str, Any], at: Place, errors: dict[str, str]) -> dict[str, Any]:
    return {
        name: _one(kind, fields.get(name), value, (at[0] + name, at[1] + name), errors)
        for name, value in values.items()
    }


def _one(kind: str, shape: Any, value: Any, at: Place, errors: dict[str, str]) -> Any:
    if shape is None or not value:
        return value
    path, label = at
    if isinstance(value, dict) and shape.fields is not None:
        return _resolve(kind, table(shape.fields), value, (f"{path}.", f"{label}."), errors)
    if isinstance(value, list):
        return [_one(kind, shape.items, item, (path, f"{label}.{n}"), errors) for n, item in enumerate(value)]
    named = reference(kind, path)
    return value if named is None or not isinstance(value, str) else _stripe_id(named, value, label, errors)


def _stripe_id(kind: str, value: str, label: str, errors: dict[str, str]) -> str | None:
    target = kinds()[kind].lookup(value)
    if target is None:
        # An object of a kind that has no creation event may exist all the same: Stripe checks it.
        if kinds()[kind].resource.has_created_event or not is_id(value) or ObjectId.is_valid(value):
            errors[label] = f"there is no such {kind} here"
        return value
    if target.status != Status.ACTIVE:
        errors[label] = f"this {kind} is {target.status}, not active"
    return target.stripe_id


def referring(document: SyncedDocument) -> Iterator[tuple[type[StagedDocument], dict[str, Any]]]:
    """Yield each model that can refer to this kind, with the query of its current documents that refer to this one."""
    for model in created_kinds().values():
        for path in _paths(dict(model.own_fields()), document.resource.kind):
            yield model, {"is_current": True, path: document.stripe_id}


def _paths(fields: dict[str, BaseField], kind: str, prefix: str = "") -> Iterator[str]:
    for name, field in fields.items():
        inner = field.field if isinstance(field, ListField) else field
        if isinstance(inner, EmbeddedDocumentField):
            yield from _paths(dict(inner.document_type._fields), kind, f"{prefix}{name}.")
        elif REFERENCES.get(name) == kind:
            yield prefix + name
