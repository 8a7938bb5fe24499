"""Whatever bytes come in, by whichever door: an answer that was meant, a row or a refusal, never a failure of ours."""

import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from stripe import WebhookSignature

from stripe_mongo_sync import sync
from stripe_mongo_sync.api.resources import plural_of
from stripe_mongo_sync.emulator.protocol.errors import Problem
from stripe_mongo_sync.emulator.protocol.forms import canonical, encode, items, params_of, spell
from stripe_mongo_sync.emulator.protocol.wire import Request
from stripe_mongo_sync.models import Event, SyncedDocument, created_kinds
from stripe_mongo_sync.models.base.input import Invalid, accepted, local_fields, validate
from stripe_mongo_sync.models.event_body import of_others, without_content
from stripe_mongo_sync.sync.engine.admission import OTHERS
from stripe_mongo_sync.sync.inbox.thin import THIN, as_snapshot
from stripe_mongo_sync.webhooks.signature import BadSignature, verify
from tests.support import samples
from tests.support.quick import timed
from tests.support.world import SECRET, World

ODD_TEXT = st.sampled_from(
    [
        "",
        "$gt",
        "$where",
        "a.b",
        "\x00",
        "\ud800",
        "cus_1",
        "..",
        "0" * 24,
        "x" * 300,
        "1" * 30,
        "null",
        "evt_1",
        "2" * 64,
    ]
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**63, -(2**63) - 1, 2**70, 1e400, float("nan"), -0.0, 1e-320]),
    st.floats(),
    st.text(st.characters(codec=None), max_size=12),
    ODD_TEXT,
)
KEYS = ODD_TEXT | st.sampled_from(
    ["id", "object", "type", "created", "livemode", "account", "api_version", "request", "data", "deleted", "metadata"]
)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)

PATHS = st.lists(st.integers(0, 40), min_size=1, max_size=5)  # a way into a real event


def few(examples: int) -> settings:
    """So many examples, whatever they cost."""
    health = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=examples, deadline=None, suppress_health_check=health)


# --- the webhook ---


def sign(raw: bytes, at: int | None = None) -> str:
    at = int(time.time()) if at is None else at
    return f"t={at},v1={hmac.new(SECRET.encode(), f'{at}.'.encode() + raw, hashlib.sha256).hexdigest()}"


@pytest.fixture
def real(world: World) -> list[bytes]:
    """Events as the service gets them: of a life, of a payment, of what others made; one thin."""
    customer = sync.create_customer("user@here.com")
    world.stripe.dashboard.update("customer", customer.stripe_id, name="New")
    world.stripe.dashboard.create("product", name="x")
    samples.create("refund")
    world.stripe.dashboard.delete("customer", customer.stripe_id)
    thin = {
        "id": "evt_thin",
        "object": "v2.core.event",
        "type": "v1.customer.updated",
        "created": "2026-01-01T00:00:00Z",
    }
    thin["related_object"] = {"id": "cus_1", "type": "customer", "url": "/v1/customers/cus_1"}
    return [*world.webhooks(), json.dumps({**thin, "livemode": False}).encode()]


def mutated(event: Any, path: list[int], value: Any, *, drop: bool) -> Any:
    """The event with another value at that path, or without it."""
    if not path or not isinstance(event, dict | list) or not event:
        return value
    names = list(event) if isinstance(event, dict) else list(range(len(event)))
    name = names[path[0] % len(names)]
    changed = dict(event) if isinstance(event, dict) else list(event)
    if drop and len(path) == 1:
        del changed[name]
    else:
        changed[name] = mutated(event[name], path[1:], value, drop=drop)
    return changed


def take(world: World, raw: bytes) -> None:
    """Deliver these bytes, signed: kept as they are but for keys; of others, only whose; or refused, and not at all."""
    before = Event.objects.count()
    response = world.http.post("/webhooks/stripe", data=raw, headers={"Stripe-Signature": sign(raw)})
    assert response.status_code in (200, 400), (raw, response.data)
    if response.status_code == 400:
        assert Event.objects.count() == before
    elif response.json["state"] != "duplicate":
        row = Event.objects(id=json.loads(raw)["id"]).get()
        left = bytes(row.raw)
        assert b"_secret_" not in left
        if row.reason in OTHERS:
            told = json.loads(raw)
            assert left == without_content(of_others(as_snapshot(told) if told["object"] == THIN else told))
        else:
            assert left == raw or (b"client_secret" in raw and keyless(left) == keyless(raw))
        assert row.state == response.json["state"]


def keyless(raw: bytes) -> str:
    """An event without the one key that these events have, nor the word that says that it was taken out."""
    told = json.loads(raw, object_hook=lambda part: {n: v for n, v in part.items() if n != "client_secret"})
    return json.dumps({name: part for name, part in told.items() if name != "withheld"}, sort_keys=True)


def events_are_kept_or_refused(
    world: World, real: list[bytes], which: int, path: list[int], value: Any, drop: bool, fresh: int
) -> None:
    event = mutated(json.loads(real[which % len(real)]), path, value, drop=drop)
    if isinstance(event, dict) and isinstance(event.get("id"), str) and event["id"].startswith("evt_"):
        event["id"] = f"evt_fuzz{fresh}"
    take(world, json.dumps(event).encode())


def bytes_are_kept_or_refused(world: World, raw: bytes) -> None:
    take(world, raw)


RAW = st.binary(min_size=1, max_size=300) | JSON.map(lambda value: json.dumps(value).encode())
A_MUTATION = {
    "which": st.integers(0, 20),
    "path": PATHS,
    "value": JSON,
    "drop": st.booleans(),
    "fresh": st.integers(0, 2**60),
}


@pytest.mark.fault("145")
@few(120)
@example(which=9, path=[5, 0], value=None, drop=False, fresh=0)  # a thin event that does not say whose
@given(**A_MUTATION)
def test_a_signed_event_in_any_shape_is_kept_or_refused(world: World, real: list[bytes], **drawn: Any) -> None:
    events_are_kept_or_refused(world, real, **drawn)


@pytest.mark.fault("145")
@few(80)
@given(raw=RAW)
@example(raw=b"[" * 20_000)
@example(raw=b'{"id": "evt_1", "object": "event", "type": "a", "created": ' + b"9" * 5000 + b"}")
@example(
    raw=b'{"id": "evt_2", "object": "event", "type": "a", "created": 1, "data": {"object": '
    + b'{"a":' * 500
    + b"1"
    + b"}" * 502
)
@example(raw=b"\xef\xbb\xbf{}")
def test_signed_bytes_of_any_kind_are_kept_or_refused(world: World, raw: bytes) -> None:
    bytes_are_kept_or_refused(world, raw)


@pytest.mark.long
@pytest.mark.timeout(3600)
@few(5_000)
@given(**A_MUTATION)
def test_a_signed_event_in_very_many_shapes_is_kept_or_refused(world: World, real: list[bytes], **drawn: Any) -> None:
    events_are_kept_or_refused(world, real, **drawn)


@pytest.mark.long
@pytest.mark.timeout(3600)
@few(5_000)
@given(raw=RAW)
def test_very_many_signed_bytes_are_kept_or_refused(world: World, raw: bytes) -> None:
    bytes_are_kept_or_refused(world, raw)


# --- its signature ---

BODY = b'{"id": "evt_1"}'
PIECES = st.sampled_from(
    ["t=", "v1=", "v0=", ",", "=", "t", "é", " ", "t=-1", "t=9999999999999999999999", "t=" + "9" * 4200, "t=1e3", "t=٣"]
    + ["v1=" + "0" * 64, "v1=é", "\x00", "\ud800", "t=nan", "v1", "t=0x10", "scheme="]
)
HEADERS = st.lists(PIECES | st.text(max_size=6), max_size=12).map(lambda parts: "".join(parts))


@pytest.mark.fault("145")
@few(400)
@example(header="=", body=BODY, good=True, at=12)  # behind the time
@given(header=HEADERS, body=st.binary(max_size=40) | st.just(BODY), good=st.booleans(), at=st.integers(0, 60))
def test_no_header_is_taken_but_a_good_one(header: str, body: bytes, good: bool, at: int) -> None:
    signed = sign(BODY)
    given = f"{signed[:at]}{header}{signed[at:]}" if good else header

    try:
        verify(body, given, (SECRET, "whsec_other"))
    except BadSignature:
        return

    assert body == BODY
    assert f"v1={signed.partition('v1=')[2]}" in given.split(",")


@pytest.mark.fault("143")
@pytest.mark.parametrize("age", [301, 302, 86400, -301, -86400, 10**12])
def test_a_good_signature_of_another_time_is_replayed_in_vain(age: int) -> None:
    now = int(time.time())
    with pytest.raises(BadSignature):
        verify(BODY, sign(BODY, now - age - (5 if age > 0 else -5)), (SECRET,))

    verify(BODY, sign(BODY, now), (SECRET,))


@few(100)
@given(body=st.text(max_size=60), age=st.integers(-290, 290), secret=st.text(min_size=1, max_size=30))
def test_what_stripe_python_signs_is_taken_unless_a_byte_differs(body: str, age: int, secret: str) -> None:
    signed = WebhookSignature.generate_signature_header(body, secret, int(time.time()) - age)
    made, mark = signed.split(",")

    verify(body.encode(), f"{made},v1={'0' * 64},{mark},v0={'1' * 64}", ("whsec_old", secret))
    for changed in (body.encode() + b" ", b"\xff" + body.encode()):
        with pytest.raises(BadSignature):
            verify(changed, signed, (secret,))


@pytest.mark.parametrize("count", [11, 100, 10_000, 100_000])
def test_many_signatures_take_no_long_time(count: int) -> None:
    signed = f"t={int(time.time())}" + f",v1={'0' * 64}" * count

    with pytest.raises(BadSignature):
        timed("a check", lambda: verify(BODY, signed, (SECRET,) * 5), 0.1)


# --- the emulator's forms ---

FORM_KEYS = st.lists(
    st.sampled_from(["a", "b", "[", "]", "[]", "[0]", "[a]", "[b]", "[" + "9" * 5000 + "]", "%00", "%ff", "é", " "]),
    max_size=6,
).map("".join)
FORMS = st.lists(st.tuples(FORM_KEYS, st.text(max_size=4)), max_size=6).map(
    lambda pairs: "&".join(f"{name}={quote_plus(value, errors='surrogatepass')}" for name, value in pairs).encode()
)


def form(body: bytes, query: str = "") -> Request:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    return Request("POST", "/v1/customers", query=query, headers=headers, body=body)


def a_form_is_parsed_or_refused(body: bytes, query: str) -> None:
    refused = None
    try:
        found = params_of(form(body, query))
        canonical(found)
        for value in found.values():
            items(value)
    except Problem as problem:
        refused = problem.status
    assert refused in (None, 400)


@few(300)
@given(body=st.binary(max_size=80) | FORMS, query=st.text(max_size=12))
@example(body=b"a[" + b"9" * 5000 + b"]=1&a[1]=2", query="")
@example(body=b"a" + b"[b]" * 5000 + b"=1", query="")
@example(body=b"&".join(b"a%d=1" % n for n in range(2000)), query="")
def test_any_form_is_parsed_or_refused_as_stripe_does(body: bytes, query: str) -> None:
    a_form_is_parsed_or_refused(body, query)


@pytest.mark.long
@pytest.mark.timeout(3600)
@few(5_000)
@given(body=st.binary(max_size=200) | FORMS, query=st.text(max_size=40))
def test_very_many_forms_are_parsed_or_refused_as_stripe_does(body: bytes, query: str) -> None:
    a_form_is_parsed_or_refused(body, query)


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="[]\x00"), min_size=1, max_size=5)
NESTED = st.recursive(
    st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=5),
    lambda inner: st.dictionaries(NAMES, inner, min_size=1, max_size=3),
    max_leaves=6,
)


@few(150)
@given(params=st.dictionaries(NAMES, NESTED, max_size=4))
def test_a_form_says_what_was_put_into_it(params: dict[str, Any]) -> None:
    assert params_of(form(encode(params).encode())) == spell(params)


# --- operators ---

OPERATORS = ["$stripe_id", "$$ROOT", "$where", '{"$gt": ""}']
NESTED_OPERATORS: list[Any] = [
    {"$gt": ""},
    {"$literal": "x"},
    {"$ne": None},
    [{"$gt": ""}],
    {"$function": {"body": "1"}},
]


def strings(model: type[SyncedDocument]) -> Iterator[str]:
    """The parameters of a type that take a text."""
    for name, shape in accepted(model, "create").items():
        if "string" in shape.plain and name != "id":
            yield name


@pytest.mark.fault("146")
@pytest.mark.parametrize("kind", created_kinds())
def test_no_text_is_read_as_an_operator(world: World, kind: str) -> None:
    model, stored = created_kinds()[kind], 0
    for name in strings(model):
        for number, operator in enumerate(OPERATORS):
            body = samples.body(kind, f"s{number}")
            if kind in ("coupon", "product"):
                body |= {"id": f"own-{name}-{number}"}
            response = world.http.post(f"/{plural_of(model)}", json={**body, name: operator})
            assert response.status_code < 500, response.data
            if response.status_code != 201:
                continue
            stored += 1
            row = model._get_collection().find_one({"_id": model.lookup(response.json["id"]).id})
            kept = row["operation"]["params"].get(name) if row["operation"] else row.get(name)
            assert kept in (operator, None, body.get(name)), (name, row)
            if name in response.json:
                assert response.json[name] == operator
                assert row[name] == operator
            if name in local_fields(model):
                model._get_collection().delete_one({"_id": row["_id"]})
    assert stored or kind in ("refund", "payment_method", "checkout.session", "promotion_code"), (
        "else nothing was tried"
    )


@pytest.mark.fault("146")
@pytest.mark.parametrize("kind", created_kinds())
def test_no_object_takes_the_place_of_a_text(world: World, kind: str) -> None:
    model = created_kinds()[kind]
    body = samples.body(kind)
    for name in strings(model):
        for operator in NESTED_OPERATORS:
            response = world.http.post(f"/{plural_of(model)}", json={**body, name: operator})
            assert response.status_code == 422, (name, operator, response.data)
            assert response.json["errors"].keys() == {name}


@pytest.mark.parametrize(
    "text", ["a" * 100_000, "a@" * 50_000, "a." * 50_000, "1" * 100_000, "-" * 100_000, " a" * 50_000]
)
def test_a_long_text_takes_no_long_time(text: str) -> None:
    for model in created_kinds().values():
        for name in strings(model):
            with suppress(Invalid):
                timed(name, lambda model=model, name=name: validate(model, {name: text}, "create"), 0.1)
