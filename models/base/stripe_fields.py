"""The fields of a type that mirror Stripe's, in the shape in which they are sent.

A row that is not at rest is consistent: its digest fits its snapshot, its id and fields fit the snapshot, and its
status fits its id. Every write of ours keeps it so, and an inconsistent row was edited by hand in MongoDB.
"""

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from mongoengine import EmbeddedDocumentField, ListField
from mongoengine.base import BaseField

from stripe_mongo_sync.models.base.facts import Status
from stripe_mongo_sync.models.base.lifecycle import LIVE, StagedDocument
from stripe_mongo_sync.models.rows.content import digest

DEAD = ({"status": Status.DELETED}, {"status": Status.ROLLED_BACK, "stripe_id": None})
AWAKE = {"$nor": [{"live": False, **dead} for dead in DEAD]}  # a finished document keeps its last values
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
        shown = cls.in_request_shape(remote)
        return {
            name: projected(field, shown.get(getattr(field, "stripe_name", name)))
            for name, field in cls.own_fields().items()
        }

    @classmethod
    def in_request_shape(cls, remote: dict[str, Any]) -> dict[str, Any]:
        """Return an object with its fields in the shape of a request, where Stripe shows another shape."""
        return remote

    @classmethod
    def edited(cls, row: Mapping[str, Any]) -> list[str]:
        """Return the fields that contradict the rest of a stored row; `stripe` stands for the snapshot itself."""
        snapshot, found = row.get("stripe"), super().edited(row)
        if row.get("live") is False and row.get("status") not in LIVE:
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
        unshown = [name for name in cls.resource.expand if name not in snapshot and row.get("lease") is not None]
        differs = (name for name, value in fields.items() if _text(row.get(name)) != _text(value))
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


def _text(value: Any) -> str:
    """Return a value as text: in it, 1, 1.0 and true differ."""
    return json.dumps(value, sort_keys=True, default=repr)


def projected(field: BaseField, value: Any) -> Any:
    """Return the part of Stripe's `value` that `field` keeps: of an object, the fields of its embedded document."""
    if isinstance(field, EmbeddedDocumentField) and isinstance(value, dict):
        return {name: projected(inner, value.get(name)) for name, inner in field.document_type._fields.items()}
    if isinstance(field, ListField) and isinstance(value, list):
        return [projected(field.field, item) for item in value]
    return value
