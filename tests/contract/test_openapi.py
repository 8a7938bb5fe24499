"""The emulator's objects and events agree with Stripe's OpenAPI file and stripe-python, except for the exceptions."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import stripe

from stripe_mongo_sync.emulator import Emulator
from stripe_mongo_sync.emulator.engine.calls import EVENT
from stripe_mongo_sync.emulator.engine.resource import RESOURCES, Resource
from stripe_mongo_sync.emulator.objects.read_only import READ_ONLY
from tests.contract import library, mirrored_samples, openapi, samples
from tests.contract.outsiders import (
    EXCEPTIONS,
    object_differences,
    refusal_differences,
    reply_differences,
    reviewed,
    template,
)
from tests.contract.schemas import Walk, verdict

if not openapi.PATH.exists():
    pytest.skip("Stripe's OpenAPI file is not here", allow_module_level=True)

Json = dict[str, Any]
ROWS = [*RESOURCES.values(), EVENT]
SERVED = [row for row in ROWS if row.create is not None]
READABLE = [row for row in ROWS if row.readable and row not in READ_ONLY]


def by_kind(row: Resource) -> str:
    return row.kind


@pytest.fixture(scope="module")
def world() -> Emulator:
    """Objects of each type with as many fields as possible, and an endpoint for all events."""
    emulator = Emulator()
    for payload in ("snapshot", "thin"):
        emulator.endpoint("https://example.com/hook", payload=payload)
    boss = emulator.dashboard
    samples.pay(emulator)
    samples.check_out(emulator)
    samples.bill(emulator)
    samples.host(emulator)
    mirrored_samples.tell(emulator, stripe.StripeClient("sk_test_x", http_client=emulator.transport()))
    customer = boss.create(
        "customer",
        email="a@example.com",
        name="A",
        address={"city": "Bern"},
        shipping={"name": "A", "address": {"line1": "1"}},
        metadata={"k": "v"},
        preferred_locales=["de"],
    )
    boss.update("customer", customer["id"], name="B")
    price = boss.create(
        "price",
        currency="usd",
        unit_amount_decimal="12.5",
        recurring={"interval": "month"},
        lookup_key="k",
        transform_quantity={"divide_by": 2, "round": "up"},
        product_data={"name": "P"},
    )
    boss.create(
        "product", name="Q", default_price_data={"currency": "usd", "unit_amount": 1}, url="https://example.com"
    )
    boss.create("price", currency="usd", custom_unit_amount={"enabled": True}, product=price["product"])
    coupon = boss.create("coupon", percent_off=25.5, duration="repeating", duration_in_months=3, name="Less")
    boss.create("coupon", amount_off=100, currency="usd")
    boss.create(
        "promotion_code",
        promotion={"type": "coupon", "coupon": coupon["id"]},
        restrictions={"first_time_transaction": True, "minimum_amount": 5, "minimum_amount_currency": "usd"},
    )
    boss.create("webhook_endpoint", url="https://example.com", enabled_events=["*"])
    return emulator


@pytest.fixture
def client(world: Emulator) -> stripe.StripeClient:
    return stripe.StripeClient("sk_test_x", http_client=world.transport())


def test_the_file_is_the_one_that_is_meant() -> None:
    assert openapi.document()["info"]["version"] == openapi.VERSION


@pytest.mark.parametrize("row", SERVED, ids=by_kind)
def test_objects_have_the_shape_of_the_outsiders(row: Resource, world: Emulator) -> None:
    objects = world.objects(row.kind)

    assert objects
    reviewed(shown(row.kind, objects), f"shows {row.kind}")


def shown(kind: str, objects: list[Json]) -> Iterator[tuple[str, str]]:
    return ((f"shows {kind}", each) for object in objects for each in object_differences(object))


def test_events_and_what_they_are_about_have_their_shape(world: Emulator) -> None:
    sent = [json.loads(each.body) for each in world.webhooks.take()]
    thin = [event for event in sent if event["object"] == "v2.core.event"]
    events = [*world.events(), *(event for event in sent if event["object"] == "event")]
    about: dict[str, list[Json]] = {}
    for event in events:
        about.setdefault(event["data"]["object"]["object"], []).append(event["data"]["object"])

    assert len({event["type"] for event in events}) > 40
    assert {*about} >= {"customer", "plan", "invoice", "checkout.session"}
    assert {event["reason"] and event["reason"]["type"] for event in thin} == {"request", None}
    reviewed(shown("event", events), "shows event")
    reviewed((("tells v2.core.event", each) for _, each in shown("v2.core.event", thin)), "tells *")
    for kind, objects in about.items():
        reviewed(shown(kind, objects), f"shows {kind}")


def test_what_an_event_says_was_before_is_a_field_of_the_object(world: Emulator) -> None:
    before = [event["data"] for event in world.events() if "previous_attributes" in event["data"]]

    assert before
    for data in before:
        assert data["previous_attributes"].keys() <= data["object"].keys()
        before = data["previous_attributes"]
        was = {
            key: each for key, each in before.get("metadata", {}).items() if each is not None
        }  # null: the field was absent before
        patched = {**data["object"], **before, **({"metadata": was} if was != before.get("metadata", {}) else {})}
        assert {each for each in object_differences(patched) if each[0] == "!"} == set()


@pytest.mark.parametrize("row", READABLE, ids=by_kind)
def test_what_can_be_deleted_is_what_the_outsiders_say(row: Resource) -> None:
    one = f"/v1/{row.path}/{{}}"

    assert ("get", one) in library.calls()
    if row.create is not None:
        assert (("delete", one) in library.calls()) == (row.delete != "never" or row.delete_action is not None)


@pytest.mark.parametrize("row", READABLE, ids=by_kind)
def test_lists_have_the_shape_of_the_outsiders(row: Resource, world: Emulator, client: stripe.StripeClient) -> None:
    whose = {name: world.objects(name)[0]["id"] for name, each in row.filters.items() if each.field.required}
    reply = client.raw_request("get", f"/v1/{row.path}", limit=100, **whose).data

    told = [(f"shows {kind}", each) for kind, each in reply_differences("get", f"/v1/{row.path}", 200, reply)]
    assert reply["data"] or row.create is None
    assert {where for where, _ in told} <= {f"shows {row.kind}"}
    assert {each for _, each in told} <= EXCEPTIONS.get(f"shows {row.kind}", {}).keys()


def test_refusals_and_stubs_and_the_account_have_their_shape(world: Emulator, client: stripe.StripeClient) -> None:
    stub: Any = client.v1.customers.delete(client.v1.customers.create({}).id).to_dict()
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.customers.retrieve("cus_nobody")
    account = client.raw_request("get", "/v1/account").data

    assert object_differences(stub) == set()
    assert refusal_differences(json.loads(str(caught.value.http_body))) == set()
    assert object_differences(account) == set()


# The comparison itself


def test_every_exception_is_about_something_that_is_looked_at() -> None:
    kinds = {row.kind for row in ROWS} | {"v2.core.event"}
    for where in EXCEPTIONS.keys() - {"partly"}:
        what, _, about = where.partition(" ")
        assert what in ("asks", "sends", "takes", "shows", "tells", "gone")
        assert what == "asks" or about in kinds or about.rpartition(".")[0] in kinds


FILE = {
    "type": "object",
    "required": ["a", "b"],
    "properties": {
        "a": {"type": "string", "enum": ["x"], "nullable": True},
        "b": {"type": "string", "maxLength": 3},
        "old": {"type": "string"},
    },
}
NEWER = {
    "type": "object",
    "required": ["a", "b", "new"],  # a class of stripe-python does not say which properties are required
    "properties": {
        "a": {"anyOf": [{"type": "string", "enum": ["x", "y"]}, {"type": "null"}]},
        "b": {"type": "string"},
        "new": {"type": "integer"},
    },
}


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"a": "x", "b": "t"}, set()),
        ({"a": None, "b": "t", "new": 1}, set()),
        ({"a": "y", "b": "t"}, set()),
        ({"a": "z", "b": "t"}, {"=a"}),
        ({"a": 1, "b": "t"}, {"!a"}),
        ({"a": "x", "b": None}, {"!b"}),
        ({"a": "x", "b": "too long"}, {"^b"}),
        ({"a": "x", "b": "t", "old": "o"}, {"+old"}),
        ({"a": "x", "b": "t", "new": True}, {"!new"}),
        ({"a": "x", "b": "t", "odd": 1}, {"+odd"}),
        ({"b": "t"}, {"-a"}),
    ],
)
def test_the_newer_outsider_wins_and_the_file_adds_what_it_does_not_say(value: Json, told: set[str]) -> None:
    walk = Walk(lambda schema: schema)

    assert verdict({*walk(value, FILE)}, {*walk(value, NEWER)}) == told


def test_a_wrong_object_is_found_out(world: Emulator) -> None:
    (good, *_) = world.objects("payment_intent")

    for wrong, told in {
        "!amount": {"amount": "500"},
        "!livemode": {"livemode": None},
        "=status": {"status": "paid"},
        "+colour": {"colour": "red"},
        "!metadata": {"metadata": []},
        "+automatic_payment_methods.colour": {"automatic_payment_methods": {"enabled": True, "colour": "red"}},
        "-automatic_payment_methods.enabled": {"automatic_payment_methods": {"allow_redirects": "never"}},
    }.items():
        assert object_differences({**good, **told}) == {wrong}
    assert object_differences({name: value for name, value in good.items() if name != "status"}) == {"-status"}
    assert object_differences({"object": "horse"}) == {"?horse"}


def test_a_path_that_is_written_out_goes_before_one_with_an_id() -> None:
    assert template("/v1/invoices/upcoming/lines") in ("/v1/invoices/upcoming/lines", "/v1/invoices/{}/lines")
    assert template("/v1/invoices/create_preview") == "/v1/invoices/create_preview"
    assert template("/v1/invoices/in_1") == "/v1/invoices/{}"
    assert template("/v1/horses") is None
