"""The emulator agrees with Stripe's OpenAPI file, save for the reviewed exceptions beside this test."""

import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import stripe

from emulator import Emulator, lists
from emulator.events import EVENT
from emulator.fields import Many, Text
from emulator.planted import PLANTED
from emulator.resource import Resource
from emulator.resources import RESOURCES
from tests.contract import samples
from tests.contract.openapi import PATH, OpenAPI, param_differences

if not PATH.exists():
    pytest.skip("Stripe's OpenAPI file is not here", allow_module_level=True)

EXCEPTIONS: dict[str, dict[str, str]] = tomllib.loads(
    (Path(__file__).parent / "openapi_exceptions.toml").read_text(encoding="utf-8")
)
SPEC = OpenAPI()
ROWS = [row for row in (*RESOURCES.values(), EVENT) if SPEC.knows(f"/v1/{row.path}")]  # some are newer than the file
SERVED = [row for row in ROWS if row.create is not None]
READABLE = [row for row in ROWS if row.readable and row not in PLANTED]
EXPAND = {"expand": Many(each=Text())}


def reviewed(where: str, found: Iterator[str]) -> None:
    """Every difference has its exception, and every exception its difference."""
    expected, differences = EXCEPTIONS.get(where, {}), set(found)

    assert {each for each in differences if not any(fnmatchcase(each, name) for name in expected)} == set()
    assert {name for name in expected if not any(fnmatchcase(each, name) for each in differences)} == set()
    assert all(len(reason) > 10 for reason in expected.values()), "an exception says why"


def by_kind(row: Resource) -> str:
    return row.kind


@pytest.fixture(scope="module")
def world() -> Emulator:
    """One object of each type, as rich as it gets."""
    emulator = Emulator()
    boss = emulator.dashboard
    samples.pay(emulator)
    samples.check_out(emulator)
    samples.bill(emulator)
    samples.host(emulator)
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


@pytest.mark.parametrize("row", SERVED, ids=by_kind)
def test_objects_have_the_shape_of_the_file(row: Resource, world: Emulator) -> None:
    objects = world.objects(row.kind)

    assert objects
    reviewed(
        f"{row.kind}.object",
        (each for object in objects for each in SPEC.object_differences(object, row.kind)),
    )


@pytest.mark.parametrize("type", ["customer.updated", "price.created", "plan.created", "coupon.created"])
def test_events_have_the_shape_of_the_file(type: str, world: Emulator) -> None:
    event = next(each for each in world.events() if each["type"] == type)

    reviewed("event.object", SPEC.object_differences(event, "event"))


def test_a_plan_has_the_shape_of_the_file(world: Emulator) -> None:
    plan = next(each for each in world.events() if each["type"] == "plan.created")["data"]["object"]

    reviewed("plan.object", SPEC.object_differences(plan, "plan"))


@pytest.mark.parametrize("row", SERVED, ids=by_kind)
def test_create_takes_the_parameters_of_the_file(row: Resource) -> None:
    theirs = SPEC.body_params("post", f"/v1/{row.path}")

    reviewed(f"{row.kind}.create", param_differences({**(row.create or {}), **EXPAND}, *theirs))


@pytest.mark.parametrize("row", [row for row in SERVED if row.update is not None], ids=by_kind)
def test_update_takes_the_parameters_of_the_file(row: Resource) -> None:
    theirs = SPEC.body_params("post", f"/v1/{row.path}/{{id}}")

    reviewed(f"{row.kind}.update", param_differences({**(row.update or {}), **EXPAND}, *theirs))


@pytest.mark.parametrize("row", READABLE, ids=by_kind)
def test_lists_take_the_parameters_of_the_file(row: Resource) -> None:
    reviewed(f"{row.kind}.list", param_differences(lists.fields(row), *SPEC.query_params(f"/v1/{row.path}")))


@pytest.mark.parametrize("row", READABLE, ids=by_kind)
def test_what_can_be_deleted_is_what_the_file_says(row: Resource) -> None:
    item = {}
    for method in ("delete", "get"):
        try:
            item[method] = SPEC.operation(method, f"/v1/{row.path}/{{id}}")
        except KeyError:
            item[method] = None

    assert item["get"] is not None
    if row.create is not None:
        assert (item["delete"] is not None) == (row.delete != "never" or row.ends is not None)


@pytest.mark.parametrize("row", [row for row in SERVED if row.readable], ids=by_kind)
def test_lists_have_the_shape_of_the_file(row: Resource, world: Emulator) -> None:
    client = stripe.StripeClient("sk_test_x", http_client=world.transport())
    reply = client.raw_request("get", f"/v1/{row.path}", limit=100).data
    left_out = {"price": ("active", False), "subscription": ("status", "canceled")}  # unless they are asked for
    name, value = left_out.get(row.kind, ("", None))
    kept = [each for each in world.objects(row.kind) if not name or each[name] != value]

    escaped = row.path.replace("/", "~1")
    path = f"/paths/~1v1~1{escaped}/get/responses/200/content/application~1json/schema"
    errors = SPEC.validator(path).iter_errors({**reply, "data": []})
    assert [error.message for error in errors] == []
    assert len(reply["data"]) == len(kept)


def test_refusals_and_stubs_and_the_account_have_the_shape_of_the_file(world: Emulator) -> None:
    client = stripe.StripeClient("sk_test_x", http_client=world.transport())
    stub: Any = client.v1.customers.delete(client.v1.customers.create({}).id).to_dict()
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.customers.retrieve("cus_nobody")

    assert list(SPEC.object_differences(stub, "deleted_customer")) == []
    assert list(SPEC.validator("/components/schemas/error").iter_errors(caught.value.json_body)) == []
    account = client.raw_request("get", "/v1/account").data
    assert list(SPEC.object_differences(account, "account")) == []


def test_no_exception_is_about_something_unknown() -> None:
    places = {f"{row.kind}.{what}" for row in ROWS for what in ("object", "create", "update", "list")} | {"plan.object"}

    assert EXCEPTIONS.keys() <= places
