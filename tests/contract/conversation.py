"""What is said between the service and Stripe, overheard, and where Stripe's OpenAPI file contradicts it."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import stripe

from emulator.forms import decode, items
from tests.contract.openapi import FORM, OpenAPI

Json = dict[str, Any]
WHOLE = re.compile(r"-?\d+")
DECIMAL = re.compile(r"-?\d+(\.\d+)?")
CALL = re.compile(r'self\._request\(\s*"(\w+)",\s*"(/v1/[^"]+)"')


@dataclass(frozen=True)
class Exchange:
    """One request and its reply."""

    method: str
    path: str
    params: Json
    status: int
    reply: Any


class Overheard(stripe.HTTPClient):
    """A Stripe client that notes what passes through it."""

    def __init__(self, inner: stripe.HTTPClient, exchanges: list[Exchange]) -> None:
        super().__init__()
        self.inner, self.name, self.exchanges = inner, inner.name, exchanges

    def request(self, method: str, url: str, headers: Any, post_data: Any = None, **more: Any) -> Any:
        body, status, replied = self.inner.request(method, url, headers, post_data)
        parts = urlsplit(url)
        told = post_data.decode() if isinstance(post_data, bytes) else post_data or ""
        params = decode(parts.query) | decode(told)
        self.exchanges.append(Exchange(method.lower(), unquote(parts.path), params, status, json.loads(body)))
        return body, status, replied

    def close(self) -> None:
        self.inner.close()


def template(spec: OpenAPI, path: str) -> str | None:
    """The path of the file that a path is one of; one that is written out goes before one with parameters."""
    if path in spec.document["paths"]:
        return path
    return next((known for known, shape in spec.shapes if shape.fullmatch(path)), None)


@cache
def library_calls() -> list[tuple[str, re.Pattern[str]]]:
    """What stripe-python, which is newer than the file, can ask: methods and the shapes of paths."""
    sources = (file.read_text() for file in Path(stripe.__file__).parent.rglob("_*_service.py"))
    told = {call for source in sources for call in CALL.findall(source)}
    return [(method, re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)))) for method, path in told]


def request_differences(spec: OpenAPI, said: Exchange) -> Iterator[str]:
    """`+` an unknown parameter, `*` a missing one, `!` one of another type, `?` a call that the library lacks as well.

    A call that only the library has cannot be compared.
    """
    path = template(spec, said.path)
    operation = spec.document["paths"].get(path, {}).get(said.method)
    if operation is None:
        if not any(said.method == method and shape.fullmatch(said.path) for method, shape in library_calls()):
            yield f"?{said.method.upper()} {said.path}"
        return
    if said.method == "get":
        told = [each for each in operation.get("parameters", []) if each["in"] == "query"]
        known = {each["name"]: each["schema"] for each in told}
        required = {each["name"] for each in told if each.get("required")}
    else:
        content = operation.get("requestBody", {}).get("content", {})
        schema = content[FORM]["schema"] if FORM in content else {}
        known, required = schema.get("properties", {}), set(schema.get("required", ()))
    yield from _parts(said.params, {"properties": known, "required": required}, "")


def _parts(value: Json, schema: Json, prefix: str) -> Iterator[str]:
    known, more = schema.get("properties", {}), schema.get("additionalProperties", False)
    for name, part in value.items():
        if name not in known and not isinstance(more, dict):
            yield f"+{prefix}{name}"
        else:
            yield from _value(part, known.get(name, more), f"{prefix}{name}")
    yield from (f"*{prefix}{name}" for name in schema.get("required", ()) if name not in value)


def _value(value: Any, schema: Json, name: str) -> Iterator[str]:
    """The differences from the branch that fits best."""
    tried = [list(_branch(value, branch, name)) for branch in schema.get("anyOf", [schema])]
    yield from min(tried, key=lambda found: (f"!{name}" in found, len(found)))


def _branch(value: Any, schema: Json, name: str) -> Iterator[str]:
    listed = items(value) if isinstance(value, list | dict) else None
    match schema.get("type"):
        case "object" if isinstance(value, dict):
            yield from _parts(value, schema, f"{name}.")
        case "array" if listed is not None:
            for each in listed:
                yield from _value(each, schema["items"], name)
        case "integer" if isinstance(value, str) and WHOLE.fullmatch(value):
            pass
        case "number" if isinstance(value, str) and DECIMAL.fullmatch(value):
            pass
        case "boolean" if value in ("true", "false"):
            pass
        case "string" if isinstance(value, str):
            wrong = (
                value not in schema["enum"] if "enum" in schema else len(value) > schema.get("maxLength", len(value))
            )
            yield from [f"!{name}"] if wrong else []
        case _:
            yield f"!{name}"


def reply_differences(spec: OpenAPI, said: Exchange) -> Iterator[tuple[str, str]]:
    """The objects of a reply, each by the name of its schema, and how it differs; "" for the reply itself."""
    path = template(spec, said.path)
    operation = spec.document["paths"].get(path, {}).get(said.method)
    if operation is None:
        return
    answer = "200" if said.status == 200 else "default"
    schema = operation["responses"][answer]["content"]["application/json"]["schema"]
    if said.status != 200:
        place = "/components/schemas/error"
        yield from (("", error.message) for error in spec.validator(place).iter_errors(said.reply))
        return
    if said.reply.get("object") == "list":
        inline = schema.get("properties", {})
        yield from (("", f"-{name}") for name in schema.get("required", ()) if name not in said.reply)
        yield from (("", f"+{name}") for name in said.reply if name not in inline)
        for each in said.reply["data"]:
            yield from _object(spec, each, inline["data"]["items"])
        return
    yield from _object(spec, said.reply, schema)


def _object(spec: OpenAPI, remote: Json, schema: Json) -> Iterator[tuple[str, str]]:
    names = [each["$ref"].rpartition("/")[2] for each in schema.get("anyOf", [schema]) if "$ref" in each]
    deleted = remote.get("deleted") is True
    for name in names:
        known = spec.document["components"]["schemas"][name]
        kinds = known.get("properties", {}).get("object", {}).get("enum", ())
        if "anyOf" in known:
            yield from _object(spec, remote, known)
            return
        if remote.get("object") in kinds and name.startswith("deleted_") == deleted:
            yield from ((name, found) for found in spec.object_differences(remote, name))
            return
    yield "", f"{remote.get('object')} is none of {names}"
