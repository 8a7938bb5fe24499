"""Compares values with a schema, and merges the differences from two sources.

A difference is a path with a mark before it: `+` unknown there, `*` a parameter or `-` a field that is missing, `!` of
another type, `=` none of the known values, `^` too long. A walk also tells `~`, a value that the schema lists, which
answers the other's `=`.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from stripe_mongo_sync.emulator.protocol.forms import items

Json = dict[str, Any]
Resolve = Callable[[Json], Json]
WHOLE = re.compile(r"-?\d+")
DECIMAL = re.compile(r"-?\d+(\.\d+)?")


@dataclass(frozen=True)
class Walk:
    """Compares a form, whose values are strings, or an object with the schemas of one source."""

    resolve: Resolve  # a reference to a schema -> the schema
    form: bool = False

    def __call__(self, value: Any, schema: Json, path: str = "") -> Iterator[str]:
        """Return the differences from the branch that fits best."""
        tried = [list(self._branch(value, each, path)) for each in branches(self.resolve, schema)]
        yield from min(tried, key=lambda found: _badness(found, path))

    def _branch(self, value: Any, schema: Json, path: str) -> Iterator[str]:
        listed = items(value) if self.form and isinstance(value, list | dict) else value
        match schema.get("type"):
            case None:
                pass
            case "object" if isinstance(value, dict):
                yield from self._parts(value, schema, f"{path}." if path else "")
            case "array" if isinstance(listed, list):
                for each in listed:
                    yield from self(each, schema["items"], path)
            case "string" if isinstance(value, str):
                if "enum" in schema:
                    yield f"{'~' if value in schema['enum'] else '='}{path}"
                if len(value) > schema.get("maxLength", len(value)):
                    yield f"^{path}"
            case kind if not (self._written if self.form else _is)(kind, value):
                yield f"!{path}"

    @staticmethod
    def _written(kind: str, value: Any) -> bool:
        """Return whether a string of a form can be read as this type."""
        if not isinstance(value, str):
            return False
        match kind:
            case "boolean":
                return value in ("true", "false")
            case "integer":
                return WHOLE.fullmatch(value) is not None
            case "number":
                return DECIMAL.fullmatch(value) is not None
        return False

    def _parts(self, value: Json, schema: Json, prefix: str) -> Iterator[str]:
        known, more = schema.get("properties", {}), schema.get("additionalProperties", "properties" not in schema)
        for name, part in value.items():
            if name in known:
                yield from self(part, known[name], f"{prefix}{name}")
            elif isinstance(more, dict):
                yield from self(part, more, f"{prefix}*")
            elif not more:
                yield f"+{prefix}{name}"
        missing = "*" if self.form else "-"
        yield from (f"{missing}{prefix}{name}" for name in schema.get("required", ()) if name not in value)


def _is(kind: str, value: Any) -> bool:
    match kind:
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "null":
            return value is None
    return False


def _badness(found: list[str], path: str) -> tuple[bool, int, int]:
    wrong = [each for each in found if each[0] not in "~-*"]
    return f"!{path}" in found, len(wrong), len(found)


def branches(resolve: Resolve, schema: Json) -> Iterator[Json]:
    """Return the schemas that a value can have: the schema or its alternatives, and null if it is nullable."""
    schema = resolve(schema)
    if schema.get("nullable"):
        yield {"type": "null"}
    if "anyOf" in schema:
        for each in schema["anyOf"]:
            yield from branches(resolve, each)
    else:
        yield schema


def verdict(file: set[str], library: set[str]) -> set[str]:
    """What neither explains: the library is newer and wins; what it does not say (what an object must have, how long
    a text may be, which values there are where it says only `str`) the file does."""
    known = {each for each in file if each[0] == "^" or (each[0] == "=" and f"~{each[1:]}" not in library)}
    return {each for each in library if each[0] in "+!=*"} | known | {each for each in file & library if each[0] == "-"}
