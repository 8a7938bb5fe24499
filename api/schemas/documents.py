"""Builds the JSON Schemas of the documents in responses, from the fields of their models."""

from typing import Any

from mongoengine import (
    BooleanField,
    EmbeddedDocumentField,
    FloatField,
    IntField,
    ListField,
    StringField,
)
from mongoengine.base import BaseField

from stripe_mongo_sync.api.schemas.requests import Model, Schema, a
from stripe_mongo_sync.models import Status
from stripe_mongo_sync.models.base.embedded import JsonField
from stripe_mongo_sync.models.lists.filters import MAIN
from stripe_mongo_sync.models.rows.content import handed_on, linked

TYPES: dict[type[BaseField], str] = {
    StringField: "string",
    BooleanField: "boolean",
    IntField: "integer",
    FloatField: "number",
    ListField: "array",
    EmbeddedDocumentField: "object",
    JsonField: "object",
}
DOCUMENT_ID: Schema = {"type": "string", "pattern": "^[0-9a-f]{24}$"}
EVENT_ID: Schema = {"type": "string", "pattern": "^evt_[A-Za-z0-9_]{1,250}$"}
MOMENT: Schema = {"type": "string", "format": "date-time"}
MAIN_FIELDS: dict[str, Schema] = {  # of a mirrored document: null where its object has none
    "amount": {"type": ["integer", "object", "null"], "description": "In the currency's minor unit."},
    **{name: {"type": ["string", "null"]} for name in MAIN if name != "amount"},
}


def _type(field: BaseField) -> str:
    return next(name for kind, name in TYPES.items() if isinstance(field, kind))


def _described(field: BaseField) -> Schema:
    text = getattr(field, "help_text", None)
    return {"description": text} if text else {}


def word(model: Model) -> str:
    """Return the kind of a type in the form that operation ids use."""
    return model.resource.kind.replace(".", "_")


def noun(model: Model) -> str:
    """Return the kind of a type as prose, with its article: "a payment intent"."""
    return a(model.resource.kind)


def document_shape(model: Model) -> Schema:
    """Return the schema of a document in a response. Values come from Stripe, so our limits do not apply to them."""
    names = ["username"] if "username" in model._fields else []
    own = {name: model._fields[name] for name in [*names, *model.own_fields()]}
    properties: Schema = {
        "id": {**DOCUMENT_ID, "description": "The document's id."},
        "kind": {"const": model.resource.kind},
        "status": {"enum": list(Status), "description": "The document's status; the object's is `stripe_status`."},
        "stripe_id": {"type": ["string", "null"], "description": "The object's id at Stripe; null until it is known."},
        **{name: {**_shown_field(field), **_described(field), **_read_by(model, name)} for name, field in own.items()},
        "confirmed_at": {**_or_null(MOMENT), "description": "When an event or a list first showed the object."},
        "created_at": MOMENT,
        "updated_at": MOMENT,
        "operation": _or_null({"$ref": "#/components/schemas/Operation"}),
        "error": _or_null({"$ref": "#/components/schemas/Error"}),
        "review": {"type": ["string", "null"], "description": "Why an operator must decide about this document."},
        "erased_at": {**_or_null(MOMENT), "description": "When all personal data was removed from this document."},
    }
    if model.resource.mirrored:
        properties |= MAIN_FIELDS
    if linked(model.resource.kind):
        said = "When Stripe rendered its links. After 30 days, GET one document to renew them; in lists they are null."
        properties["links_seen_at"] = {**_or_null(MOMENT), "description": said}
    required = list(properties)
    properties["stripe"] = {"type": ["object", "null"], "description": "Stripe's object; only with `expand=stripe`."}
    return {
        "type": "object",
        "description": model.says,
        "properties": properties,
        "required": required,
    }


def _read_by(model: Model, name: str) -> Schema:
    if name not in handed_on(model.resource.kind):
        return {}
    said = getattr(model._fields[name], "help_text", None) or ""
    return {"description": f"{said} It grants access: null for a token without the scope `write`.".strip()}


def _shown_field(field: Any) -> Schema:
    schema: Schema = {"type": [_type(field), "null"]}
    if isinstance(field, EmbeddedDocumentField):
        inner = field.document_type._fields
        schema["properties"] = {name: {**_shown_field(each), **_described(each)} for name, each in inner.items()}
    elif isinstance(field, ListField) and field.field:
        schema["items"] = _shown_field(field.field)
    return schema


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


PARTS: dict[str, Schema] = {
    "Brief": {
        "type": "object",
        "description": "A document as shown to a token without the scope `read` that did not create it.",
        "properties": {
            "id": DOCUMENT_ID,
            "kind": {"type": "string"},
            "status": {"enum": list(Status)},
        },
        "required": ["id", "kind", "status"],
        "additionalProperties": False,
    },
    "Operation": {
        "type": "object",
        "description": "What must still be sent to Stripe; present after a 202.",
        "properties": {
            "verb": {"type": "string", "description": "create, update, delete, or an action."},
            "since": MOMENT,
            "attempts": {"type": "integer"},
        },
        "required": ["verb", "since", "attempts"],
    },
    "Error": {
        "type": "object",
        "description": "Why the document was rolled back, or why the last attempt failed.",
        "properties": {
            "type": {"type": "string"},
            "code": {"type": ["string", "null"]},
            "message": {"type": ["string", "null"]},
        },
        "required": ["type", "code", "message"],
    },
}
