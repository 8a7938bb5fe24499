"""The shapes of a type in JSON Schema, read from its model: what a caller may send, and what is shown of a document.

Nothing is written down twice: a field says itself what it takes (`models/base/input.py` checks the same words), and its
`help_text` says what nobody can compute. An update takes null for "unset it", as a creation does for "leave it out".
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

from stripe_mongo_sync.models import Status, SyncedDocument
from stripe_mongo_sync.models.base.embedded import JsonField
from stripe_mongo_sync.models.base.input import INT64, inner_fields, writable_verbs
from stripe_mongo_sync.models.rows.content import handed_on, linked
from stripe_mongo_sync.sync.engine.saga import OWN_ID

Schema = dict[str, Any]
Model = type[SyncedDocument]

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


def creation(model: Model) -> Schema:
    """Return what creates a document."""
    schema = _closed(
        {name: field for name, field in model._fields.items() if "create" in writable_verbs(field)}, "create"
    )
    if model.resource.accepts_custom_id:
        schema["properties"]["id"] = {
            "type": ["string", "null"],
            "pattern": f"^{OWN_ID.pattern}$",
            "not": {"type": "string", "pattern": "^[0-9a-fA-F]{24}$"},
            "description": "An id of your own choice, at Stripe too. It may not be shaped like a document's.",
        }
    return schema


def change(model: Model) -> Schema | None:
    """Return what changes a document: fields of Stripe's, or those that are kept here only; None when nothing does."""
    here = local_fields(model)
    sent = {n: field for n, field in model._fields.items() if "update" in writable_verbs(field) and n not in here}
    shapes = [{**_closed(fields, "update", whole=False), "minProperties": 1} for fields in (sent, here) if fields]
    return {"anyOf": shapes} if len(shapes) > 1 else next(iter(shapes), None)


def local_fields(model: Model) -> dict[str, BaseField]:
    """Return the fields that a caller may set and Stripe is not told."""
    return {name: field for name, field in model._fields.items() if getattr(field, "local_only", False)}


def parameters(takes: type[EmbeddedDocument] | None) -> Schema:
    """Return what an action takes."""
    return _closed(dict(takes._fields) if takes else {}, "create")


def _closed(fields: dict[str, BaseField], verb: str, *, whole: bool = True) -> Schema:
    """Return an object of these fields and no others; a `whole` one has all that are required."""
    schema: Schema = {
        "type": "object",
        "properties": {name: _accepted(field, verb) for name, field in fields.items()},
        "additionalProperties": False,
    }
    if whole and (required := [name for name, field in fields.items() if field.required]):
        schema["required"] = required
    return schema


def _accepted(field: Any, verb: str, *, item: bool = False) -> Schema:
    """Return what `field` takes; null means that it has no value, unless it is required, or an item of a list."""
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
    """Return a pattern that must match the whole text in the words of JSON Schema, which searches, and knows no \\Z."""
    inner = re.sub(r"(\$|\\Z)$", "", pattern)
    return f"^(?:{inner})$" if "|" in inner else f"^{inner}$"


def _type(field: BaseField) -> str:
    return next(name for kind, name in TYPES.items() if isinstance(field, kind))


def _described(field: BaseField) -> Schema:
    inner = field.field if isinstance(field, ListField) else field
    refers, said = getattr(inner, "references", None), [getattr(field, "help_text", None)]
    if refers:
        said.append(f"Names {_a(refers)} that is active here, by its id or by Stripe's.")
    if getattr(field, "local_only", False):
        said.append("Kept here only, and changed in a request of its own.")
    if getattr(field, "write_only", False):
        said.append("Told to Stripe, and not kept.")
    text = " ".join(filter(None, said))
    return {"description": text} if text else {}


def word(model: Model) -> str:
    """Return the name of a type as a part of other names."""
    return model.resource.kind.replace(".", "_")


def noun(model: Model) -> str:
    """Return what people call one of them: a payment intent."""
    return _a(model.resource.kind)


def _a(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind.replace('_', ' ')}"


def document_shape(model: Model) -> Schema:
    """Return how a document looks. Values are Stripe's, so they keep to their type, but to no limit of ours."""
    names = ["username"] if "username" in model._fields else []
    own = {name: model._fields[name] for name in [*names, *model.own_fields()]}
    properties: Schema = {
        "id": {**DOCUMENT_ID, "description": "Ours."},
        "kind": {"const": model.resource.kind},
        "status": {"enum": list(Status), "description": "Where the document stands; Stripe's own is `stripe_status`."},
        "stripe_id": {"type": ["string", "null"], "description": "Stripe's; null while it is not known."},
        **{name: {**_shown_field(field), **_described(field), **_read_by(model, name)} for name, field in own.items()},
        "confirmed_at": {**_or_null(MOMENT), "description": "When Stripe itself (an event, a list) first told of it."},
        "created_at": MOMENT,
        "updated_at": MOMENT,
        "operation": _or_null({"$ref": "#/components/schemas/Operation"}),
        "error": _or_null({"$ref": "#/components/schemas/Error"}),
        "review": {"type": ["string", "null"], "description": "Why a person must decide about it."},
        "erased_at": {**_or_null(MOMENT), "description": "When all that told of a person was taken from it."},
    }
    if linked(model.resource.kind):
        said = "When its links were rendered, which die. One document is read again after 30 days; else they are null."
        properties["links_seen_at"] = {**_or_null(MOMENT), "description": said}
    required = list(properties)
    properties["stripe"] = {"type": ["object", "null"], "description": "Stripe's object, with `expand=stripe`."}
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
    return {"description": f"{said} Lets in whoever has it: null for a token without the scope `write`.".strip()}


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
        "description": "What a token without the scope `read` is shown of what it did not create.",
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
        "description": "What is still to be told to Stripe: how a 202 is followed up.",
        "properties": {
            "verb": {"type": "string", "description": "create, update, delete, or an action."},
            "since": MOMENT,
            "attempts": {"type": "integer"},
        },
        "required": ["verb", "since", "attempts"],
    },
    "Error": {
        "type": "object",
        "description": "Why it was rolled back, or what the last attempt said.",
        "properties": {
            "type": {"type": "string"},
            "code": {"type": ["string", "null"]},
            "message": {"type": ["string", "null"]},
        },
        "required": ["type", "code", "message"],
    },
}
