"""The OpenAPI document tells the truth: about the routes, the fields, their limits, and what is answered."""

import json
import re
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate as validate_document
from werkzeug.test import TestResponse

from stripe_mongo_sync.api import docs
from stripe_mongo_sync.api.app import unconnected_app
from stripe_mongo_sync.api.auth import PUBLIC_ROUTES, scope_of
from stripe_mongo_sync.api.openapi import _shape_of, describe
from stripe_mongo_sync.api.resources import plural_of
from stripe_mongo_sync.models import SyncedDocument, created_kinds
from stripe_mongo_sync.models.base.input import Invalid, accepted, validate
from tests.support import samples
from tests.support.events import event
from tests.support.world import World

Model = type[SyncedDocument]
MADE = created_kinds()
EACH = pytest.mark.parametrize("model", MADE.values(), ids=MADE.keys())


@pytest.fixture(scope="module")
def app() -> Flask:
    return unconnected_app()


@pytest.fixture(scope="module")
def document(app: Flask) -> dict[str, Any]:
    return describe(app)


def fits(document: dict[str, Any], schema: dict[str, Any], value: Any) -> bool:
    return Draft202012Validator({**schema, "components": document["components"]}).is_valid(value)


# --- the document as a whole ---


def test_it_is_valid(document: dict[str, Any]) -> None:
    validate_document(document)


def test_every_route_is_described_and_nothing_else(app: Flask, document: dict[str, Any]) -> None:
    routed = {
        (re.sub(r"<(?:.*?:)?(.*?)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }

    assert {(path, method) for path, methods in document["paths"].items() for method in methods} == routed


def test_every_operation_has_a_name_of_its_own(document: dict[str, Any]) -> None:
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    names = [operation["operationId"] for operation in operations]
    answers = [answer for operation in operations for answer in operation["responses"].values()]

    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", name) for name in names)
    assert {link["operationId"] for answer in answers for link in answer.get("links", {}).values()} <= set(names)


def test_each_operation_says_which_token_it_needs(app: Flask, document: dict[str, Any]) -> None:
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(?:.*?:)?(.*?)>", r"{\1}", rule.rule)
        for operation in (document["paths"][path].get(method.lower()) for method in rule.methods):
            if operation is not None:
                scope, open = scope_of(app, rule.endpoint), rule.endpoint in PUBLIC_ROUTES
                asks = operation["security"] == [{"token": [scope]}]
                assert asks == (not open), rule
                assert all((status in operation["responses"]) == asks for status in ("401", "403", "429")), rule


# --- fields and limits ---


@EACH
def test_every_field_is_there(document: dict[str, Any], model: Model) -> None:
    taken = document["components"]["schemas"][f"{model.__name__}Creation"]["properties"]
    changed = document["components"]["schemas"].get(f"{model.__name__}Change", {})
    changeable = {name for shape in changed.get("anyOf", [changed]) for name in shape.get("properties", {})}

    assert taken.keys() == accepted(model, "create").keys()
    assert changeable == accepted(model, "update").keys()


@EACH
def test_samples_are_accepted_by_the_document_and_documents_are_what_it_says(
    world: World, document: dict[str, Any], model: Model
) -> None:
    plural, shapes, kind = plural_of(model), document["components"]["schemas"], model.resource.kind
    body = samples.body(kind)
    shown = world.http.get(f"/{plural}/{samples.create(kind).id}?expand=stripe").get_json()

    assert fits(document, shapes[f"{model.__name__}Creation"], body)
    assert shown.keys() == shapes[model.__name__]["properties"].keys()
    if kind in samples.CHANGES:
        assert fits(document, shapes[f"{model.__name__}Change"], samples.CHANGES[kind])


TRIED = (None, "", True, 0, 7.0, 1.5, "x", "a b", "eur", "e1r", "ABC-1", "1.50", "1.", " ", "a\x85b", "user@", "a@b.co")
TRIED_TOO = ([], {}, [None], ["x"], {"x": 1})
LIST = "0"  # in a path: the first of a list
LIKE_IDS = ("0" * 24, "aF" * 12, "0" * 23, "cus_1", "CUS_a", "cus_", "cus_a b", "xcus_1")
ADDRESSES = ("http://a", "https://a/b?c#d", "http:/a", "HTTP://a", " http://a", "https://a b", "ftp://a", "http://é")
ADDRESSES_TOO = tuple(f"https://a{chr(code)}b" for code in (*range(1, 33), 0x7F, 0x85, 0x9F, 0xA0, 0x2028, 0x2029))


def at_the_limits(schema: dict[str, Any]) -> Iterator[Any]:
    """Values of every kind, those at the limits of a schema, and those just beyond."""
    yield from (*TRIED, *TRIED_TOO, *schema.get("enum", ()))
    if "pattern" in schema:
        yield from (*LIKE_IDS, *ADDRESSES, *ADDRESSES_TOO)
    for limit, step in (("minimum", -1), ("maximum", 1)):
        if limit in schema:
            yield from (schema[limit], schema[limit] + step)
    for limit, one in (("maxLength", "x"), ("maxItems", ["x"])):
        if limit in schema:
            yield from (one * schema[limit], one * (schema[limit] + 1))


Place = tuple[str, ...]


def nested(document: dict[str, Any], schema: dict[str, Any], path: Place, seen: set[str]) -> Iterator[Any]:
    """Yield each field of a schema, by its path, and those of each part that it refers to, once."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name not in seen:
            seen.add(name)
            yield from nested(document, document["components"]["schemas"][name], path, seen)
        return
    for shape in schema.get("anyOf", ()):
        yield from nested(document, shape, path, seen)
    if "items" in schema:
        yield from nested(document, schema["items"], (*path, LIST), seen)
    if isinstance(schema.get("additionalProperties"), dict):
        yield from nested(document, schema["additionalProperties"], (*path, "eur"), seen)
    for name, inner in schema.get("properties", {}).items():
        yield (*path, name), inner
        yield from nested(document, inner, (*path, name), seen)


def refused(model: Model, verb: str, path: Place, value: Any) -> bool:
    """Whether the service finds fault with the value of that field."""
    for name in reversed(path):
        value = [value] if name == LIST else {name: value}
    try:
        validate(model, value, verb)
    except Invalid as invalid:
        return any(f"{name}.".startswith(f"{'.'.join(path)}.") for name in invalid.errors)
    return False


@EACH
def test_limits_are_those_of_the_service(document: dict[str, Any], model: Model) -> None:
    shapes, name = document["components"]["schemas"], model.__name__
    checks = {"create": f"{name}Creation", "update": f"{name}Change"}
    checks |= {verb: _shape_of(model, verb) for verb in model.resource.actions}
    seen: set[str] = set()

    tried = [
        (path, value, fits(document, inner, value), not refused(model, verb, path, value))
        for verb, shape in checks.items()
        if shape in shapes
        for path, inner in nested(document, shapes[shape], (), seen)
        if path != ("id",)  # which is no field: see below
        for value in at_the_limits(inner)
    ]

    assert [one for one in tried if one[2] != one[3]] == []
    assert {one[2] for one in tried} == {True, False}


def test_what_opens_a_portal_is_refused_by_both_or_none(world: World, document: dict[str, Any]) -> None:
    customer = samples.create("customer")
    operation = document["paths"]["/customers/{reference}/portal"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    address = schema["properties"]["return_url"]
    tried = [{"return_url": value} for value in at_the_limits(address)] + [{}, {"x": 1}, {"return_url": None, "x": 1}]
    for body in tried:
        answer = world.http.post(f"/customers/{customer.id}/portal", json=body)
        refused = answer.status_code == 422 and answer.json["type"].endswith("/invalid")
        assert Draft202012Validator(schema).is_valid(body) != refused, (body, answer.json)


@pytest.mark.parametrize("id", ["own", "a" * 255, "a" * 256, "", "a/b", "0" * 24, "F" * 24, "0" * 23, None, 1, "é"])
def test_an_id_of_ones_own_is_refused_by_both_or_none(world: World, document: dict[str, Any], id: Any) -> None:
    for model in MADE.values():
        if model.resource.accepts_custom_id:
            body = samples.body(model.resource.kind)
            answer = world.http.post(f"/{plural_of(model)}", json={**body, "id": id})
            shape = document["components"]["schemas"][f"{model.__name__}Creation"]
            assert fits(document, shape, {**body, "id": id}) == (answer.status_code == 201)


def test_a_key_is_refused_by_both_or_none(world: World, document: dict[str, Any]) -> None:
    schema = document["components"]["parameters"]["Idempotency-Key"]["schema"]
    for number, key in enumerate([*(chr(n) for n in range(33, 256)), "a b", "a" * 255, "a" * 256]):
        body = {"username": f"user{number}"}
        answer = world.http.post("/customers", json=body, headers={"Idempotency-Key": key})

        assert Draft202012Validator(schema).is_valid(key) == (answer.status_code == 201), key


# --- answers ---


def told_the_truth(document: dict[str, Any], operation: str, answer: TestResponse) -> str:
    """Assert that an answer is one of those that the operation can have; return its status."""
    method, path = operation.split()
    described = document["paths"][path][method]["responses"][str(answer.status_code)]
    if "$ref" in described:
        described = document["components"]["responses"][described["$ref"].rpartition("/")[2]]
    for name in described["headers"]:
        header = document["components"]["headers"][name]
        assert name in answer.headers or not header.get("required"), name
    assert fits(document, described["content"][answer.mimetype]["schema"], answer.get_json()), answer.get_json()
    return str(answer.status_code)


@EACH
def test_a_life_is_told_as_described(world: World, document: dict[str, Any], model: Model) -> None:
    plural, kind = f"/{plural_of(model)}", model.resource.kind
    one, body, key = f"{plural}/{{reference}}", samples.body(kind), {"Idempotency-Key": "the key"}

    first = world.http.post(plural, json=body, headers=key)
    again = world.http.post(plural, json=body, headers=key)
    address = first.headers["Location"]

    assert told_the_truth(document, f"post {plural}", first) == "201"
    assert told_the_truth(document, f"post {plural}", again) == "201"
    assert again.headers["Idempotent-Replayed"] == "true"
    assert told_the_truth(document, f"get {plural}", world.http.get(f"{plural}?expand=stripe")) == "200"
    assert told_the_truth(document, f"get {one}", world.http.get(f"{address}?expand=stripe")) == "200"
    changed = world.http.patch(address, json=samples.CHANGES.get(kind, {"x": 1}))
    assert told_the_truth(document, f"patch {one}", changed) == ("200" if kind in samples.CHANGES else "422")
    for action in model.resource.actions:
        told_the_truth(document, f"post {one}/{action}", world.http.post(f"{address}/{action}"))
    deleted = world.http.delete(f"{plural}/{samples.create(kind, 'another').id}")  # nothing was done with it
    assert told_the_truth(document, f"delete {one}", deleted) == ("200" if model.resource.deletable else "422")
    assert told_the_truth(document, f"get {one}", world.http.get(f"{plural}/none")) == "404"


@EACH
def test_what_goes_wrong_is_told_as_described(world: World, document: dict[str, Any], model: Model) -> None:
    plural, kind = f"/{plural_of(model)}", model.resource.kind
    for fault, status in (("cut_after", "202"), ("decline", "402")):
        body = samples.body(kind, fault.replace("_", "-"))
        world.stripe.fault(fault, method="POST", times=2)
        assert told_the_truth(document, f"post {plural}", world.http.post(plural, json=body)) == status
        world.stripe.clear_faults()


def test_a_mirrored_type_is_told_as_described(world: World, document: dict[str, Any]) -> None:
    charge = {"id": "ch_1", "object": "charge", "created": 1_700_000_000}
    world.deliver([event("charge.succeeded", charge, 1_700_000_000)])

    listed, shown = world.http.get("/charges?expand=stripe"), world.http.get("/charges/ch_1?expand=stripe")

    assert told_the_truth(document, "get /{model}", listed) == "200"
    assert told_the_truth(document, "get /{model}/{reference}", shown) == "200"
    assert shown.json["stripe"] == charge


# --- where it is served ---


def test_the_document_is_served_to_everybody(world: World, document: dict[str, Any]) -> None:
    answer = world.app.test_client().get("/openapi.json")

    assert answer.status_code == 200
    assert answer.get_json() == {"servers": [{"url": "/"}], **json.loads(json.dumps(document))}
    assert answer.data == world.app.test_client().get("/openapi.json").data


def test_the_page_runs_its_own_script_and_asks_nobody_else(world: World) -> None:
    answer = world.app.test_client().get("/docs")
    page, policy = answer.get_data(as_text=True), answer.headers["Content-Security-Policy"]

    assert answer.status_code == 200
    assert answer.mimetype == "text/html"
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["connect-src"] == "'self'"
    for tag in ("script", "style"):
        (inner,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        assert rules[f"{tag}-src"] == f"'sha256-{b64encode(sha256(inner.encode()).digest()).decode()}'"
    assert not re.search(r"https?:|\bsrc=|\bon\w+=|style=", page), "another place, or what the policy forbids"


def test_the_page_keeps_the_token_in_its_memory_and_writes_text_only() -> None:
    page = (Path(docs.__file__).with_name("docs.html")).read_text()

    assert not re.search(
        r"localStorage|sessionStorage|indexedDB|cookie|innerHTML|insertAdjacentHTML|document\.write", page
    )
