"""A request is read in its own version, or else the account's. Old names exist only in old versions."""

import re

import pytest
import stripe
from stripe.params._webhook_endpoint_create_params import WebhookEndpointCreateParams

from stripe_mongo_sync.emulator import Emulator
from stripe_mongo_sync.emulator.engine.resource import RESOURCES
from stripe_mongo_sync.emulator.protocol.versions import RENAMED, VERSIONS
from stripe_mongo_sync.emulator.protocol.wire import API_VERSION

OLD = "2026-05-27.dahlia"
BETWEEN = "2026-08-26.dahlia"
DATA = {"currency": "usd", "unit_amount": 700, "product_data": {"name": "Hat"}}
WANTED = {
    "payment_intent": {"amount": 500, "currency": "usd"},
    "setup_intent": {},
    "checkout.session": {
        "mode": "payment",
        "success_url": "https://example.com",
        "line_items": [{"price_data": DATA, "quantity": 1}],
    },
}
EACH = pytest.mark.parametrize(
    ("kind", "old", "new"), [(kind, each.old, each.new) for kind, told in RENAMED.items() for each in told]
)


def create(emulator: Emulator, kind: str, version: str | None, **params: object) -> stripe.StripeObject:
    client = stripe.StripeClient("sk_test_x", http_client=emulator.transport())
    options = {"headers": {"Stripe-Version": version}} if version else {}
    return client.raw_request("post", f"/v1/{RESOURCES[kind].path}", **WANTED[kind], **params, **options).data


@EACH
def test_an_older_version_knows_a_parameter_by_its_old_name_only(
    kind: str, old: str, new: str, emulator: Emulator
) -> None:
    made = create(emulator, kind, OLD, **{old: ["card"]})

    assert made["payment_method_types"] == made[new] == ["card"]
    with pytest.raises(stripe.InvalidRequestError, match=f"unknown parameter: {new}"):
        create(emulator, kind, OLD, **{new: ["card"]})


@EACH
def test_the_version_of_today_knows_a_parameter_by_its_new_name_only(
    kind: str, old: str, new: str, emulator: Emulator
) -> None:
    assert create(emulator, kind, API_VERSION, **{new: ["card"]})[new] == ["card"]
    with pytest.raises(stripe.InvalidRequestError) as caught:
        create(emulator, kind, API_VERSION, **{old: ["card"]})
    assert (caught.value.http_status, caught.value.param) == (400, old)


def test_the_old_name_is_refused_with_the_code_of_stripe(emulator: Emulator) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        create(emulator, "payment_intent", API_VERSION, payment_method_types=["card"])

    assert caught.value.code == "payment_method_types_no_longer_supported"


@pytest.mark.parametrize("kind", ["payment_intent", "setup_intent"])
def test_where_both_names_are_known_only_one_may_be_given(kind: str, emulator: Emulator) -> None:
    for name in ("payment_method_types", "allowed_payment_method_types"):
        assert create(emulator, kind, BETWEEN, **{name: ["card"]})["payment_method_types"] == ["card"]
    with pytest.raises(stripe.InvalidRequestError, match="only specify one"):
        create(emulator, kind, BETWEEN, payment_method_types=["card"], allowed_payment_method_types=["card"])


def test_an_update_and_a_confirmation_are_read_in_their_version_too(emulator: Emulator) -> None:
    client = stripe.StripeClient("sk_test_x", http_client=emulator.transport())
    id, headers = create(emulator, "payment_intent", API_VERSION)["id"], {"Stripe-Version": OLD}
    path, card = f"/v1/payment_intents/{id}", {"payment_method": "pm_card_visa"}
    changed = client.raw_request("post", path, headers=headers, payment_method_types=["card"]).data
    assert changed["payment_method_types"] == ["card"]

    wanted = {**card, "return_url": "https://example.com"}
    with pytest.raises(stripe.InvalidRequestError):
        client.raw_request("post", f"{path}/confirm", **wanted, payment_method_types=["card"])
    paid = client.raw_request("post", f"{path}/confirm", headers=headers, **wanted, payment_method_types=["card"]).data
    assert paid["status"] == "succeeded"


def test_without_a_version_the_account_s_counts() -> None:
    old = Emulator(api_version=OLD)
    client = stripe.StripeClient("sk_test_x", http_client=_Unversioned(old.transport()))
    reply = client.raw_request("post", "/v1/payment_intents", **WANTED["payment_intent"], payment_method_types=["card"])

    assert reply.headers["Stripe-Version"] == OLD
    assert old.requests[-1].version is None
    assert create(old, "payment_intent", API_VERSION, allowed_payment_method_types=["card"])["status"]


class _Unversioned(stripe.HTTPClient):
    """Send a request without a version, as curl does: stripe-python always names one."""

    def __init__(self, inner: stripe.HTTPClient) -> None:
        super().__init__()
        self.inner, self.name = inner, inner.name

    def request(
        self, method: str, url: str, headers: dict[str, str], post_data: object = None, **more: object
    ) -> object:
        kept = {name: value for name, value in headers.items() if name != "Stripe-Version"}
        return self.inner.request(method, url, kept, post_data)

    def close(self) -> None:
        self.inner.close()


def test_a_late_repair_reads_the_request_in_its_own_version(emulator: Emulator) -> None:
    emulator.fault("500_repair", method="POST")
    with pytest.raises(stripe.APIError):
        create(emulator, "payment_intent", OLD, payment_method_types=["card"])

    assert [made["payment_method_types"] for made in emulator.repair()] == [["card"]]


@pytest.mark.parametrize("version", ["2026-05-28.dahlia", "2026-10-28.dahlia", "9999-01-01", "latest", "2026-10-28"])
def test_an_unknown_version_is_refused_and_the_account_s_answers(version: str, emulator: Emulator) -> None:
    with pytest.raises(stripe.InvalidRequestError, match=re.escape(f"Invalid Stripe API version: {version}")) as caught:
        create(emulator, "setup_intent", version)

    assert caught.value.http_status == 400
    assert caught.value.headers["Stripe-Version"] == API_VERSION  # type: ignore[index]
    assert emulator.objects("setup_intent") == []


def test_every_version_that_stripe_python_knows_is_known() -> None:
    told = str(WebhookEndpointCreateParams.__annotations__["api_version"])

    assert list(VERSIONS) == re.findall(r"'(\d{4}-[\w.-]+)'", told)
    assert {API_VERSION, OLD, BETWEEN} <= {*VERSIONS}
    assert all(each.came in VERSIONS and each.went in VERSIONS for told in RENAMED.values() for each in told)


# Differences of older versions


def told_as(emulator: Emulator, version: str, path: str, **params: object) -> stripe.StripeObject:
    client = stripe.StripeClient("sk_test_x", http_client=emulator.transport())
    return client.raw_request("post", f"/v1/{path}", headers={"Stripe-Version": version}, **params).data


def test_a_coupon_is_a_parameter_of_customers_until_basil(emulator: Emulator) -> None:
    coupon = told_as(emulator, API_VERSION, "coupons", percent_off=20)["id"]

    customer = told_as(emulator, "2025-02-24.acacia", "customers", coupon=coupon)
    assert customer["discount"]["source"] == {"type": "coupon", "coupon": coupon}
    with pytest.raises(stripe.InvalidRequestError, match="unknown parameter: coupon"):
        told_as(emulator, "2025-03-31.basil", "customers", coupon=coupon)


def test_a_coupon_is_a_parameter_of_promotion_codes_until_clover(emulator: Emulator) -> None:
    coupon = told_as(emulator, API_VERSION, "coupons", percent_off=20)["id"]
    promotion = {"type": "coupon", "coupon": coupon}

    assert told_as(emulator, "2025-08-27.basil", "promotion_codes", coupon=coupon)["promotion"] == promotion
    with pytest.raises(stripe.InvalidRequestError, match="unknown parameter: promotion"):
        told_as(emulator, "2025-08-27.basil", "promotion_codes", promotion=promotion)
    with pytest.raises(stripe.InvalidRequestError, match="unknown parameter: coupon"):
        told_as(emulator, "2025-09-30.clover", "promotion_codes", coupon=coupon, promotion=promotion)


def test_a_nested_parameter_is_taken_away_like_any_other(emulator: Emulator) -> None:
    customer = told_as(emulator, API_VERSION, "customers", source="tok_visa")["id"]
    plan = {"currency": "usd", "interval": "month", "amount": 500, "product": {"name": "News"}}
    phase = {"items": [{"price": told_as(emulator, API_VERSION, "plans", **plan)["id"]}], "iterations": 2}
    wanted = {"customer": customer, "start_date": "now", "phases": [phase]}

    assert told_as(emulator, "2025-08-27.basil", "subscription_schedules", **wanted)["status"] == "active"
    with pytest.raises(stripe.InvalidRequestError, match=re.escape("unknown parameter: phases[0][iterations]")):
        told_as(emulator, "2025-09-30.clover", "subscription_schedules", **wanted)


@pytest.mark.parametrize("path", ["setup_intents", "payment_intents"])
def test_the_methods_of_the_dashboard_are_the_default_since_2023_08_16(path: str, emulator: Emulator) -> None:
    wanted: dict[str, object] = {"confirm": True, "payment_method": "pm_card_visa"}
    wanted |= {"amount": 500, "currency": "usd"} if path == "payment_intents" else {}

    assert told_as(emulator, "2022-11-15", path, **wanted)["status"] == "succeeded"
    with pytest.raises(stripe.InvalidRequestError, match="return_url"):
        told_as(emulator, "2023-08-16", path, **wanted)
