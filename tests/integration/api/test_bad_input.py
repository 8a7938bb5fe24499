"""Bad input: a clear 4xx that names the field, and nothing written on either side. Never a 500."""

import json
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stripe_mongo_sync.api.resources import plural_of
from stripe_mongo_sync.models import changed_kinds, created_kinds, kinds
from stripe_mongo_sync.models.base.input import Invalid, accepted, validate
from stripe_mongo_sync.models.params.table import Shape, Table, table
from tests.support import samples
from tests.support.answers import problem, untouched
from tests.support.world import World

NAME = "user@here.com"
PLURALS = ["customers", "products", "prices", "coupons", "promotion-codes"]
quickly = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


def nested(depth: int) -> str:
    return '{"username": ' + "[" * depth + "]" * depth + "}"


BAD: list[tuple[dict[str, Any], str]] = [
    ({}, "username"),
    ({"username": {"$gt": ""}}, "username"),
    ({"username": ["a"]}, "username"),
    ({"username": 7}, "username"),
    ({"username": True}, "username"),
    ({"username": None}, "username"),
    ({"username": ""}, "username"),
    ({"username": "  \u2003"}, "username"),
    ({"username": "x" * 256}, "username"),
    ({"username": "a\u0000b"}, "username"),
    ({"username": "a\nb"}, "username"),
    ({"username": "a\u0085b"}, "username"),
    ({"username": "\ud800"}, "username"),
    ({"username": "0123456789abcdef01234567"}, "username"),
    ({"username": "0123456789ABCDEF01234567"}, "username"),
    ({"username": "cus_ABC123"}, "username"),
    ({"username": NAME, "$where": "1"}, "$where"),
    ({"username": NAME, "a.b": 1}, "a.b"),
    ({"username": NAME, "": 1}, ""),
    ({"username": NAME, "\ud800": 1}, "\ud800"),
    ({"username": NAME, "_id": "1"}, "_id"),
    ({"username": NAME, "username_key": "other"}, "username_key"),
    ({"username": NAME, "status": "active"}, "status"),
    ({"username": NAME, "stripe_id": "cus_1"}, "stripe_id"),
    ({"username": NAME, "is_current": False}, "is_current"),
    ({"username": NAME, "metadata": {"a": "b"}}, "metadata"),
    ({"username": NAME, "id": "cus_mine"}, "id"),
    ({"username": NAME, "delinquent": True}, "delinquent"),
    ({"username": NAME, "email": "nobody"}, "email"),
    ({"username": NAME, "email": {"$ne": None}}, "email"),
    ({"username": NAME, "name": "x" * 40_001}, "name"),
    ({"username": NAME, "name": "a\u0000"}, "name"),
    ({"username": NAME, "phone": 49301234}, "phone"),
    ({"username": NAME, "tax_exempt": 1}, "tax_exempt"),
    ({"username": NAME, "address": "Berlin"}, "address"),
    ({"username": NAME, "address": {"town": "B"}}, "address.town"),
    ({"username": NAME, "address": {"city": {"$gt": ""}}}, "address.city"),
    ({"username": NAME, "shipping": {"name": "A"}}, "shipping.address"),
    ({"username": NAME, "preferred_locales": "de"}, "preferred_locales"),
    ({"username": NAME, "preferred_locales": ["de", None]}, "preferred_locales.1"),
    ({"username": NAME, "preferred_locales": ["de"] * 1001}, "preferred_locales"),
]


def test_a_bad_field_is_named(world: World) -> None:
    with untouched(world):
        for body, named in BAD:
            told = problem(world.http.post("/customers", json=body), 422, "invalid")

            assert list(told["errors"]) == [named], body
            assert named in told["detail"], body


BAD_CATALOGUE: list[tuple[str, dict[str, Any], str]] = [
    ("products", {"name": ""}, "name"),
    ("products", {"name": "x", "images": ["u"] * 1001}, "images"),
    ("products", {"name": "x", "id": "a/b"}, "id"),
    ("products", {"name": "x", "id": "é"}, "id"),
    ("products", {"name": "x", "id": "0123456789abcdef01234567"}, "id"),
    ("products", {"name": "x", "package_dimensions": {"height": 1, "length": 1, "weight": 1}}, "width"),
    ("prices", {"product": {"$gt": ""}, "currency": "eur", "unit_amount": 1}, "product"),
    ("prices", {"product": "p", "currency": "eur\n", "unit_amount": 1}, "currency"),
    ("prices", {"product": "p", "currency": "eur", "unit_amount": 1.5}, "unit_amount"),
    ("prices", {"product": "p", "currency": "eur", "unit_amount": 10**30}, "unit_amount"),
    (
        "prices",
        {"product": "p", "currency": "eur", "unit_amount_decimal": "1.2345678901234"},
        "unit_amount_decimal",
    ),
    ("prices", {"product": "nowhere", "currency": "eur", "unit_amount": 1}, "product"),
    ("prices", {"product": "p\u0000", "currency": "eur", "unit_amount": 1}, "product"),
    ("coupons", {"percent_off": "10"}, "percent_off"),
    ("coupons", {"percent_off": True}, "percent_off"),
    ("coupons", {"percent_off": 5, "valid": True}, "valid"),
    ("coupons", {"percent_off": 5, "applies_to": {"products": ["nowhere"]}}, "applies_to.products.0"),
    ("promotion-codes", {"promotion": {"type": "coupon", "coupon": ["x"]}}, "promotion.coupon"),
    ("promotion-codes", {"promotion": {"type": "gift", "coupon": "x"}}, "promotion.type"),
]


def test_a_bad_field_of_the_catalogue_is_named(world: World) -> None:
    with untouched(world):
        for plural, body, named in BAD_CATALOGUE:
            told = problem(world.http.post(f"/{plural}", json=body), 422, "invalid")

            assert any(name.endswith(named) for name in told["errors"]), (plural, body)


@pytest.mark.parametrize(
    ("body", "named"), [({"percent_off": 101}, "percent_off"), ({"amount_off": 0, "currency": "eur"}, "amount_off")]
)
def test_what_only_stripe_limits_is_refused_by_name_and_leaves_nothing_usable(
    world: World, body: dict[str, Any], named: str
) -> None:
    told = problem(world.http.post("/coupons", json={**body, "duration": "once"}), 422, "refused")

    assert told["errors"].keys() == {named}
    assert world.stripe.objects("coupon") == []
    assert world.http.get("/coupons").json["data"] == []


def test_all_bad_fields_are_named_at_once(world: World) -> None:
    body = {"email": 1, "name": [], "colour": "red", "address": {"city": 2, "zip": 3}}

    told = problem(world.http.post("/customers", json=body), 422, "invalid")

    assert told["errors"].keys() == {"username", "email", "name", "colour", "address.city", "address.zip"}


NO_OBJECTS = [
    b" ",
    b"username=user",
    b"null",
    b"[]",
    b'"user@here.com"',
    b"{",
    b'{"username": NaN}',
    b'{"username": Infinity}',
    b'{"username": "\xff"}',
    b'{"username": "\x00"}',
    '{"username": "user"}'.encode("utf-16"),
    b'{"username": ' + b"1" * 5000 + b"}",
    nested(50).encode(),
    nested(960).encode(),
    nested(990).encode(),
    nested(5000).encode(),
    b"[" * 500_000,
]


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_what_is_not_a_json_object_is_malformed(world: World, method: str) -> None:
    path = {"POST": "/customers", "PATCH": "/customers/somebody"}[method]

    with untouched(world):
        for raw in NO_OBJECTS:
            problem(world.http.open(path, method=method, data=raw, content_type="application/json"), 400, "malformed")


def test_no_depth_of_nesting_is_a_500(world: World) -> None:
    with untouched(world):
        for depth in [*range(20, 120, 7), *range(850, 1000, 3)]:
            raw = nested(depth)
            response = world.http.post("/customers", data=raw, content_type="application/json")
            assert 400 <= response.status_code < 500, (depth, response.data)


@pytest.mark.parametrize(
    "raw", [b'{"username": "a", "username": "b"}', b'{"username": "a", "address": {"x": 1, "x": 2}}']
)
def test_a_key_given_twice_is_malformed(world: World, raw: bytes) -> None:
    with untouched(world):
        problem(world.http.post("/customers", data=raw, content_type="application/json"), 400, "malformed")


def test_a_number_without_end_is_refused(world: World) -> None:
    raw = b'{"name": "Box", "package_dimensions": {"height": 1e999, "length": 1, "weight": 1, "width": 1}}'

    with untouched(world):
        response = world.http.post("/products", data=raw, content_type="application/json")
        assert list(problem(response, 422, "invalid")["errors"]) == ["package_dimensions.height"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""])
def test_another_content_type_is_refused(world: World, kind: str) -> None:
    with untouched(world):
        for plural in PLURALS:
            response = world.http.post(f"/{plural}", data=b'{"username": "a"}', content_type=kind)
            problem(response, 415, "wrong-content-type")


@pytest.mark.parametrize("path", ["/customers", "/webhooks/stripe"])
def test_a_body_without_a_length_is_refused(world: World, path: str) -> None:
    with untouched(world):
        response = world.http.post(
            path,
            input_stream=BytesIO(b'{"username": "user@here.com"}'),
            content_type="application/json",
            headers={"Transfer-Encoding": "chunked"},
        )
        problem(response, 411, "length-required")


@pytest.mark.parametrize(("path", "largest"), [("/customers", 1), ("/webhooks/stripe", 4), ("/webhooks/stripe/", 4)])
def test_a_huge_body_is_refused(world: World, path: str, largest: int) -> None:
    raw = json.dumps({"username": "x" * largest * 1024 * 1024}).encode()

    with untouched(world):
        response = world.http.post(
            path, data=raw, content_type="application/json", headers={"Stripe-Signature": "t=1,v1=x"}
        )
        problem(response, 413, "too-large")


@pytest.mark.parametrize("key", ["", "k" * 256, "a\tb"])
def test_a_bad_idempotency_key_is_refused(world: World, key: str) -> None:
    with untouched(world):
        response = world.http.post("/customers", json={"username": NAME}, headers={"Idempotency-Key": key})
        assert list(problem(response, 422, "invalid")["errors"]) == ["Idempotency-Key"]


BAD_QUERIES = [
    ("limit=0", "limit"),
    ("limit=101", "limit"),
    ("limit=-1", "limit"),
    ("limit=1.0", "limit"),
    ("limit=", "limit"),
    ("limit=٣", "limit"),
    ("limit=" + "9" * 5000, "limit"),
    ("limit=1&limit=2", "limit"),
    ("status=", "status"),
    ("status=gone", "status"),
    ("status[$ne]=active", "status[$ne]"),
    ("starting_after=", "starting_after"),
    ("starting_after=0123456789abcdef01234567", "starting_after"),
    ("starting_after=cus_1", "starting_after"),
    ("expand=everything", "expand"),
    ("page=2", "page"),
    ("%00=%ff", "\0"),
]


def test_a_bad_parameter_of_a_list_is_named(world: World) -> None:
    with untouched(world):
        for query, named in BAD_QUERIES:
            assert list(problem(world.http.get(f"/customers?{query}"), 422, "invalid")["errors"]) == [named], query


NO_GET = [
    "%00",
    "a%00b",
    "%ff%fe",
    "%F0%9F%92%B8",
    "$where",
    "%7B%22$gt%22:%22%22%7D",
    "..%2F..%2Fetc",
    "a/b/c",
    "x" * 20_000,
    "0123456789abcdef01234567",
    "cus_nobody",
]


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_an_odd_path_is_only_not_found(world: World, method: str) -> None:
    body = {"json": {"name": "x"}} if method == "PATCH" else {}
    with untouched(world):
        for reference in NO_GET:
            problem(world.http.open(f"/customers/{reference}", method=method, **body), 404, "not-found")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_a_wrong_method_says_so(world: World, method: str) -> None:
    with untouched(world):
        problem(world.http.open("/customers", method=method, json={}), 405, "method-not-allowed")


def test_an_operator_in_a_path_or_a_token_finds_nothing(world: World) -> None:
    world.http.post("/customers", json={"username": NAME})

    problem(world.http.get("/customers/%7B%22$gt%22:%22%22%7D"), 404, "not-found")
    problem(world.http.get("/customers", headers={"Authorization": 'Bearer {"$gt": ""}'}), 401, "unauthorized")


# --- what is no bad input ---


def test_another_method_is_told_which_there_are(world: World) -> None:
    answer = world.http.put("/customers", json={})

    problem(answer, 405, "method-not-allowed")
    assert set(answer.headers["Allow"].split(", ")) >= {"GET", "POST"}
    problem(world.http.open("/customers", method="PUT"), 405, "method-not-allowed")  # not that it lacks a length


def test_an_action_needs_no_body(world: World) -> None:
    document = samples.create("setup_intent")

    without_length = {"CONTENT_LENGTH": None}
    answer = world.http.post(f"/setup-intents/{document.id}/cancel", environ_overrides=without_length)

    assert answer.status_code == 200
    assert answer.get_json()["stripe_status"] == "canceled"


def test_a_whole_number_may_be_written_with_a_point(world: World) -> None:
    body = {**samples.body("price"), "unit_amount": 990.0}

    answer = world.http.post("/prices", json=body)

    assert answer.status_code == 201
    assert repr(answer.get_json()["unit_amount"]) == "990"


# --- at every depth ---


Place = tuple[str, ...]
WRONG: dict[str, Any] = {"string": 7, "integer": "x", "number": "x", "boolean": "x", "decimal": 0.5}


def every(fields: Table, above: Place = ()) -> Iterator[tuple[Place, Shape]]:
    """Yield each parameter with its place; "0" stands for the first of a list, and "eur" for any name."""
    for name, shape in fields.items():
        place = (*above, name)
        yield place, shape
        for part, end in ((shape, ()), (shape.items, ("0",)), (shape.values, ("eur",))):
            if part is not None and part.fields is not None:
                yield from every(table(part.fields), (*place, *end))


def misfits(shape: Shape) -> list[Any]:
    """Return values that this parameter cannot take: a text for a number, a list for an object, and so on."""
    found: list[Any] = [WRONG[each] for each in shape.plain if len(shape.plain) == 1]
    found += [[]] if shape.items is None else [[[]], [None]]
    found += [{"$gt": ""}] if shape.values is None else [{"a.b": "x"}, {"eur": [7]}]
    return found


def nest(place: Place, value: Any) -> Any:
    for name in reversed(place):
        value = [value] if name == "0" else {name: value}
    return value


def is_named(errors: dict[str, str], place: Place) -> bool:
    label = ".".join(place)
    return any(f"{name}.".startswith(f"{label}.") for name in errors)


@pytest.mark.parametrize("kind", changed_kinds())
def test_a_value_that_does_not_fit_is_named_at_every_depth(kind: str) -> None:
    model, tried = changed_kinds()[kind], 0
    for verb in ("create", "update", *model.resource.actions):
        for place, shape in every(accepted(model, verb)):
            for value in misfits(shape):
                with pytest.raises(Invalid) as refused:
                    validate(model, nest(place, value), verb)
                assert is_named(refused.value.errors, place), (verb, place, value)
                tried += 1
            if shape.fields is not None:
                with pytest.raises(Invalid) as refused:
                    validate(model, nest((*place, "colour"), "red"), verb)
                assert refused.value.errors[".".join((*place, "colour"))] == "is not a field of this type"
    assert tried > 8


@pytest.mark.parametrize("kind", ["customer", "payment_intent", "checkout.session", "subscription", "price"])
def test_nothing_is_written_of_a_body_that_is_wrong_somewhere_deep(world: World, kind: str) -> None:
    model = created_kinds()[kind]
    body, plural = samples.body(kind), f"/{plural_of(model)}"
    world.webhooks()
    deepest: dict[int, tuple[Place, Shape]] = {}
    for place, shape in every(accepted(model, "create")):
        if place[0] not in body:
            deepest[len(place)] = place, shape
    assert len(deepest) >= 2
    with untouched(world):
        for place, shape in deepest.values():
            for value in misfits(shape):
                told = problem(world.http.post(plural, json=body | nest(place, value)), 422, "invalid")
                assert is_named(told["errors"], place), (place, value)
            told = problem(world.http.post(plural, json=body | nest((*place[:-1], "colour"), 1)), 422, "invalid")
            assert any(name.endswith("colour") for name in told["errors"])
        deep: Any = "x"
        for _ in range(19):
            deep = {"deeper": deep}
        told = problem(world.http.post(plural, json=body | {"currency": deep}), 422, "invalid")
        assert {*told["errors"].values()} == {"is nested too deep"}


# --- anything at all ---

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=2**62, max_value=2**70),
    st.floats(),
    st.text(st.characters(codec=None), max_size=20),
    st.sampled_from(["$gt", "a.b", "\x00", "\ud800", "cus_1", "0" * 24, "x" * 300, {"$gt": ""}, "1" * 30]),
)
ANYTHING = st.recursive(ODD, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3))
FIELDS = sorted({name for model in kinds().values() for name in model._fields} | {"id", "$where", "a.b", "\ud800"})
BODIES = st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=5), ANYTHING, max_size=6)


@pytest.fixture
def ask(world: World) -> Callable[[str, str, bytes], None]:
    """Sends bytes to a route, and asserts that it is never a failure of ours."""

    def send(method: str, path: str, raw: bytes) -> None:
        response = world.http.open(path, method=method, data=raw, content_type="application/json")
        assert response.status_code < 500, (method, path, raw, response.data)

    for plural, body in (
        ("customers", {"username": NAME}),
        ("products", {"name": "x"}),
        ("coupons", {"percent_off": 5}),
    ):
        world.http.post(f"/{plural}", json=body | ({} if plural == "customers" else {"id": "own"}))
    return send


ROUTES = [("POST", f"/{plural}") for plural in PLURALS] + [
    ("PATCH", f"/customers/{NAME}"),
    ("PATCH", "/products/own"),
    ("PATCH", "/coupons/own"),
    ("PATCH", "/prices/price_x"),
    ("POST", "/webhooks/stripe"),
]


@quickly
@given(route=st.sampled_from(ROUTES), body=BODIES)
def test_no_json_is_a_500(ask: Callable[[str, str, bytes], None], route: tuple[str, str], body: dict[str, Any]) -> None:
    ask(*route, json.dumps(body).encode())


@quickly
@given(route=st.sampled_from(ROUTES), raw=st.binary(max_size=200))
def test_no_bytes_are_a_500(ask: Callable[[str, str, bytes], None], route: tuple[str, str], raw: bytes) -> None:
    ask(*route, raw)
