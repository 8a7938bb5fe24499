"""The API does what its OpenAPI document says: schemathesis reads the one, and asks the other."""

import hashlib
import hmac
import time
from collections.abc import Iterable
from io import BytesIO
from itertools import count
from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, settings
from mongoengine import EmbeddedDocumentField, ListField
from mongoengine.base import BaseField
from schemathesis.pytest.lazy import get_all_tests

from api.resources import plural_of
from models import SyncedDocument, created_kinds, kinds
from models.keys import LONGEST_KEY
from tests.support import samples
from tests.support.world import SECRET, TOKEN, World

SIGN = "sign it"  # stands for Stripe's signature until the bytes are known
WEBHOOK = "/webhooks/stripe"
KINDS = {plural_of(model): model for model in created_kinds().values()}
NUMBERS = count(1)
FEW = settings(max_examples=6, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck))


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


def described(world: World, tag: str) -> schemathesis.BaseSchema:
    """The operations of a kind, as the running service describes them."""
    schema = schemathesis.openapi.from_wsgi("/openapi.json", Signing(world.app))
    schema.auth()(Caller)
    schema.config.generation.update(allow_x00=False)  # NUL is refused in every string; no schema says so each time
    checks = schema.config.checks
    # What is well formed may still be refused by Stripe, or be over: `keeps_its_word` looks closer at the 422.
    accepted = checks.positive_data_acceptance
    accepted.expected_statuses = [*accepted.expected_statuses, "402", "410", "422"]
    # What has no body has no length, and is refused as such.
    rejected = checks.negative_data_rejection
    rejected.expected_statuses = [*rejected.expected_statuses, "411"]
    # A reference may have slashes, so the address of an action is also that of a document, which knows other methods.
    checks.allow_header_conformance.enabled = False
    # The contract answers a bad signature with 400, where the check knows 401 and 403 only: see the webhooks' tests.
    checks.ignored_auth.enabled = tag != "webhooks"
    return schema.include(tag=tag)


@pytest.mark.parametrize("tag", [*KINDS, "mirrored", "operator", "webhooks", "health", "docs"])
def test_each_operation_keeps_its_word(tag: str, world: World, subtests: pytest.Subtests) -> None:
    """Each is asked a fixed set of cases, at the limits of its schema, and then a few that are drawn.

    They are made here, and not while tests are collected: that takes as long as running them.
    """
    if tag == "operator":
        world.settings["API_TOKENS"] = f"ops:operate:{TOKEN}"
        world.start()
    schema = described(world, tag)
    for found in get_all_tests(schema=schema, test_func=keeps_its_word, settings=FEW, given_kwargs=None):
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

    response = case.call_and_validate()

    if case.operation.label == "POST /orders":
        return  # that the parts of one fit each other (one currency, nothing archived), no schema can say
    can_be_done = {"200", "201"} & set(case.operation.responses.status_codes)
    if good and can_be_done and response.status_code == 422:
        assert not response.json()["type"].endswith("/invalid"), (case.body, response.json())


def be_about_something(case: schemathesis.Case, model: type[SyncedDocument]) -> None:
    """Let a well-formed case name documents that exist, and nothing a second time: no schema knows which they are."""
    if "reference" in case.path_parameters:
        case.path_parameters["reference"] = id_of(model)
    if "starting_after" in case.query:
        case.query["starting_after"] = id_of(model)
    if "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = unique(case.headers["Idempotency-Key"], LONGEST_KEY)
    if isinstance(case.body, dict):
        action = model.resource.actions.get(case.path.rpartition("/")[2])
        fields = model._fields if action is None else action.takes._fields if action.takes else {}
        case.body = about(fields, case.body)


def id_of(model: type[SyncedDocument]) -> str:
    """The id of an active document of that kind."""
    found = model.objects(status="active").first() or samples.create(model.resource.kind, str(next(NUMBERS)))
    return str(found.id)


def unique(text: str, longest: int) -> str:
    return f"{next(NUMBERS)}{text}"[:longest].strip()


def about(fields: dict[str, BaseField], body: dict[str, Any]) -> dict[str, Any]:
    return {name: _about(name, fields.get(name), value) for name, value in body.items()}


def _about(name: str, field: Any, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(field, EmbeddedDocumentField):
        return about(field.document_type._fields, value)
    if isinstance(field, ListField):
        return [_about(name, field.field, item) for item in value]
    if getattr(field, "refers", None):
        return id_of(kinds()[field.refers])
    if getattr(field, "local", False):
        return unique(value, field.max_length)
    return "eur" if name.endswith("currency") else value
