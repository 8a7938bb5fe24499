"""Validates a request body: returns fields, or one error per field.

A field of a model says itself what it takes: its MongoEngine type, its limits, and by which verbs it is `sent` to
Stripe ("create update", "create", or "" for what only Stripe sets). A `local_only` field is never sent. What cannot be
read off a field is in its `help_text`; a field with a `validation` of its own shows its format in `schema_pattern`.
Types are checked before anything else, so that nothing from a request body can become a query operator.
"""

import math
from itertools import islice
from typing import Any

from mongoengine import (
    BooleanField,
    EmbeddedDocumentField,
    FloatField,
    IntField,
    ListField,
    StringField,
    ValidationError,
)
from mongoengine.base import BaseField

from stripe_mongo_sync.models.base.embedded import JsonField
from stripe_mongo_sync.models.base.lifecycle import StagedDocument

JSON_TYPES: dict[type[BaseField], tuple[tuple[type, ...], str]] = {
    StringField: ((str,), "a string"),
    BooleanField: ((bool,), "true or false"),
    IntField: ((int,), "a whole number"),
    FloatField: ((int, float), "a number"),
    ListField: ((list,), "a list"),
    EmbeddedDocumentField: ((dict,), "an object"),
    JsonField: ((dict,), "an object"),
}
DEEPEST = 20  # levels of JSON; no field has more than four, and Python's own limit depends on who calls
INT64 = 2**63  # BSON's limit, and Stripe's
PLAIN = (str, bool, float, type(None))  # JSON values without inner values to check
LARGEST_BITS = 64  # no field holds more; printing a number takes time that grows with the square of its digits
MOST_ERRORS, LONGEST_NAME = 100, 200  # errors shown of one body, and characters of a name


class Invalid(ValueError):
    __doc__ = says = "The request has fields that cannot be accepted: `errors` says why, by field."

    def __init__(self, errors: dict[str, str]) -> None:
        told = {_cut(name): why for name, why in islice(errors.items(), MOST_ERRORS)}
        super().__init__("; ".join(f"{name}: {why}" for name, why in told.items()))
        self.errors = told


def _cut(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"


def require_json(given: Any) -> None:
    """Raise Invalid unless every value is JSON: a Python caller may give anything, such as a date or a Decimal."""
    if wrong := _no_json(given, DEEPEST):
        place, why = wrong
        raise Invalid({".".join(_cut(name) for name in reversed(place)): why})


def _no_json(given: Any, levels: int) -> tuple[list[str], str] | None:
    """Return the path of a value that is not JSON, the innermost name first, and the reason; None if all are JSON.

    The path is built only for an error: for each value, that would take time that grows with the square of the body.
    """
    if levels == 0:
        return [], "is nested too deep"
    if isinstance(given, dict | list):
        for name, inner in given.items() if isinstance(given, dict) else enumerate(given):
            if isinstance(given, dict) and not isinstance(name, str):
                return [str(name)], "must have a string for its name"
            if inner.__class__ in PLAIN and levels > 1:
                continue
            if wrong := _no_json(inner, levels - 1):
                wrong[0].append(str(name))
                return wrong
    elif isinstance(given, int) and given.bit_length() > LARGEST_BITS:
        return [], "is too large"
    elif not (given is None or isinstance(given, str | bool | int | float)):
        return [], f"is a {type(given).__name__}, which JSON does not know"
    return None


def validate(model: type[StagedDocument], body: dict[str, Any], verb: str) -> dict[str, Any]:
    """Return the fields that `body` sets, or raise Invalid with every problem at once.

    On an update, None unsets the field at Stripe.
    """
    errors: dict[str, str] = {}
    accepted = {name: field for name, field in model._fields.items() if verb in writable_verbs(field)}
    values = _values(accepted, body, "", verb, errors)
    for name, field in model.own_fields().items():
        if name in body and name not in accepted:
            errors[name] = "cannot be changed" if writable_verbs(field) else "is set by Stripe"
    if verb == "update" and not body:
        errors["body"] = "names no field to change"
    if errors:
        raise Invalid(errors)
    return values


def checked_fields(fields: dict[str, BaseField], body: dict[str, Any], verb: str) -> dict[str, Any]:
    """Return the fields that `body` gives an action, or raise Invalid with every problem at once."""
    errors: dict[str, str] = {}
    values = _values(fields, body, "", verb, errors)
    if errors:
        raise Invalid(errors)
    return values


def writable_verbs(field: BaseField) -> set[str]:
    """Return the verbs with which a caller may give this field."""
    return {"create", "update"} if getattr(field, "local_only", False) else set(getattr(field, "sent", "").split())


def _values(
    fields: dict[str, BaseField], body: dict[str, Any], path: str, verb: str, errors: dict[str, str]
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, given in body.items():
        label = f"{path}{name}"
        if name not in fields:
            errors[label] = "is not a field of this type"
        elif given is None and not fields[name].required:
            values[name] = None
        else:
            values[name] = _value(fields[name], given, label, verb, errors)
    for name, field in fields.items():
        if field.required and name not in body and (verb == "create" or path):
            errors[f"{path}{name}"] = "is required"
    return values


def _value(field: Any, given: Any, label: str, verb: str, errors: dict[str, str]) -> Any:
    types, spoken = next(rule for kind, rule in JSON_TYPES.items() if isinstance(field, kind))
    value: Any = given
    if isinstance(field, IntField) and isinstance(given, float) and given.is_integer():
        value = given = int(given)  # in JSON, 1.0 and 1 are the same number
    if not isinstance(given, types) or (isinstance(given, bool) and bool not in types):
        errors[label] = f"must be {spoken}"
        return None
    if isinstance(field, EmbeddedDocumentField):
        return _values(inner_fields(field, verb), value, f"{label}.", verb, errors)
    if isinstance(field, ListField) and field.field is not None:
        if field.max_length and len(value) > field.max_length:
            errors[label] = f"has more than {field.max_length} items"
            return None
        return [_value(field.field, item, f"{label}.{n}", verb, errors) for n, item in enumerate(value)]
    if isinstance(value, str) and field.max_length is not None and len(value) > field.max_length:
        errors[label] = f"has more than {field.max_length} characters"  # before all that takes longer
        return None
    if problem := _unstorable(value):
        errors[label] = problem
        return None
    try:
        field._validate(value)
    except ValidationError as error:
        errors[label] = str(error.message)
    if value == "" and field.required:
        errors[label] = "is empty"  # at Stripe, "" would mean: unset it
    elif value != "" and getattr(field, "regex", None) and not field.regex.fullmatch(value):
        errors[label] = "does not have the form of this field"  # MongoEngine's `$` lets a line end follow
    return value


def inner_fields(field: EmbeddedDocumentField, verb: str) -> dict[str, BaseField]:
    """Return the fields of an embedded document that a caller may give with a verb; without `sent`, with every verb."""
    fields: dict[str, BaseField] = field.document_type._fields
    return {name: inner for name, inner in fields.items() if verb in getattr(inner, "sent", verb).split()}


def _unstorable(given: Any) -> str | None:
    if isinstance(given, int) and not -INT64 <= given < INT64:
        return "is too large"
    if isinstance(given, float) and not math.isfinite(given):
        return "is too large"  # JSON's 1e999 is read as infinity
    if isinstance(given, str):
        try:
            given.encode()
        except UnicodeEncodeError:
            return "is not valid Unicode"
        if "\0" in given:
            return "has a NUL character"
    return None


def params(model: type[StagedDocument], values: dict[str, Any], verb: str) -> dict[str, Any]:
    """Return the Stripe parameters of validated `values`.

    A create leaves out None and empty lists, because nothing is to be unset; an update unsets them.
    """
    sent = {name for name, field in model._fields.items() if hasattr(field, "sent")}
    return to_params({name: value for name, value in values.items() if name in sent}, verb)


def to_params(value: Any, verb: str) -> Any:
    """Return a validated value as parameters."""
    if isinstance(value, dict):
        return {
            name: "" if inner is None else to_params(inner, verb)
            for name, inner in value.items()
            if verb == "update" or inner not in (None, [])
        }
    if isinstance(value, list):
        return [to_params(item, verb) for item in value] or ""
    return value
