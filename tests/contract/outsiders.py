"""Compares with two independent sources: Stripe's OpenAPI file and stripe-python, which wins where they differ."""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from stripe_mongo_sync.emulator.engine.lists import Created
from stripe_mongo_sync.emulator.protocol.fields import (
    Field,
    Flag,
    Hash,
    Many,
    MapOf,
    Metadata,
    Number,
    OneOf,
    Text,
    Upload,
    Whole,
)
from stripe_mongo_sync.emulator.protocol.stripe_types import AnyText
from tests.contract import library, openapi
from tests.contract.schemas import Json, Resolve, Walk, branches, verdict

EXCEPTIONS: dict[str, dict[str, str]] = tomllib.loads(
    (Path(__file__).parent / "exceptions.toml").read_text(encoding="utf-8")
)


def reviewed(found: Iterable[tuple[str, str]], places: str) -> None:
    """Assert that every difference has an exception, and every exception of these places a difference."""
    differences = {*found}
    reasons = {where: told for where, told in EXCEPTIONS.items() if fnmatchcase(where, places)}
    known = {(where, what) for where, told in reasons.items() for what in told}

    assert not differences - known, f"neither source explains {sorted(differences - known)}"
    assert not known - differences, f"these are no longer needed: {sorted(known - differences)}"
    assert all(len(reason) > 10 for told in reasons.values() for reason in told.values()), "an exception needs a reason"


@cache
def _shapes() -> list[tuple[str, re.Pattern[str]]]:
    """Return every path of either source, those with the fewest ids first."""
    known = {path for _, path in (*openapi.calls(), *library.calls())}
    return [
        (path, re.compile(re.escape(path).replace(r"\{\}", "[^/]+")))
        for path in sorted(known, key=lambda path: (path.count("{}"), path))
    ]


@cache
def template(path: str) -> str | None:
    """Return the path with `{}` for each id. A literal path wins over one with ids."""
    return next((known for known, shape in _shapes() if shape.fullmatch(path)), None)


def _agreed(value: Any, file: Json | None, theirs: Json | None, form: bool = False) -> set[str]:
    """Return the differences that neither source explains. A source without the subject explains none."""
    told = {*Walk(openapi.resolve, form)(value, file)} if file is not None else set()
    newer = {*Walk(library.resolve, form)(value, theirs)} if theirs is not None else set()
    if theirs is None:
        return {each for each in told if each[0] != "~"}
    return verdict(told, newer)


def request_differences(method: str, path: str, params: Json) -> set[str]:
    """Return what is wrong with a request; `?` if there is no such call."""
    known = template(path)
    file, theirs = (openapi.call(method, known), library.call(method, known)) if known else (None, None)
    if file is None and theirs is None:
        return {f"?{method.upper()} {path}"}
    return _agreed(params, file, theirs, form=True)


def object_differences(remote: Json) -> set[str]:
    """Return what is wrong with an object; `?` if neither source knows its kind."""
    kind = remote["object"]
    file, theirs = openapi.object(kind, remote.get("deleted") is True), library.object(kind)
    if kind == "v2.core.event":
        theirs = library.thin_event(remote["type"])
    return _agreed(remote, file, theirs) if file or theirs else {f"?{kind}"}


def refusal_differences(body: Json) -> set[str]:
    return _agreed(body, openapi.schemas().get("error"), library.ERROR)


def reply_differences(method: str, path: str, status: int, reply: Json | str) -> Iterator[tuple[str, str]]:
    """Return what is wrong with a reply, by the kind of the wrong object, or "" for the reply itself."""
    if status != 200:
        yield from (("", each) for each in refusal_differences(reply))
        return
    if isinstance(reply, str):  # a file, of which the media type is told
        yield from (("", f"!{reply}") for _ in {reply} - openapi.media(method, template(path) or path))
        return
    objects = reply["data"] if reply.get("object") == "list" else [reply]
    schema = openapi.reply(method, template(path) or path, status)
    if schema is not None:
        envelope = {**reply, "data": objects[:0]} if "data" in reply else {name: reply[name] for name in ("object",)}
        kinds = {*_kinds(schema)}
        yield from (
            ("", each)
            for each in Walk(openapi.resolve)(envelope, schema)
            if reply.get("object") == "list" and each[0] != "~"
        )
        yield from (("", f"?{each['object']}") for each in objects if each["object"] not in kinds)
    for each in objects:
        yield from ((each["object"], found) for found in object_differences(each))


def _kinds(schema: Json) -> Iterator[str]:
    """Return the kinds of objects that a reply can be or list."""
    for each in branches(openapi.resolve, schema):
        known = each.get("properties", {})
        kinds = known.get("object", {}).get("enum", ())
        if [*kinds] == ["list"]:
            yield from _kinds(known["data"]["items"])
        else:
            yield from kinds


def parameter_differences(method: str, path: str, fields: Mapping[str, Field]) -> set[str]:
    """What the emulator takes otherwise: `+` it alone, `-` not, `*` required by one side, `!` of another type, `=` any
    text where there is a list of values, `^` a longer text."""
    theirs, file = library.call(method, path), openapi.call(method, path)
    longer = {each for each in _fields(openapi.resolve, fields, file or {}) if each[0] == "^"}
    if theirs is not None:
        return {*_fields(library.resolve, fields, theirs)} | longer
    return {*_fields(openapi.resolve, fields, file)} if file is not None else {f"?{method.upper()} {path}"}


def _fields(resolve: Resolve, ours: Mapping[str, Field], schema: Json, prefix: str = "") -> Iterator[str]:
    theirs, required = schema.get("properties", {}), schema.get("required", ())
    yield from (f"+{prefix}{name}" for name in ours.keys() - theirs.keys())
    yield from (f"-{prefix}{name}" for name in theirs.keys() - ours.keys())
    for name in ours.keys() & theirs.keys():
        field, told = ours[name], [*branches(resolve, theirs[name])]
        if field.required != (name in required):
            yield f"*{prefix}{name}"
        if not _agrees(field, told):
            yield f"!{prefix}{name}"
            continue
        if isinstance(field, Many):
            field, told = field.each, [*_items(resolve, told)]
        if isinstance(field, Text):
            yield from (f"{mark}{prefix}{name}" for mark in _wider(field, told))
        if isinstance(field, Hash):
            inner = next(each for each in told if "properties" in each)
            yield from _fields(resolve, field.fields, inner, f"{prefix}{name}.")


def _wider(field: Text, told: list[Json]) -> Iterator[str]:
    """Return whether a string can be a value that the schema does not allow."""
    texts = [each for each in told if each.get("type") in ("string", "integer") and each.get("enum") != [""]]
    if not isinstance(field, OneOf) and texts and all("enum" in each for each in texts):
        yield "="
    if (
        texts
        and not isinstance(field, AnyText)
        and field.longest > max(each.get("maxLength", field.longest) for each in texts)
    ):
        yield "^"


def _items(resolve: Resolve, told: Iterable[Json]) -> Iterator[Json]:
    for each in told:
        if each.get("type") == "array":
            yield from branches(resolve, each["items"])


def _agrees(field: Field, told: list[Json]) -> bool:
    """Return whether a branch of the schema has the field's type, and its values if it is a choice."""
    types = {each.get("type") for each in told}
    match field:
        case OneOf(values=values):
            return any({*each.get("enum", ())} - {""} == {*values} for each in told)
        case Flag():
            return "boolean" in types
        case Whole():
            return "integer" in types
        case Number(exact=exact):
            return ("string" if exact else "number") in types
        case Many():
            return "array" in types
        case Hash() | MapOf() | Metadata():
            return "object" in types
        case Created():
            return {"object", "integer"} <= types
        case Upload():  # stripe-python says nothing of it
            return types <= {"string", None}
        case _:
            return "string" in types
