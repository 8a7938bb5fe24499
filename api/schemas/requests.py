"""Builds the JSON Schemas of request bodies from the parameters by which `models/base/input.py` validates them.

Objects that take the same are one schema, which all that need it refer to. The descriptions are stripe-python's: its
source is read only for this document.
"""

import json
import re
from functools import cache
from pathlib import Path
from sys import modules
from typing import Any

from stripe_mongo_sync.models import StagedDocument
from stripe_mongo_sync.models.base.input import (
    CURRENCY,
    DECIMAL,
    IF_MISSING,
    LONGEST_LIST,
    LONGEST_TEXT,
    NAME,
    OWN_ID,
    accepted,
    local_fields,
)
from stripe_mongo_sync.models.params.amounts import LARGEST
from stripe_mongo_sync.models.params.ours import reference, why_ours
from stripe_mongo_sync.models.params.table import Fields, Shape, Table, table, types_in

Schema = dict[str, Any]
Model = type[StagedDocument]
NULL: Schema = {"type": "null"}
CLASS = re.compile(r"^class (\w+)\(.*?(?=^class |\Z)", re.DOTALL | re.MULTILINE)
FIELD = re.compile(r'^    (\w+): (?:(?!^    \w+: ).)*?^    """\n(.*?)\n    """', re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
LONGEST = 160  # characters of a description


class RequestSchemas:
    """The schemas of one document; `parts` has those to which they refer."""

    def __init__(self) -> None:
        self.parts: dict[str, Schema] = {}
        self._names: dict[str, str] = {}  # by content
        self._of: dict[tuple[Fields, str], str] = {}

    def creation(self, model: Model) -> Schema:
        """Return the schema of a creation's body."""
        schema = self._body(model, "create", accepted(model, "create"))
        if model.resource.accepts_custom_id:
            schema["properties"]["id"] = {
                "type": ["string", "null"],
                "pattern": f"^{OWN_ID.pattern}$",
                "not": {"type": "string", "pattern": "^[0-9a-fA-F]{24}$"},
                "description": "An id of your choice, which Stripe uses, too. It must not look like a document's id.",
            }
        return schema

    def change(self, model: Model) -> Schema | None:
        """Return the schema of a change's body: Stripe's fields or local ones; None if no field can be changed."""
        here, fields = local_fields(model), accepted(model, "update")
        sent = {name: shape for name, shape in fields.items() if name not in here}
        local = {name: shape for name, shape in fields.items() if name in here}
        shapes = [{**self._body(model, "update", each), "minProperties": 1} for each in (sent, local) if each]
        return {"anyOf": shapes} if len(shapes) > 1 else next(iter(shapes), None)

    def action(self, model: Model, verb: str) -> Schema:
        """Return the schema of an action's parameters."""
        return self._body(model, verb, accepted(model, verb))

    def of(self, fields: type) -> Schema:
        """Return the schema of a TypedDict of ours."""
        return self._closed("", table(fields), describe(fields), "")

    def _body(self, model: Model, verb: str, fields: Table) -> Schema:
        schema = self._closed(model.resource.kind, fields, _described(model, verb), "")
        for name, each in schema["properties"].items() if verb in ("create", "update") else ():
            each |= _limits_of(model, name)
        return schema

    def _closed(self, kind: str, fields: Table, said: dict[str, str], path: str) -> Schema:
        """Return an object schema with these fields and no others."""
        given = {name: shape for name, shape in fields.items() if not why_ours(kind, f"{path}{name}")}
        properties = {
            name: {
                **self._accepted(kind, name, shape, f"{path}{name}"),
                **_description(kind, f"{path}{name}", shape, said),
            }
            for name, shape in given.items()
        }
        required = [name for name, shape in given.items() if shape.required]
        return {
            "type": "object",
            "properties": properties,
            "additionalProperties": False,
            **({"required": required} if required else {}),
        }

    def _accepted(self, kind: str, name: str, shape: Shape, path: str, *, item: bool = False) -> Schema:
        """Return the schema of a value. It allows null, except for required fields and items of lists."""
        allowed = [*_plain(name, shape), *self._nested(kind, name, shape, path)]
        allowed += [] if item or shape.required else [NULL]
        if len(allowed) == 2 and allowed[1] is NULL and isinstance(allowed[0].get("type"), str):
            words = {"enum": [*allowed[0]["enum"], None]} if "enum" in allowed[0] else {}
            return {**allowed[0], "type": [allowed[0]["type"], "null"], **words}
        return allowed[0] if len(allowed) == 1 else {"anyOf": allowed}

    def _nested(self, kind: str, name: str, shape: Shape, path: str) -> list[Schema]:
        found: list[Schema] = []
        if shape.items is not None:
            items = self._accepted(kind, name, shape.items, path, item=True)
            found.append({"type": "array", "items": items, "maxItems": LONGEST_LIST})
        if shape.values is not None:
            each = self._accepted(kind, "", shape.values, path, item=True)
            names = {"pattern": f"^{NAME.pattern}$"}
            found.append({"type": "object", "additionalProperties": each, "propertyNames": names})
        if shape.fields is not None:
            found.append({"$ref": f"#/components/schemas/{self._part(kind, shape.fields, path)}"})
        return found

    def _part(self, kind: str, fields: Fields, path: str) -> str:
        """Return the name of the schema of an object: that of the first object which takes the same."""
        known = self._of.get((fields, kind))
        if known is None:
            schema = self._closed(kind, table(fields), describe(fields), f"{path}.")
            name = "Or".join(each.__name__.replace("Params", "") for each in types_in(fields))
            known = self._names.setdefault(json.dumps(_bare(schema)), name)
            self.parts.setdefault(known, schema)
            self._of[fields, kind] = known
        return known


def _plain(name: str, shape: Shape) -> list[Schema]:
    """Return the schemas of the values of JSON that a parameter takes."""
    found: list[Schema] = []
    empty: Schema = {"minLength": 1} if shape.required and not shape.unset else {}
    if "string" in shape.plain:
        text: Schema = {"type": "string", "maxLength": LONGEST_TEXT, **empty}
        currency = {"pattern": f"^{CURRENCY.pattern}$" if empty else f"^({CURRENCY.pattern})?$"}
        known = {"examples": [*shape.words]} if shape.words else {}
        found.append({**text, **(currency if name.endswith("currency") else {}), **known})
    else:
        words = [*shape.words, *([""] if shape.unset else [])]
        found += [{"type": "string", "enum": words}] if words else []
    if "decimal" in shape.plain:
        found.append({"type": "string", "pattern": f"^{DECIMAL.pattern}$"})
    if "integer" in shape.plain:
        found.append({"type": "integer", "minimum": -LARGEST, "maximum": LARGEST})
    if "number" in shape.plain:
        found.append({"type": "number"})
    if "boolean" in shape.plain:
        found.append({"type": "boolean"})
    return found


def _limits_of(model: Model, name: str) -> Schema:
    """Return the limits that a field of ours adds to a text."""
    field = model._fields.get(name)
    limits = {
        "minLength": getattr(field, "min_length", None),
        "maxLength": getattr(field, "max_length", None),
        "pattern": getattr(field, "schema_pattern", None),
    }
    return {name: limit for name, limit in limits.items() if limit is not None}


def _bare(schema: Any) -> Any:
    """Return a schema without its descriptions, in which alike objects differ."""
    if isinstance(schema, dict):
        return {name: _bare(each) for name, each in sorted(schema.items()) if name != "description" or len(schema) == 1}
    return [_bare(each) for each in schema] if isinstance(schema, list) else schema


def _described(model: Model, verb: str) -> dict[str, str]:
    said = {IF_MISSING: "Whether a customer with this username is created in the same call, unless there is one."}
    for fields in model.resource.types_of(verb):
        said |= describe(fields)
    for name, field in model._fields.items():
        if text := getattr(field, "help_text", None):
            said[name] = text
        if getattr(field, "local_only", False):
            said[name] = f"{said.get(name, '')} Stored here only, and not sent to Stripe. Change it separately."
    return said


def _description(kind: str, path: str, shape: Shape, said: dict[str, str]) -> Schema:
    text = said.get(path.rpartition(".")[2], "")
    is_id = "string" in shape.plain or (shape.items is not None and "string" in shape.items.plain)
    if is_id and (named := reference(kind, path)):
        text += f" An id of {a(named)}: the document's or Stripe's."
    return {"description": text.strip()} if text.strip() else {}


def a(kind: str) -> str:
    """Return a kind as prose, with its article: "a payment intent"."""
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind.replace('_', ' ')}"


def describe(fields: Fields) -> dict[str, str]:
    """Return what the source of a TypedDict says of each of its fields, in a sentence."""
    said: dict[str, str] = {}
    for each in types_in(fields):
        said |= _descriptions(each.__module__).get(each.__name__, {})
    return said


@cache
def _descriptions(module: str) -> dict[str, dict[str, str]]:
    source = Path(str(modules[module].__file__)).read_text(encoding="utf-8")
    return {
        found[1]: {name: _sentence(text) for name, text in FIELD.findall(found[0])} for found in CLASS.finditer(source)
    }


def _sentence(text: str) -> str:
    plain = " ".join(LINK.sub(r"\1", text).split())
    first = re.split(r"(?<=[.!?]) ", plain, maxsplit=1)[0]
    return first if len(first) <= LONGEST else f"{first[:LONGEST]}…"
