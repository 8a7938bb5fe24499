"""The API does what its OpenAPI document says: schemathesis reads the one, and asks the other."""

import hashlib
import hmac
import json
import re
import time
from collections.abc import Iterable, Iterator
from io import BytesIO
from itertools import count
from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, settings
from schemathesis.pytest.lazy import get_all_tests
from schemathesis.specs.openapi.checks import negative_data_rejection

from stripe_mongo_sync.api.resources import plural_of
from stripe_mongo_sync.models import Customer, SyncedDocument, changed_kinds, kinds
from stripe_mongo_sync.models.base.input import IF_MISSING, accepted
from stripe_mongo_sync.models.params.ours import reference
from stripe_mongo_sync.models.params.table import Shape, Table, table
from stripe_mongo_sync.models.rows.keys import LONGEST_KEY
from stripe_mongo_sync.models.username import LONGEST
from tests.support import samples
from tests.support.world import SECRET, TOKEN, World

SIGN = "sign it"  # stands for Stripe's signature until the bytes are known
WEBHOOK = "/webhooks/stripe"
KINDS = {plural_of(model): model for model in changed_kinds().values()}
NUMBERS = count(1)
TAGS = [*KINDS, "usage", "mirrored", "operator", "webhooks", "health", "docs"]
LIMITS = settings(phases=[Phase.explicit], suppress_health_check=list(HealthCheck))
DRAWN = settings(LIMITS, max_examples=4, phases=[Phase.generate])
FEW = settings(DRAWN, max_examples=2)
METHODS = ("get", "post", "patch", "delete")
DEEP = 2  # levels of a body that are drawn
PROSE = {"title", "description", "examples"}  # what a schema says to people
Json = dict[str, Any]
Operation = tuple[str, str]  # its method and path
# That the parts fit each other (one currency, nothing archived, what is left of a line), or a time fits now, no schema
# can say.
UNTOLD = ("POST /orders", "POST /orders/{reference}/refund", "POST /meter-events", "POST /invoices/create_preview")


class Signing:
    """A way to the application that signs an event, as Stripe does, where the request asks for it."""

    def __init__(self, app: Flask) -> None:
        self.app = app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ.get("HTTP_STRIPE_SIGNATURE") == SIGN:
            raw = environ["wsgi.input"].read()
            signed = signature(raw)
            environ |= {"wsgi.input": BytesIO(raw), "HTTP_STRIPE_SIGNATURE": signed}
        return self.app(environ, start_response)


def signature(raw: bytes) -> str:
    """What Stripe would send, also for bytes that are no text."""
    at = int(time.time())
    digest = hmac.new(SECRET.encode(), f"{at}.".encode() + raw, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


class Caller:
    """Has a good token; or is Stripe."""

    def get(self, case: schemathesis.Case, context: schemathesis.AuthContext) -> str:
        return TOKEN

    def set(self, case: schemathesis.Case, token: str, context: schemathesis.AuthContext) -> None:
        proof = {"Stripe-Signature": SIGN} if case.path == WEBHOOK else {"Authorization": f"Bearer {token}"}
        case.headers = {**(case.headers or {}), **proof}


def described(document: Json, app: Flask) -> schemathesis.BaseSchema:
    """What the document says of the operations of the running service, and the checks of it."""
    schema = schemathesis.openapi.from_dict(document)
    schema.app = Signing(app)
    schema.auth()(Caller)
    schema.config.generation.update(allow_x00=False)  # NUL is refused in every string; no schema says so each time
    checks = schema.config.checks
    # What is well formed may still be refused by Stripe, or be over: `keeps_its_word` looks closer at the 422.
    accepted = checks.positive_data_acceptance
    accepted.expected_statuses = [*accepted.expected_statuses, "402", "410", "422"]
    # What has no body has no length, and what is too long is not read: both are refused as such.
    rejected = checks.negative_data_rejection
    rejected.expected_statuses = [*rejected.expected_statuses, "411", "413"]
    # A reference may have slashes, so the address of an action is also that of a document, which knows other methods.
    checks.allow_header_conformance.enabled = False
    checks.ignored_auth.enabled = False  # every route is tried without a token in the tests of access
    return schema


def operations(document: Json) -> list[tuple[Operation, Json]]:
    """All that a document describes, those that have something to show first."""
    paths = document["paths"].items()
    found = [((method, path), at[method]) for path, at in paths for method in METHODS if method in at]
    return sorted(found, key=lambda each: TAGS.index(each[1]["tags"][0]))


def views(app: Flask) -> dict[Operation, str]:
    """The names of the functions that answer."""
    found = {}
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        found |= {(method.lower(), path): f"{view.__module__}.{view.__qualname__}" for method in rule.methods or ()}
    return found


def parts(name: str, document: Json, told: Json) -> set[str]:
    """All that an operation consists of: the view that answers it, with each parameter; and the schemas of its body."""
    bodies = told.get("requestBody", {}).get("content", {}).items()
    return {
        name,
        *(f"{name} {written(document, each)}" for each in told.get("parameters", ())),
        *(f"{name} {type}" for type, _ in bodies),
        *(part for _, body in bodies for part in schemas(document, body["schema"])),
    }


def schemas(document: Json, schema: Json) -> Iterator[str]:
    """What the schema of a body says, and each that is in it, beside which others are in it."""
    schema = resolved(document, schema)
    beside = schema.keys() - {"properties", "required", "anyOf", "items", *PROSE}
    yield json.dumps({name: schema[name] for name in sorted(beside)})
    for each in (
        *schema.get("properties", {}).values(),
        *schema.get("anyOf", ()),
        *filter(None, [schema.get("items")]),
    ):
        yield from schemas(document, each)


def resolved(document: Json, schema: Json) -> Json:
    """What is referred to, or the schema itself."""
    while "$ref" in schema:
        _, _, room, name = schema["$ref"].split("/")
        schema = document["components"][room][name]
    return schema


def written(document: Json, schema: Any) -> str:
    """A schema with all that it refers to, and without what it says to people."""
    return json.dumps(_plain(document, schema), sort_keys=True)


def _plain(document: Json, schema: Any) -> Any:
    if isinstance(schema, list):
        return [_plain(document, each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if isinstance(schema.get("$ref"), str):
        return _plain(document, resolved(document, schema))
    return {name: _plain(document, each) for name, each in schema.items() if name not in PROSE}


def news(app: Flask, document: Json) -> dict[Operation, set[str]]:
    """What is new in each operation: the parts that none before it has."""
    seen: set[str] = set()
    found, names = {}, views(app)
    for operation, told in operations(document):
        found[operation] = parts(names[operation], document, told) - seen
        seen |= found[operation]
    return found


def narrowed(app: Flask, document: Json) -> Json:
    """The document without the optional parameters and fields that are not new in their operation."""
    paths: dict[str, Json] = {path: {**at} for path, at in document["paths"].items()}
    names = views(app)
    for (method, path), new in news(app, document).items():
        told = paths[path][method]
        kept = [
            each
            for each in told.get("parameters", ())
            if resolved(document, each).get("required") or f"{names[method, path]} {written(document, each)}" in new
        ]
        paths[path][method] = {**told, "parameters": kept}
        if bodies := told.get("requestBody", {}).get("content"):
            few = {type: {"schema": _few(document, body["schema"], new)} for type, body in bodies.items()}
            paths[path][method]["requestBody"] = {**told["requestBody"], "content": few}
    return {**document, "paths": paths}


def _few(document: Json, schema: Json, new: set[str], levels: int = DEEP) -> Json:
    """What is new of a schema, down to some levels: tests/openapi/test_document.py tries each field at any depth."""
    schema = dict(resolved(document, schema))
    if "properties" in schema and levels == 0:
        needed = schema.get("required", ())
        schema["properties"] = {name: each for name, each in schema["properties"].items() if name in needed}
    if fields := schema.get("properties"):
        kept = {
            *schema.get("required", ()),
            *(name for name, each in fields.items() if new & {*schemas(document, each)}),
        }
        schema["properties"] = {
            name: _few(document, fields[name], new, max(levels - 1, 0)) for name in fields if name in (kept or fields)
        }
    if "anyOf" in schema:
        schema["anyOf"] = [_few(document, each, new, levels) for each in schema["anyOf"]]
    if "items" in schema:
        schema["items"] = _few(document, schema["items"], new, levels)
    return schema


def test_an_operation_that_takes_what_no_other_takes_has_something_new_and_is_asked_for_that(world: World) -> None:
    document = world.http.get("/openapi.json").json
    old = next(operation for operation, new in news(world.app, document).items() if not new and operation[0] == "patch")
    told = document["paths"][old[1]]["patch"]["requestBody"]["content"]["application/json"]
    known, size = {"type": ["string", "null"], "maxLength": 40_000}, {"maximum": 12_345}
    inner = {"properties": {"known": known, "size": size}}
    told["schema"] = {"properties": {"needed": known, "known": known, "inner": inner}, "required": ["needed"]}

    assert news(world.app, document)[old] == {'{"maximum": 12345}'}
    body = narrowed(world.app, document)["paths"][old[1]]["patch"]["requestBody"]["content"]["application/json"]
    assert body["schema"]["properties"] == {"needed": known, "inner": {"properties": {"size": size}}}


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.long)], ids=["what is new", "all"])
@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.timeout(300)  # a session takes more parameters than all other types did
def test_each_operation_keeps_its_word(tag: str, whole: bool, world: World, subtests: pytest.Subtests) -> None:
    """Each is asked some cases that are drawn; and one that has something new (a view, a parameter, a field), before
    that, a fixed set of cases at the limits of what is new.

    They are made here, and not while tests are collected: that takes as long as running them.
    """
    if tag == "operator":
        world.settings["API_TOKENS"] = f"ops:operate:{TOKEN}"
        world.start()
    document = world.http.get("/openapi.json").json
    having = {f"{method.upper()} {path}" for (method, path), new in news(world.app, document).items() if new or whole}
    for told, phase, is_new in (
        (document if whole else narrowed(world.app, document), LIMITS, True),
        (document, DRAWN, True),
        (document, FEW, False),
    ):

        def chosen(context: Any, is_new: bool = is_new) -> bool:
            return tag in context.operation.tags and (context.operation.label in having) == is_new

        schema = described(told, world.app)
        schema.config.phases.coverage.enabled = phase is LIMITS
        for found in get_all_tests(
            schema=schema.include(chosen), test_func=keeps_its_word, settings=phase, given_kwargs=None
        ):
            operation, ask = found.ok()
            with subtests.test(operation.label):
                ask()


def keeps_its_word(case: schemathesis.Case) -> None:
    good = case.meta is not None and case.meta.generation.mode.is_positive
    (tag, *_) = case.operation.tags
    if good and tag in KINDS:
        be_about_something(case, KINDS[tag])
    elif good and tag in ("mirrored", "operator"):
        case.query.pop("starting_after", None)  # nothing is there
        if tag == "mirrored":
            few_filters(case)

    # Of a form with files, schemathesis also sends what fits and says that it does not.
    unfit = [negative_data_rejection] if case.media_type == "multipart/form-data" else []
    response = case.call_and_validate(excluded_checks=unfit)

    if case.operation.label in UNTOLD:
        return
    can_be_done = {"200", "201"} & set(case.operation.responses.status_codes)
    if good and can_be_done and response.status_code == 422:
        assert not response.json()["type"].endswith("/invalid"), (case.body, response.json())


def be_about_something(case: schemathesis.Case, model: type[SyncedDocument]) -> None:
    """Let a well-formed case name documents that exist, and nothing a second time: no schema knows which they are."""
    if "reference" in case.path_parameters:
        case.path_parameters["reference"] = id_of(model)
    if "starting_after" in case.query:
        case.query["starting_after"] = id_of(model)
    few_filters(case)
    if "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = unique(case.headers["Idempotency-Key"], LONGEST_KEY)
    if isinstance(case.body, dict):
        verb = case.path.rpartition("/")[2]
        usual = "create" if case.method == "POST" else "update"
        taken = accepted(model, verb if verb in model.resource.actions else usual)
        case.body = about(model.resource.kind, taken, case.body)
        if not any(case.body.get(name) for name in ("username", "customer")):
            case.body.pop(IF_MISSING, None)  # no schema says that it needs one of them


def few_filters(case: schemathesis.Case) -> None:
    """Let a list have one filter: no schema says which go together, which are words, or who is a customer here."""
    filters = [name for name in case.query if name not in ("limit", "expand", "format", "starting_after", "status")]
    of_customer = case.operation.path.startswith("/customers/{reference}/")
    if case.operation.path == "/{model}" or of_customer:
        case.query.pop("starting_after", None)  # nothing is there
    for name in filters if case.operation.path == "/{model}" else filters[1:]:
        del case.query[name]
    named = {"customer": id_of(Customer), "username": id_of(Customer), "payment_status": "paid"}
    case.query |= {name: named.get(name, "a") for name in filters if name in case.query and "created" not in name}


def id_of(model: type[SyncedDocument]) -> str:
    """The id of an active document of that kind."""
    found = model.objects(status="active").first() or samples.create(model.resource.kind, str(next(NUMBERS)))
    return str(found.id)


def unique(text: str, longest: int) -> str:
    return f"{next(NUMBERS)}{text}"[:longest].strip()


def about(kind: str, fields: Table, body: dict[str, Any], above: str = "") -> dict[str, Any]:
    return {name: _about(kind, f"{above}{name}", fields.get(name), value) for name, value in body.items()}


def _about(kind: str, path: str, shape: Shape | None, value: Any) -> Any:
    name = path.rpartition(".")[2]
    if not value or shape is None:
        return value
    if isinstance(value, dict) and shape.fields is not None:
        return about(kind, table(shape.fields), value, f"{path}.")
    if isinstance(value, list):
        return [_about(kind, path, shape.items, item) for item in value]
    if isinstance(value, str) and (named := reference(kind, path)) and not kinds()[named].resource.mirrored:
        return id_of(kinds()[named])
    if name == "username":
        return unique(value, LONGEST)
    return "eur" if name.endswith("currency") else value
