"""Tax rates, shipping rates, payment links and the portal, called through stripe-python."""

from collections.abc import Callable
from typing import Any

import pytest
import stripe

from stripe_mongo_sync.emulator import Emulator

Client = stripe.StripeClient
Find = Callable[..., list[dict[str, Any]]]
HAT: Any = {"price_data": {"currency": "usd", "unit_amount": 700, "product_data": {"name": "Hat"}}, "quantity": 2}
VAT: Any = {"display_name": "VAT", "inclusive": False, "percentage": 19.5}
POST: Any = {"display_name": "Post", "type": "fixed_amount", "fixed_amount": {"amount": 500, "currency": "usd"}}


def types(events: list[dict[str, Any]]) -> list[str]:
    return sorted(event["type"] for event in events)


class TestTaxRates:
    def test_one_is_made_and_archived_with_events(self, client: Client, key: str, events_with: Find) -> None:
        made = client.v1.tax_rates.create(VAT, {"idempotency_key": key})
        gone = client.v1.tax_rates.update(made.id, {"active": False}, {"idempotency_key": f"{key}:2"})

        assert made.id.startswith("txr_")
        assert (made.percentage, made.active, gone.active) == (19.5, True, False)
        assert types(events_with(key)) == ["tax_rate.created"]
        assert types(events_with(f"{key}:2")) == ["tax_rate.updated"]

    def test_its_percentage_is_for_ever(self, client: Client) -> None:
        with pytest.raises(stripe.InvalidRequestError) as caught:
            client.v1.tax_rates.update(client.v1.tax_rates.create(VAT).id, {"percentage": 7})  # type: ignore[typeddict-unknown-key]
        assert (caught.value.code, caught.value.param) == ("parameter_unknown", "percentage")

    @pytest.mark.parametrize("percentage", [-1, 101])
    def test_a_percentage_is_one(self, client: Client, percentage: int) -> None:
        with pytest.raises(stripe.InvalidRequestError) as caught:
            client.v1.tax_rates.create({**VAT, "percentage": percentage})
        assert caught.value.param == "percentage"


class TestShippingRates:
    def test_one_is_made_and_archived_without_events(self, client: Client, key: str, events_with: Find) -> None:
        made = client.v1.shipping_rates.create(POST, {"idempotency_key": key})
        gone = client.v1.shipping_rates.update(made.id, {"active": False})

        assert made.id.startswith("shr_")
        assert made.fixed_amount is not None
        assert (made.fixed_amount.amount, made.active, gone.active) == (500, True, False)
        assert events_with(key, at_least=0) == []

    def test_it_has_an_amount(self, client: Client) -> None:
        with pytest.raises(stripe.InvalidRequestError) as caught:
            client.v1.shipping_rates.create({"display_name": "Post"})
        assert caught.value.code == "parameter_missing"

    def test_other_currencies_stay_beside_the_first(self, client: Client) -> None:
        made = client.v1.shipping_rates.create(POST)
        other: Any = {"currency_options": {"eur": {"amount": 400}}}
        changed = client.v1.shipping_rates.update(made.id, {"fixed_amount": other}, {})

        assert changed.fixed_amount is not None
        assert (changed.fixed_amount.amount, changed.fixed_amount.currency) == (500, "usd")


class TestPaymentLinks:
    def test_one_has_a_page_and_its_items(self, client: Client, key: str, events_with: Find) -> None:
        made = client.v1.payment_links.create({"line_items": [HAT]}, {"idempotency_key": key})
        (item,) = client.v1.payment_links.line_items.list(made.id).data

        assert made.id.startswith("plink_")
        assert made.url.startswith("https://")
        assert (item.amount_total, item.quantity, made.currency) == (1400, 2, "usd")
        assert "payment_link.created" in types(events_with(key))

    def test_one_is_archived_with_an_event(self, client: Client, key: str, events_with: Find) -> None:
        made = client.v1.payment_links.create({"line_items": [HAT]}).id
        gone = client.v1.payment_links.update(made, {"active": False}, {"idempotency_key": key})

        assert gone.active is False
        assert types(events_with(key)) == ["payment_link.updated"]
        assert made not in [each.id for each in client.v1.payment_links.list({"active": True}).data]

    def test_the_newest_is_listed_first(self, client: Client) -> None:
        ids = [client.v1.payment_links.create({"line_items": [HAT]}).id for _ in range(3)]

        assert [each.id for each in client.v1.payment_links.list({"limit": 3}).data] == ids[::-1]
        older = client.v1.payment_links.list({"limit": 1, "starting_after": ids[2]}).data
        assert [each.id for each in older] == [ids[1]]

    def test_an_update_changes_the_quantity_of_its_items_and_leaves_the_rest(self, client: Client) -> None:
        made = client.v1.payment_links.create({"line_items": [HAT, HAT]}).id
        first, second = client.v1.payment_links.line_items.list(made).data
        client.v1.payment_links.update(made, {"line_items": [{"id": second.id, "quantity": 5}]})

        shown = client.v1.payment_links.line_items.list(made).data
        assert [(item.id, item.amount_total) for item in shown] == [(first.id, 1400), (second.id, 3500)]
        with pytest.raises(stripe.InvalidRequestError, match="No such line item") as caught:
            client.v1.payment_links.update(made, {"line_items": [{"id": first.id}, {"id": "li_none", "quantity": 1}]})
        assert caught.value.param == "line_items[1][id]"

    def test_items_are_required_and_checked(self, client: Client) -> None:
        with pytest.raises(stripe.InvalidRequestError) as caught:
            client.v1.payment_links.create({})  # type: ignore[typeddict-item]
        assert caught.value.param == "line_items"
        with pytest.raises(stripe.InvalidRequestError, match="No such price"):
            client.v1.payment_links.create({"line_items": [{"price": "price_none", "quantity": 1}]})


class TestPortal:
    def test_a_visit_has_a_page(self, client: Client) -> None:
        customer = client.v1.customers.create({}).id
        visit = client.v1.billing_portal.sessions.create({"customer": customer, "return_url": "https://example.com"})

        assert visit.id.startswith("bps_")
        assert visit.url.startswith("https://")
        assert (visit.object, visit.customer) == ("billing_portal.session", customer)

    def test_it_needs_a_customer(self, client: Client) -> None:
        with pytest.raises(stripe.InvalidRequestError) as caught:
            client.v1.billing_portal.sessions.create({"customer": "cus_nobody"})
        assert (caught.value.http_status, caught.value.param) == (400, "customer")

    def test_it_cannot_be_read_again(self, client: Client, emulator: Emulator) -> None:
        visit = client.v1.billing_portal.sessions.create({"customer": client.v1.customers.create({}).id})
        for path in ("/v1/billing_portal/sessions", f"/v1/billing_portal/sessions/{visit.id}"):
            with pytest.raises(stripe.InvalidRequestError, match="Unrecognized request URL"):
                client.raw_request("get", path)
