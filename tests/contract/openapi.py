"""Stripe's OpenAPI file (API 2023-08-16) as a second opinion: where the emulator differs from it, by name."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from emulator.fields import Field, Flag, Hash, MapOf, Metadata, Number, OneOf, Whole
from emulator.fields import Many as Array
from emulator.lists import Created

PATH = Path(os.environ.get("STRIPE_OPENAPI", Path(__file__).parents[3] / "shared/stripe-openapi/spec3.json"))
FORM = "application/x-www-form-urlencoded"
Json = dict[str, Any]


class OpenAPI:
    @cached_property
    def document(self) -> Json:
        translated: Json = _translate(json.loads(PATH.read_text()))
        return translated

    @cached_property
    def _registry(self) -> Any:
        return Registry().with_resource("spec", Resource(self.document, DRAFT202012))

    @cached_property
    def shapes(self) -> list[tuple[str, re.Pattern[str]]]:
        """The paths with parameters, those with the fewest first."""
        paths = sorted((path for path in self.document["paths"] if "{" in path), key=lambda path: path.count("{"))
        return [(path, re.compile(re.sub(r"\{\w+\}", "[^/]+", path))) for path in paths]

    def validator(self, pointer: str) -> Any:
        return Draft202012Validator({"$ref": f"spec#{pointer}"}, registry=self._registry)

    def object_differences(self, object: Json, schema: str) -> Iterator[str]:
        """`!path` where the file's schema refuses the object, `+name` for what it does not know."""
        for error in self.validator(f"/components/schemas/{schema}").iter_errors(object):
            if error.validator == "required":
                yield f"-{error.message.split(chr(39))[1]}"
            else:
                yield f"!{'.'.join(str(step) for step in error.absolute_path)}"
        known = self.document["components"]["schemas"][schema]["properties"]
        yield from (f"+{name}" for name in object.keys() - known.keys())

    def knows(self, path: str) -> bool:
        return path in self.document["paths"]

    def operation(self, method: str, path: str) -> Json:
        """The operation at a path, whatever its path parameter is called."""
        shape = path.split("/")
        for candidate, item in self.document["paths"].items():
            parts = candidate.split("/")
            if len(parts) == len(shape) and all(
                a == b or (a[0:1] == "{" and b == "{id}") for a, b in zip(parts, shape, strict=True)
            ):
                found: Json = item[method]
                return found
        raise KeyError(path)

    def body_params(self, method: str, path: str) -> tuple[Json, set[str]]:
        """What a call takes and what it requires; nothing, if it is newer than the file."""
        try:
            schema = self.operation(method, path)["requestBody"]["content"][FORM]["schema"]
        except KeyError:
            return {}, set()
        return schema.get("properties", {}), set(schema.get("required", []))

    def query_params(self, path: str) -> tuple[Json, set[str]]:
        found = [each for each in self.operation("get", path).get("parameters", []) if each["in"] == "query"]
        return {each["name"]: each["schema"] for each in found}, {each["name"] for each in found if each["required"]}


def param_differences(ours: Mapping[str, Field], theirs: Json, required: set[str]) -> Iterator[str]:
    """`+` we know and the file does not, `-` the reverse, `*` required by one side only, `!` of another type."""
    yield from (f"+{name}" for name in ours.keys() - theirs.keys())
    yield from (f"-{name}" for name in theirs.keys() - ours.keys())
    for name in ours.keys() & theirs.keys():
        field, schema = ours[name], theirs[name]
        if field.required != (name in required):
            yield f"*{name}"
        if not _agrees(field, schema):
            yield f"!{name}"
        elif isinstance(field, Hash):
            inner = next(each for each in _branches(schema) if each.get("type") == "object")
            for found in param_differences(field.fields, inner["properties"], set(inner.get("required", []))):
                yield f"{found[0]}{name}.{found[1:]}"


def _branches(schema: Json) -> list[Json]:
    return list(schema.get("anyOf", [schema]))


def _agrees(field: Field, schema: Json) -> bool:
    """Whether some branch of the schema is of the field's type, with the same values if it is a choice."""
    types = {branch.get("type") for branch in _branches(schema)}
    match field:
        case OneOf(values=values):
            return any(set(branch.get("enum", [])) - {""} == set(values) for branch in _branches(schema))
        case Flag():
            return "boolean" in types
        case Whole():
            return "integer" in types
        case Number(exact=exact):
            return ("string" if exact else "number") in types
        case Array():
            return "array" in types
        case Hash() | MapOf() | Metadata():
            return "object" in types
        case Created():
            return {"object", "integer"} <= types
        case _:
            return "string" in types


def _translate(node: Any) -> Any:
    """OpenAPI 3.0's `nullable: true` in the words of JSON Schema."""
    if isinstance(node, list):
        return [_translate(each) for each in node]
    if not isinstance(node, dict):
        return node
    plain = {key: _translate(value) for key, value in node.items() if key != "nullable" or value is not True}
    return {"anyOf": [plain, {"type": "null"}]} if node.get("nullable") is True else plain
