"""Validates a request body: returns what to send, or one error per field.

Names, types and nesting are Stripe's own (`models/params/table.py`), and Stripe judges the rest. A field of a model
adds only the limits that its document or an amount needs. Types are checked before anything else, so that nothing from
a request body can become a query operator.
"""

import math
import re
from functools import cache
from itertools import islice
from typing import Any

from bson import ObjectId
from mongoengine import FloatField, IntField, ListField, StringField, ValidationError
from mongoengine.base import BaseField

from stripe_mongo_sync.models.base.lifecycle import StagedDocument
from stripe_mongo_sync.models.base.stripe_fields import projection
from stripe_mongo_sync.models.params.amounts import LARGEST
from stripe_mongo_sync.models.params.ours import why_ours
from stripe_mongo_sync.models.params.table import Shape, Table, table

IF_MISSING = "create_customer_if_missing"  # a parameter of ours, of each creation that names a customer
DEEPEST = 20  # levels of JSON; Stripe's parameters have fewer, and Python's own limit depends on who calls
PLAIN = (str, bool, float, type(None))  # JSON values without inner values to check
LARGEST_BITS = 64  # no field holds more; printing a number takes time that grows with the square of its digits
LONGEST_TEXT, LONGEST_LIST = 40_000, 1000  # no parameter of Stripe's takes more
MOST_ERRORS, LONGEST_NAME = 100, 200  # errors shown of one body, and characters of a name
NAME = re.compile(r"[\w-]{1,40}", re.ASCII)  # of an entry that the caller names, such as a currency
OWN_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")
CURRENCY = re.compile(r"[A-Za-z]{3}")
DECIMAL = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,12})?")
SPOKEN = {
    "string": "a string",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "decimal": "a string with a decimal number",
}


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
    elif isinstance(given, ObjectId):
        return [], "is an ObjectId: give the id as a text, str(id)"
    elif not (given is None or isinstance(given, str | bool | int | float)):
        return [], f"is a {type(given).__name__}, which JSON does not know"
    return None


def buyer_of(model: type[StagedDocument]) -> str | None:
    """Return the parameter by which a creation of this type names its customer; None if it names none."""
    taken = model.resource.takes("create")
    return next((name for name in ("username", "customer") if name in taken), None)


@cache
def accepted(model: type[StagedDocument], verb: str) -> Table:
    """Return what a caller may give with a verb: Stripe's parameters but those that are ours, and local fields."""
    kind = model.resource.kind
    sent = {name: shape for name, shape in model.resource.takes(verb).items() if not why_ours(kind, name)}
    if verb == "create" and buyer_of(model):
        sent[IF_MISSING] = Shape(plain=frozenset(["boolean"]))
    local = Shape(plain=frozenset(["string"]), required=True)
    return sent | (dict.fromkeys(local_fields(model), local) if verb in ("create", "update") else {})


def local_fields(model: type[StagedDocument]) -> dict[str, BaseField]:
    """Return the fields that a caller may set, and that are never sent to Stripe."""
    return {name: field for name, field in model._fields.items() if getattr(field, "local_only", False)}


def validate(model: type[StagedDocument], body: dict[str, Any], verb: str) -> dict[str, Any]:
    """Return what `body` sets with a creation, an update or an action, or raise Invalid with every problem at once.

    On an update, None unsets the field at Stripe.
    """
    errors: dict[str, str] = {}
    kind, local = model.resource.kind, local_fields(model)
    taken = accepted(model, verb)
    fields = {name: shape for name, shape in taken.items() if name in body or verb != "update" or name not in local}
    values = _Reading(kind, errors).object(fields, body, "")
    if verb in ("create", "update"):
        for name, field in model._fields.items():
            if values.get(name) and name not in errors and isinstance(field, StringField):
                _check(field, values[name], name, errors)
        for name in [name for name in model.own_fields() if name in body and name not in taken]:
            if not why_ours(kind, name):
                errors[name] = "cannot be changed" if name in accepted(model, "create") else "is set by Stripe"
    if verb == "update" and not body:
        errors["body"] = "names no field to change"
    if errors:
        raise Invalid(errors)
    return values


def checked(fields: type, body: dict[str, Any]) -> dict[str, Any]:
    """Return what `body` gives of a TypedDict of ours, or raise Invalid with every problem at once."""
    errors: dict[str, str] = {}
    values = _Reading("", errors).object(table(fields), body, "")
    if errors:
        raise Invalid(errors)
    return values


class _Reading:
    """One reading of a body: writes its errors by path."""

    def __init__(self, kind: str, errors: dict[str, str]) -> None:
        self.kind = kind
        self.errors = errors

    def object(self, fields: Table, body: dict[str, Any], path: str) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, given in body.items():
            label = f"{path}{name}"
            if why := why_ours(self.kind, label):
                self.errors[label] = why
            elif (shape := fields.get(name)) is None:
                self.errors[label] = "is not a field of this type"
            elif given is None and not shape.required:
                values[name] = None
            else:
                values[name] = self.value(shape, given, label)
        for name, shape in fields.items():
            if shape.required and name not in body:
                self.errors[f"{path}{name}"] = "is required"
        return values

    def value(self, shape: Shape, given: Any, label: str) -> Any:
        if isinstance(given, dict) and shape.fields is not None:
            return self.object(table(shape.fields), given, f"{label}.")
        if isinstance(given, dict) and shape.values is not None:
            odd = [name for name in given if not NAME.fullmatch(name)]
            self.errors |= dict.fromkeys((f"{label}.{name}" for name in odd), "is not a name that Stripe uses")
            return {name: self.value(shape.values, each, f"{label}.{name}") for name, each in given.items()}
        if isinstance(given, list) and shape.items is not None:
            if len(given) > LONGEST_LIST:
                self.errors[label] = f"has more than {LONGEST_LIST} items"
                return None
            return [self.value(shape.items, each, f"{label}.{n}") for n, each in enumerate(given)]
        if isinstance(given, float) and given.is_integer() and not shape.plain.isdisjoint(("integer", "number")):
            given = int(given) if "integer" in shape.plain else given  # in JSON, 1.0 and 1 are the same number
        if wrong := _wrong(shape, given, label):
            self.errors[label] = wrong
        return given


def _wrong(shape: Shape, given: Any, label: str) -> str | None:
    """Return why a value does not fit, or None."""
    fits = shape.plain
    if isinstance(given, bool):
        return None if "boolean" in fits else _expected(shape)
    if isinstance(given, int | float):
        whole = isinstance(given, int)
        if not (fits & {"number", "integer"} if whole else "number" in fits):
            return _expected(shape)
        # JSON's 1e999 is read as infinity
        return "is too large" if not (-LARGEST <= given <= LARGEST if whole else math.isfinite(given)) else None
    if not isinstance(given, str):
        return _expected(shape)
    if given == "" and (shape.unset or ("string" in fits and not shape.required)):
        return None
    if given in shape.words:
        return None
    if "string" in fits:
        return wrong_text(given, label) if given else "is empty"  # at Stripe, "" would mean: unset it
    return None if "decimal" in fits and DECIMAL.fullmatch(given[:40]) else _expected(shape)


def wrong_text(given: str, label: str) -> str | None:
    """Return why MongoDB or Stripe cannot take a text, or None."""
    if len(given) > LONGEST_TEXT:
        return f"has more than {LONGEST_TEXT} characters"
    if label.endswith("currency") and not CURRENCY.fullmatch(given):
        return "must be a currency of three letters, such as eur"
    try:
        given.encode()
    except UnicodeEncodeError:
        return "is not valid Unicode"
    return "has a NUL character" if "\0" in given else None


def _expected(shape: Shape) -> str:
    """Return what a parameter takes, in words."""
    spoken = [SPOKEN[each] for each in SPOKEN if each in shape.plain]
    spoken += ["a list"] if shape.items else []
    spoken += ["an object"] if shape.fields or shape.values else []
    if shape.words and "string" not in shape.plain:
        spoken.append(f"one of {', '.join(shape.words)}" if len(shape.words) > 1 else shape.words[0])
    return f"must be {' or '.join(spoken)}"


def _check(field: BaseField, value: str, name: str, errors: dict[str, str]) -> None:
    """Add the error of a text that is no username or no e-mail address, as its field says."""
    longest = getattr(field, "max_length", None)
    try:
        if longest is None or len(value) <= longest:  # before all that takes longer
            field._validate(value)
        else:
            errors[name] = f"has more than {longest} characters"
    except ValidationError as error:
        errors[name] = str(error.message)


def chosen_id(given: Any) -> str | None:
    """Return the id that a caller chose for an object, or None. Raises Invalid."""
    if given is None:
        return None
    if not isinstance(given, str) or not OWN_ID.fullmatch(given) or ObjectId.is_valid(given):
        raise Invalid({"id": "must be 1 to 255 letters, digits, - or _, and must not look like a document id (24 hex)"})
    return given


def stored(model: type[StagedDocument], values: dict[str, Any]) -> dict[str, Any]:
    """Return those of a creation's `values` that are fields, until Stripe shows the object: of each what it keeps."""
    sent, own = model.resource.takes("create"), model.own_fields()
    kept = {name: value for name, value in values.items() if name in own or name not in sent}
    return {name: _kept(own[name], value) if name in own else value for name, value in kept.items()}


def _kept(field: BaseField, value: Any) -> Any:
    part = projection(field)
    if part is not None:
        return part(value) if isinstance(value, list if isinstance(field, ListField) else dict) else None
    if isinstance(field, IntField | FloatField):
        return value if isinstance(value, int | float) else None  # not a word in its place, such as `now`
    return value


def params(model: type[StagedDocument], values: dict[str, Any], verb: str) -> dict[str, Any]:
    """Return the Stripe parameters of validated `values`.

    A create leaves out None and empty lists, because nothing is to be unset; an update unsets them.
    """
    sent = model.resource.takes(verb)
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
