"""The own fields of a type: those that mirror Stripe's, in the shape in which they are sent."""

from typing import Any, ClassVar

from mongoengine import EmbeddedDocumentField, ListField
from mongoengine.base import BaseField


class OwnFields:
    """What a type's own fields are, and what they are of an object, for `SyncedDocument`."""

    _fields: ClassVar[dict[str, BaseField]]

    @classmethod
    def prepared(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Return the checked `values` of a caller with what this type derives from them."""
        return values

    @classmethod
    def own_fields(cls) -> dict[str, BaseField]:
        """Return the fields that mirror Stripe's, by name: those that say by which verbs they are `sent`.

        What is only told to Stripe (`told=True`: whether to confirm at once) mirrors nothing.
        """
        return {
            name: field
            for name, field in cls._fields.items()
            if hasattr(field, "sent") and not getattr(field, "told", False)
        }

    @classmethod
    def mirror(cls, remote: dict[str, Any]) -> dict[str, Any]:
        """Return the own fields as Stripe has them."""
        shown = cls.as_sent(remote)
        return {
            name: reduced(field, shown.get(getattr(field, "remote", name))) for name, field in cls.own_fields().items()
        }

    @classmethod
    def as_sent(cls, remote: dict[str, Any]) -> dict[str, Any]:
        """Return an object with its fields in the shape in which they are sent, where Stripe shows another."""
        return remote


def reduced(field: BaseField, value: Any) -> Any:
    """Return of Stripe's `value` what `field` keeps: of an embedded document just the fields that it names."""
    if isinstance(field, EmbeddedDocumentField) and isinstance(value, dict):
        return {name: reduced(inner, value.get(name)) for name, inner in field.document_type._fields.items()}
    if isinstance(field, ListField) and isinstance(value, list):
        return [reduced(field.field, item) for item in value]
    return value
