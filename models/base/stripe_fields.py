"""The fields of a type that mirror Stripe's, in the shape in which they are sent.

A row that is not at rest is consistent: its digest fits its snapshot, its id and fields fit the snapshot, and its
status fits its id. Every write of ours keeps it so, and an inconsistent row was edited by hand in MongoDB.
"""

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, ClassVar

from mongoengine import EmbeddedDocumentField, IntField, ListField
from mongoengine.base import BaseField

from stripe_mongo_sync.models.base.embedded import JsonField
from stripe_mongo_sync.models.base.facts import Status
from stripe_mongo_sync.models.base.lifecycle import LIVE, StagedDocument
from stripe_mongo_sync.models.rows.content import digest

Projection = Callable[[Any], Any]
DEAD = ({"status": Status.DELETED}, {"status": Status.ROLLED_BACK, "stripe_id": None})
AWAKE = {"$nor": [{"is_current": False, **dead} for dead in DEAD]}  # a finished document keeps its last values
# Documents, not finished ones, whose id differs from that of their snapshot.
MISNAMED = {**AWAKE, "stripe.id": {"$type": "string"}, "$expr": {"$ne": ["$stripe_id", "$stripe.id"]}}


class StripeFields(StagedDocument):
    """The fields that mirror Stripe's, and their values of an object, for `SyncedDocument`."""

    meta: ClassVar[dict[str, Any]] = {"abstract": True}

    @classmethod
    def misderived(cls, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the fields of a stored row should be that this type derives from others, where they are not."""
        return {}

    @classmethod
    def fields_from(cls, remote: dict[str, Any]) -> dict[str, Any]:
        """Return the fields with the values that Stripe shows."""
        shown = cls.in_request_shape(remote).get
        return {name: part(shown(shown_as)) if part else shown(shown_as) for name, shown_as, part in cls._mirror()}

    @classmethod
    @cache
    def _mirror(cls) -> list[tuple[str, str, Projection | None]]:
        """Return the name of each such field, Stripe's name for it, and what part of the value it keeps."""
        own = cls.own_fields().items()
        return [(name, getattr(field, "stripe_name", name), projection(field)) for name, field in own]

    @classmethod
    def in_request_shape(cls, remote: dict[str, Any]) -> dict[str, Any]:
        """Return an object with its fields in the shape of a request, where Stripe shows another shape."""
        return remote

    @classmethod
    def comparable(cls, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return what of an operation's parameters an object shows as it was sent: the fields, and their parts."""
        own = {name: field for name, field in cls.own_fields().items() if name in params}
        return {
            name: _part(field, params[name])
            for name, field in own.items()
            if not (isinstance(field, IntField) and isinstance(params[name], str) and params[name])  # such as `now`
        }

    @classmethod
    def edited(cls, row: Mapping[str, Any]) -> list[str]:
        """Return the fields that contradict the rest of a stored row; `stripe` stands for the snapshot itself."""
        snapshot, found = row.get("stripe"), super().edited(row)
        if row.get("is_current") is False and row.get("status") not in LIVE:
            return found  # a deleted document keeps its last snapshot as it came
        found += cls.misderived(row)
        if snapshot is None and row.get("digest") is None:
            return found  # not seen yet
        if not isinstance(snapshot, dict) or _digest(snapshot) != row.get("digest"):
            return [*found, "stripe"]  # an edited snapshot proves nothing about the other fields
        id = snapshot.get("id")
        if isinstance(id, str) and id != row.get("stripe_id"):
            found.append("stripe_id")
        fields = cls.fields_from({**snapshot, "id": id or row.get("stripe_id")})
        unshown = [name for name in cls.resource.expand if name not in snapshot and row.get("due_at") is not None]
        differs = (name for name, value in fields.items() if not _alike(row.get(name), value))
        # A field that the due refresh will fill may still be as the caller sent it.
        return [*found, *(name for name in differs if name not in unshown)]

    @classmethod
    def _status_fits(cls, row: Mapping[str, Any]) -> bool:
        is_linked = isinstance(row.get("stripe_id"), str) or isinstance(row.get("stripe"), dict)
        return super()._status_fits(row) and is_linked == (row.get("status") in (Status.ACTIVE, Status.DELETED))


def _digest(snapshot: dict[str, Any]) -> str | None:
    """Return the digest of a snapshot, or None if it is not JSON."""
    try:
        return digest(snapshot)
    except (TypeError, ValueError, RecursionError):
        return None


def _alike(one: Any, other: Any) -> bool:
    """Whether two values are the same text: in it, 1, 1.0 and true differ."""
    if type(one) is type(other) and isinstance(one, str | int | None):
        return bool(one == other)
    return json.dumps(one, sort_keys=True, default=repr) == json.dumps(other, sort_keys=True, default=repr)


def _part(field: BaseField, value: Any) -> Any:
    if isinstance(field, EmbeddedDocumentField) and isinstance(value, dict):
        inner = field.document_type._fields.items()
        return {name: _part(each, value[name]) for name, each in inner if name in value and type(each) is not JsonField}
    if isinstance(field, ListField) and field.field is not None and isinstance(value, list):
        return [_part(field.field, item) for item in value]
    return value


def projection(field: BaseField) -> Projection | None:
    """Return the function of the part of Stripe's value that `field` keeps: of an object, the fields of its embedded
    document. None: it keeps the whole.
    """
    if isinstance(field, EmbeddedDocumentField):
        parts = [(name, projection(inner)) for name, inner in field.document_type._fields.items()]
        return lambda value: (
            {name: part(value.get(name)) if part else value.get(name) for name, part in parts}
            if isinstance(value, dict)
            else value
        )
    if isinstance(field, ListField) and field.field is not None and (each := projection(field.field)) is not None:
        return lambda value: [each(item) for item in value] if isinstance(value, list) else value
    return None
