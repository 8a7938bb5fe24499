"""Builds the JSON Schemas of a type from its model: the bodies that a caller may send, and the documents in responses.

A field's options define its schema, and `models/base/input.py` validates by the same options; `help_text` adds what
they cannot express. A null unsets a field in an update, and leaves it out in a creation.
"""

import re
from typing import Any

from mongoengine import (
    BooleanField,
    EmbeddedDocument,
    EmbeddedDocumentField,
    FloatField,
    IntField,
    ListField,
    StringField,
)
from mongoengine.base import BaseField

from stripe_mongo_sync.models import StagedDocument, Status
from stripe_mongo_sync.models.base.embedded import JsonField
from stripe_mongo_sync.models.base.input import INT64, inner_fields, writable_verbs
from stripe_mongo_sync.models.lists.filters import MAIN
from stripe_mongo_sync.models.rows.content import handed_on, linked
from stripe_mongo_sync.sync.engine.saga import OWN_ID

Schema = dict[str, Any]
Model = type[StagedDocument]

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


def creation(model: Model) -> Schema:
    """Return the schema of a creation's body."""
    schema = _closed(
        {name: field for name, field in model._fields.items() if "create" in writable_verbs(field)}, "create"
    )
    if model.resource.accepts_custom_id:
        schema["properties"]["id"] = {
            "type": ["string", "null"],
            "pattern": f"^{OWN_ID.pattern}$",
            "not": {"type": "string", "pattern": "^[0-9a-fA-F]{24}$"},
            "description": "An id of your choice, which Stripe uses, too. It must not look like a document's id.",
        }
    return schema


def change(model: Model) -> Schema | None:
    """Return the schema of a change's body: either Stripe's fields or local ones; None if no field can be changed."""
    here = local_fields(model)
    sent = {n: field for n, field in model._fields.items() if "update" in writable_verbs(field) and n not in here}
    shapes = [{**_closed(fields, "update", whole=False), "minProperties": 1} for fields in (sent, here) if fields]
    return {"anyOf": shapes} if len(shapes) > 1 else next(iter(shapes), None)


def local_fields(model: Model) -> dict[str, BaseField]:
    """Return the fields that a caller may set, and that are never sent to Stripe."""
    return {name: field for name, field in model._fields.items() if getattr(field, "local_only", False)}


def parameters(takes: type[EmbeddedDocument] | None) -> Schema:
    """Return the schema of an action's parameters."""
    return _closed(dict(takes._fields) if takes else {}, "create")


def _closed(fields: dict[str, BaseField], verb: str, *, whole: bool = True) -> Schema:
    """Return an object schema with these fields and no others; with `whole`, required fields must be present."""
    schema: Schema = {
        "type": "object",
        "properties": {name: _accepted(field, verb) for name, field in fields.items()},
        "additionalProperties": False,
    }
    if whole and (required := [name for name, field in fields.items() if field.required]):
        schema["required"] = required
    return schema


def _accepted(field: Any, verb: str, *, item: bool = False) -> Schema:
    """Return the schema of a value for `field`. It allows null, except for required fields and items of lists."""
    schema: Schema = {"type": _type(field)}
    if isinstance(field, EmbeddedDocumentField):
        schema |= _closed(inner_fields(field, verb), verb)
    elif isinstance(field, ListField):
        schema |= {"items": _accepted(field.field, verb, item=True)} if field.field else {}
        schema |= {"maxItems": field.max_length} if field.max_length else {}
    elif isinstance(field, StringField):
        schema |= _text(field)
    elif isinstance(field, IntField):
        schema |= _between(field, -INT64, INT64 - 1)
    elif isinstance(field, FloatField):
        schema |= _between(field, None, None)
    if not (item or field.required):
        schema["type"] = [schema["type"], "null"]
        schema |= {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return {**schema, **_described(field)}


def _between(field: IntField | FloatField, lowest: int | None, highest: int | None) -> Schema:
    limits = {
        "minimum": lowest if field.min_value is None else field.min_value,
        "maximum": highest if field.max_value is None else field.max_value,
    }
    return {name: limit for name, limit in limits.items() if limit is not None}


def _text(field: StringField) -> Schema:
    least = max(field.min_length or 0, 1 if field.required else 0)
    schema: Schema = {"minLength": least} if least else {}
    schema |= {"maxLength": field.max_length} if field.max_length else {}
    schema |= {"enum": list(field.choices)} if field.choices else {}
    pattern = getattr(field, "schema_pattern", None) or (field.regex and _ecma(field.regex.pattern))
    return schema | ({"pattern": pattern} if pattern else {})


def _ecma(pattern: str) -> str:
    """Return a full-match pattern for JSON Schema, which searches for a match anywhere and does not know \\Z."""
    inner = re.sub(r"(\$|\\Z)$", "", pattern)
    return f"^(?:{inner})$" if "|" in inner else f"^{inner}$"


def _type(field: BaseField) -> str:
    return next(name for kind, name in TYPES.items() if isinstance(field, kind))


def _described(field: BaseField) -> Schema:
    inner = field.field if isinstance(field, ListField) else field
    refers, said = getattr(inner, "references", None), [getattr(field, "help_text", None)]
    if refers:
        said.append(f"The id of {_a(refers)} that is active here: the document's or Stripe's.")
    if getattr(field, "local_only", False):
        said.append("Stored here only, and not sent to Stripe. Change it in a separate request.")
    if getattr(field, "write_only", False):
        said.append("Sent to Stripe, and never returned by this API.")
    text = " ".join(filter(None, said))
    return {"description": text} if text else {}


def word(model: Model) -> str:
    """Return the kind of a type in the form that operation ids use."""
    return model.resource.kind.replace(".", "_")


def noun(model: Model) -> str:
    """Return the kind of a type as prose, with its article: "a payment intent"."""
    return _a(model.resource.kind)


def _a(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind.replace('_', ' ')}"


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
