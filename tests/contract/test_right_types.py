"""Every parameter of a right type is answered: Stripe has no parameter by which a caller can break it."""

import json
import traceback
from collections.abc import Iterator, Mapping
from typing import Any

import stripe

from stripe_mongo_sync.emulator import Emulator
from stripe_mongo_sync.emulator.engine.calls import EVENT
from stripe_mongo_sync.emulator.objects.catalog.plans import Product
from stripe_mongo_sync.emulator.protocol.fields import (
    Currency,
    Email,
    Field,
    Flag,
    Hash,
    Many,
    MapOf,
    Metadata,
    Number,
    OneOf,
    Ref,
    Time,
    Whole,
)
from stripe_mongo_sync.emulator.protocol.forms import encode
from stripe_mongo_sync.emulator.protocol.stripe_types import Either
from stripe_mongo_sync.emulator.protocol.wire import Request
from tests.contract import mirrored_samples, samples
from tests.contract.test_stripe_python import ROWS, served

Json = dict[str, Any]
HEADERS = {"authorization": "Bearer sk_test_x", "content-type": "application/x-www-form-urlencoded"}
DEPTH = 3  # of hashes that are filled


def values(field: Field, ids: Mapping[str, str], depth: int = DEPTH) -> Iterator[Any]:
    """Yield values that the field reads: with as much in it as there can be, and with as little."""
    match field:
        case Ref():
            yield from {ids.get(field.kind, "x_none"), "x_none"}
        case OneOf():
            yield from field.values[:3]
        case Currency():
            yield "eur"
        case Email():
            yield "user@here.com"
        case Time():
            yield str(2**31)
        case Whole():
            yield from {str(max(field.least, 1)), str(max(field.least, 0))}
        case Number():
            yield "1.5"
        case Flag():
            yield from ("true", "false")
        case Metadata():
            yield {"k": "v"}
        case Hash():
            for some in (field.fields, {name: each for name, each in field.fields.items() if each.required}):
                inner = {name: next(values(each, ids, depth - 1), "") for name, each in some.items() if depth}
                yield {name: each for name, each in inner.items() if each != ""}
            for name, each in field.fields.items() if depth else ():
                yield from ({name: value} for value in values(each, ids, 0))
        case Many():
            yield from ([value] for value in values(field.each, ids, depth))
        case MapOf():
            yield from ({"eur": value} for value in values(field.each, ids, depth))
        case Either():
            for way in field.ways:
                yield from values(way, ids, depth)
        case Product():
            yield {"name": "A hat"}
        case _:
            yield "x"


def bodies(fields: Mapping[str, Field], ids: Mapping[str, str]) -> Iterator[Json]:
    """Yield what is required with each value of each parameter, and with all of them."""
    first = {name: next(values(field, ids), "x") for name, field in fields.items() if name != "expand"}
    needed = {name: first[name] for name, field in fields.items() if field.required}
    yield needed
    yield first
    for name in first:
        yield from ({**needed, name: value} for value in [*values(fields[name], ids), ""])


def targets(emulator: Emulator, kind: str) -> list[str]:
    """The id of an object of each status, and one that is of none."""
    found = {str(each.get("status")): each["id"] for each in emulator.objects(kind)}
    return [*found.values(), "x_none"]


def test_every_parameter_of_a_right_type_is_answered(emulator: Emulator) -> None:
    samples.pay(emulator)
    samples.check_out(emulator)
    samples.bill(emulator)
    samples.host(emulator)
    mirrored_samples.tell(emulator, stripe.StripeClient("sk_test_x", http_client=emulator.transport()))
    ids = {row.kind: found[-1]["id"] for row in ROWS if row is not EVENT and (found := emulator.objects(row.kind))}
    broken, done = {}, set()
    for kind, verb, method, path, fields in served():
        if method == "get":
            continue
        for id in targets(emulator, kind) if "{}" in path else [""]:
            for body in bodies(fields, ids):
                where = path.replace("{}", id)
                request = Request(method.upper(), where, "", HEADERS, encode(body).encode())
                try:
                    reply = emulator.engine.answer(request)
                except Exception as error:
                    at = traceback.extract_tb(error.__traceback__)[-1]
                    broken[f"{at.filename}:{at.lineno} {error!r}"] = f"{method} {where} {json.dumps(body)}"
                else:
                    if reply.status >= 500:
                        broken[str(reply.body)] = f"{method} {where} {json.dumps(body)}"
                    done |= {(kind, verb)} if reply.status == 200 else set()
    assert broken == {}
    assert len(done) > 70
