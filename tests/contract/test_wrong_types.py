"""Every parameter of a wrong type is refused with a 400, Stripe's message and the parameter's name."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from stripe_mongo_sync.emulator import Emulator
from stripe_mongo_sync.emulator.objects.catalog.plans import Product
from stripe_mongo_sync.emulator.protocol.fields import (
    Currency,
    Field,
    Flag,
    Hash,
    Many,
    MapOf,
    Metadata,
    Number,
    OneOf,
    Time,
    Upload,
    Whole,
)
from stripe_mongo_sync.emulator.protocol.forms import encode
from stripe_mongo_sync.emulator.protocol.stripe_types import Either
from stripe_mongo_sync.emulator.protocol.wire import Request
from tests.contract.test_stripe_python import served

CREATED = [(kind, path, fields) for kind, verb, _, path, fields in served() if verb == "create"]
DEEP = {"a": {"b": "c"}}


def wrong(field: Field) -> tuple[Any, str] | None:
    """Return a wrong value for a field, and the start of Stripe's message; None if every string is valid."""
    match field:
        case Time():
            return "soon", "Invalid timestamp"
        case Whole():
            return "many", "Invalid integer: many"
        case Number():
            return "many", "Invalid decimal: many"
        case Flag():
            return "maybe", "Invalid boolean: maybe"
        case Hash() | MapOf() | Metadata():
            return "x", "Invalid object"
        case Many():
            return "x", "Invalid array"
        case Currency():
            return "money", "Invalid currency: money"
        case OneOf():
            return "x", "Invalid"
        case Either():
            return DEEP, "Invalid"
        case Upload():
            return "x", "Invalid file"
        case Product():
            return {"name": DEEP}, "Invalid string"
    return DEEP, "Invalid string"


@pytest.mark.parametrize(("kind", "path", "fields"), CREATED, ids=lambda each: each if isinstance(each, str) else "")
def test_a_wrong_type_is_refused_by_name(kind: str, path: str, fields: Mapping[str, Field], emulator: Emulator) -> None:
    bad = {name: found for name, field in fields.items() if (found := wrong(field)) is not None}
    needed = {name: bad[name][0] for name, field in fields.items() if field.required}
    headers = {"authorization": "Bearer sk_test_x", "content-type": "application/x-www-form-urlencoded"}

    for name, (value, words) in bad.items():
        sent = {name: value, **{key: each for key, each in needed.items() if key != name}}
        reply = emulator.engine.answer(Request("POST", path, "", headers, encode(sent).encode()))
        error = json.loads(reply.body)["error"]
        assert (reply.status, error["type"], error["param"].partition("[")[0]) == (400, "invalid_request_error", name)
        assert error["message"].startswith(words), name
    assert emulator.objects(kind) == []
