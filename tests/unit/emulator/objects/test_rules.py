"""The rules of single types, asked through the Dashboard."""

from typing import Any

import pytest
import stripe

from stripe_mongo_sync.emulator import Emulator, Problem
from stripe_mongo_sync.emulator.engine.execution import Execution, changes
from stripe_mongo_sync.emulator.engine.resource import BY_PATH, RESOURCES, Action, Resource
from stripe_mongo_sync.emulator.protocol.fields import OneOf, Ref, Whole
from stripe_mongo_sync.emulator.protocol.wire import Json

COUPON: dict[str, Any] = {"percent_off": 10}
PRICE: dict[str, Any] = {"currency": "usd", "product_data": {"name": "x"}}


@pytest.fixture(autouse=True)
def _no_telemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stripe, "enable_telemetry", False)


@pytest.fixture
def emulator() -> Emulator:
    return Emulator()


@pytest.mark.parametrize(
    ("kind", "params", "param"),
    [
        ("coupon", {}, "percent_off"),
        ("coupon", {"percent_off": 5, "amount_off": 5, "currency": "usd"}, "percent_off"),
        ("coupon", {"amount_off": 5}, "currency"),
        ("coupon", {"amount_off": 0, "currency": "usd"}, "amount_off"),
        ("coupon", {**COUPON, "duration": "repeating"}, "duration_in_months"),
        ("coupon", {**COUPON, "duration_in_months": 3}, "duration_in_months"),
        ("coupon", {**COUPON, "duration": "never"}, "duration"),
        ("coupon", {**COUPON, "applies_to": {"products": ["prod_x"]}}, "applies_to[products][0]"),
        ("price", PRICE, "unit_amount"),
        ("price", {**PRICE, "unit_amount": -1}, "unit_amount"),
        ("price", {**PRICE, "unit_amount": 1, "unit_amount_decimal": "1"}, "unit_amount"),
        ("price", {**PRICE, "unit_amount": 1, "product": "prod_x"}, "product"),
        ("price", {"currency": "usd", "unit_amount": 1}, "product"),
        ("price", {**PRICE, "unit_amount": 1, "recurring": {"interval": "eon"}}, "recurring[interval]"),
        ("price", {**PRICE, "billing_scheme": "tiered"}, "tiers"),
        ("product", {"name": "x", "default_price_data": {"currency": "usd"}}, "unit_amount"),
        ("product", {"name": "x", "statement_descriptor": "<x>"}, "statement_descriptor"),
        ("promotion_code", {}, "promotion"),
        ("promotion_code", {"promotion": {"type": "coupon"}}, "promotion[coupon]"),
        ("promotion_code", {"promotion": {"type": "coupon", "coupon": "none"}}, "promotion[coupon]"),
        ("promotion_code", {"promotion": {"type": "gift", "coupon": "x"}}, "promotion[type]"),
        ("promotion_code", {"coupon": "x"}, "coupon"),
        ("webhook_endpoint", {"url": "example.com", "enabled_events": ["*"]}, "url"),
        ("customer", {"shipping": {"name": "x"}}, "shipping[address]"),
    ],
)
def test_parameters_that_do_not_go_together_are_refused(
    emulator: Emulator, kind: str, params: dict[str, Any], param: str
) -> None:
    with pytest.raises(Problem) as caught:
        emulator.dashboard.create(kind, **params)

    assert (caught.value.status, caught.value.error["param"]) == (400, param)
    assert emulator.events() == []


def test_an_amount_coupon_has_a_currency_and_a_percentage_has_none(emulator: Emulator) -> None:
    assert emulator.dashboard.create("coupon", amount_off=5, currency="USD")["currency"] == "usd"
    assert emulator.dashboard.create("coupon", percent_off=5, currency="usd")["currency"] is None


def test_a_lookup_key_can_be_taken_over(emulator: Emulator) -> None:
    old = emulator.dashboard.create("price", **PRICE, unit_amount=1, lookup_key="k")
    new = emulator.dashboard.create("price", **PRICE, unit_amount=2, lookup_key="k", transfer_lookup_key=True)

    keys = {price["id"]: price["lookup_key"] for price in emulator.objects("price")}
    assert keys == {old["id"]: None, new["id"]: "k"}


def test_a_product_accepts_only_its_own_price_as_default(emulator: Emulator) -> None:
    price = emulator.dashboard.create("price", **PRICE, unit_amount=1)
    stranger = emulator.dashboard.create("price", **PRICE, unit_amount=1)

    assert emulator.dashboard.update("product", price["product"], default_price=price["id"])["default_price"]
    with pytest.raises(Problem, match="not associated with this product"):
        emulator.dashboard.update("product", price["product"], default_price=stranger["id"])


def test_a_price_with_a_taken_product_id_makes_nothing(emulator: Emulator) -> None:
    emulator.dashboard.create("product", name="x", id="own")
    with pytest.raises(Problem, match="Product already exists"):
        emulator.dashboard.create("price", currency="usd", unit_amount=1, product_data={"name": "y", "id": "own"})

    assert emulator.objects("price") == []


def test_a_deleted_coupon_ends_its_promotion_codes(emulator: Emulator) -> None:
    coupon = emulator.dashboard.create("coupon", percent_off=5)["id"]
    code = emulator.dashboard.create("promotion_code", promotion={"type": "coupon", "coupon": coupon})
    emulator.dashboard.delete("coupon", coupon)

    assert emulator.objects("promotion_code")[0]["active"] is False
    assert emulator.events()[-2]["type"] == "promotion_code.updated"
    with pytest.raises(Problem, match="coupon is not valid"):
        emulator.dashboard.update("promotion_code", code["id"], active=True)


def test_an_own_id_can_be_used_again_after_a_delete(emulator: Emulator) -> None:
    for _ in range(2):
        emulator.dashboard.create("coupon", percent_off=5, id="own")
        emulator.dashboard.delete("coupon", "own")

    assert emulator.objects("coupon") == []


def test_invoice_settings_are_merged_and_an_address_is_replaced(emulator: Emulator) -> None:
    made = emulator.dashboard.create("customer", invoice_settings={"footer": "f"}, address={"city": "A", "line1": "1"})
    changed = emulator.dashboard.update(
        "customer",
        made["id"],
        invoice_settings={"custom_fields": [{"name": "n", "value": "v"}]},
        address={"city": "B"},
    )

    assert changed["invoice_settings"]["footer"] == "f"
    assert changed["invoice_settings"]["custom_fields"] == [{"name": "n", "value": "v"}]
    assert changed["address"]["line1"] is None


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, {"b": 2}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"x": 1, "y": 3}}, {"a": {"y": 2}}),
        ({"a": None}, {"a": {"x": 1}}, {"a": None}),
        ({"a": [1, 2]}, {"a": [1]}, {"a": [1, 2]}),
        ({"m": {}}, {"m": {"k": "v"}}, {"m": {"k": None}}),
        ({"a": 1}, {"a": 1}, {}),
    ],
)
def test_previous_attributes_are_the_old_values_of_what_changed(old: Any, new: Any, expected: Any) -> None:
    assert changes(old, new) == expected


def test_a_new_type_is_one_row_with_its_actions(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    def settle(ctx: Execution, refund: Json, params: Json) -> Json:
        settled = {**refund, "status": params.get("as", "succeeded")}
        ctx.keep("test.refund", settled)
        ctx.announce("test.refund.updated", settled, refund)
        return settled

    row = Resource(
        kind="test.refund",
        path="test/refunds",
        prefix="tre_",
        create={"amount": Whole(required=True, least=1), "customer": Ref(kind="customer")},
        defaults={"amount": None, "customer": None, "status": "pending"},
        expands={"customer": "customer"},
        actions={"settle": Action(settle, {"as": OneOf(values=("succeeded", "failed"))})},
    )
    monkeypatch.setitem(RESOURCES, row.kind, row)
    monkeypatch.setitem(BY_PATH, row.path, row)
    client = stripe.StripeClient("sk_test_x", http_client=emulator.transport())
    customer = client.v1.customers.create({}).id

    made = client.raw_request("post", "/v1/test/refunds", amount=5, customer=customer, expand=["customer"]).data
    assert made["customer"]["id"] == customer
    done = client.raw_request("post", f"/v1/test/refunds/{made['id']}/settle", **{"as": "failed"}).data
    assert (done["status"], done["customer"]) == ("failed", customer)
    assert [event["type"] for event in emulator.events()[1:]] == ["test.refund.created", "test.refund.updated"]
    assert emulator.events()[-1]["data"]["previous_attributes"] == {"status": "pending"}
