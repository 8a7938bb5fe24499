"""Events and deliveries are listed, signed, repeated and lost as Stripe's are."""

import hashlib
import hmac
import json

import pytest
import stripe

from stripe_mongo_sync.emulator import Emulator
from stripe_mongo_sync.emulator.state.destinations import wants
from tests.contract.conftest import Json

Client = stripe.StripeClient
URL = "http://here/hook"
NAMED = "identity.verification_session.redacted"


def listed(client: Client) -> list[str]:
    return [event.type for event in client.v1.events.list({"limit": 100}).data]


class TestSignatures:
    def test_the_library_accepts_a_delivery(self, emulator: Emulator, client: Client) -> None:
        secret = emulator.endpoint(URL)["secret"]
        made = client.v1.customers.create({"name": "Zoë"})
        (delivery,) = emulator.webhooks.take()

        event = client.construct_event(delivery.body, delivery.headers["Stripe-Signature"], secret)
        assert event.data.object["id"] == made.id
        assert delivery.headers["Content-Type"] == "application/json; charset=utf-8"
        assert (delivery.url, delivery.event_id) == (URL, event.id)

    def test_a_rolled_secret_signs_beside_the_new_one_for_a_day(self, emulator: Emulator, client: Client) -> None:
        endpoint = emulator.endpoint(URL, "whsec_old")
        new = emulator.roll_secret(endpoint["id"])
        client.v1.customers.create({})
        (delivery,) = emulator.webhooks.take()
        header = delivery.headers["Stripe-Signature"]

        assert header.count("v1=") == 2
        for secret in ("whsec_old", new):
            client.construct_event(delivery.body, header, secret)
        emulator.clock.advance(86_401)
        client.v1.customers.create({})
        assert emulator.webhooks.take()[0].headers["Stripe-Signature"].count("v1=") == 1

    def test_a_forged_event_is_signed_like_a_real_one(self, emulator: Emulator, client: Client) -> None:
        secret = emulator.endpoint(URL)["secret"]
        forged = emulator.forge({"id": "evt_1", "object": "event", "type": "unicorn.born", "account": "acct_other"})

        event = client.construct_event(forged.body, forged.headers["Stripe-Signature"], secret)
        assert (event.type, event.account) == ("unicorn.born", "acct_other")
        stripe.WebhookSignature.verify_header(b"[1]", emulator.forge(b"[1]").headers["Stripe-Signature"], secret)
        assert emulator.webhooks.take() == []

    def test_a_retry_has_the_same_body_and_a_new_signature(self, emulator: Emulator, client: Client) -> None:
        emulator.endpoint(URL, "whsec_x")
        client.v1.customers.create({})
        (first,) = emulator.webhooks.take()
        emulator.webhooks.failed(first)
        assert emulator.webhooks.take() == []

        emulator.clock.advance(60)
        (second,) = emulator.webhooks.take()
        assert second.body == first.body
        stamp, mark = second.headers["Stripe-Signature"].split(",")
        second_of = stamp.removeprefix("t=")
        assert stamp != first.headers["Stripe-Signature"].split(",")[0]
        signed = hmac.new(b"whsec_x", second_of.encode() + b"." + second.body, hashlib.sha256)
        assert mark == f"v1={signed.hexdigest()}"

    def test_the_event_is_rendered_in_the_version_of_the_endpoint(self, emulator: Emulator, client: Client) -> None:
        emulator.endpoint(URL, api_version="2024-06-20")
        client.v1.customers.create({})

        assert json.loads(emulator.webhooks.take()[0].body)["api_version"] == "2024-06-20"
        assert client.v1.events.list().data[0].api_version == "2026-10-28.endive"


class TestThinEvents:
    def test_the_library_reads_one_and_fetches_its_object(self, emulator: Emulator, client: Client) -> None:
        secret = emulator.endpoint(URL, payload="thin")["secret"]
        made = client.v1.customers.create({"name": "Zoë"}, {"idempotency_key": "k"})
        (delivery,) = emulator.webhooks.take()

        thin = client.parse_event_notification(delivery.body, delivery.headers["Stripe-Signature"], secret)
        assert isinstance(thin, stripe.events.V1CustomerCreatedEventNotification)
        assert (thin.id, thin.livemode, thin.context) == (delivery.event_id, False, None)
        assert thin.reason is not None
        assert thin.reason.request is not None
        assert thin.reason.request.idempotency_key == "k"
        assert thin.fetch_related_object().id == made.id == thin.related_object.id
        assert "Zoë" not in delivery.body.decode()

    def test_both_styles_of_one_change_are_two_events(self, emulator: Emulator, client: Client) -> None:
        emulator.endpoint(URL)
        emulator.endpoint(URL, payload="thin", enabled_events=["v1.customer.created"])
        client.v1.customers.create({})
        client.v1.products.create({"name": "x"})

        snapshot, thin, product = emulator.webhooks.take()
        assert [each.type for each in (snapshot, thin, product)] == [
            "customer.created",
            "v1.customer.created",
            "product.created",
        ]
        assert thin.event_id != snapshot.event_id
        emulator.webhooks.failed(thin)
        emulator.clock.advance(60)
        (again,) = emulator.webhooks.take()
        assert again.body == thin.body
        assert [event.pending_webhooks for event in client.v1.events.list().data] == [0, 0]

    def test_the_news_of_a_lost_event_shows_what_it_was_about_only_when_it_is_read(
        self, emulator: Emulator, client: Client
    ) -> None:
        secret = emulator.endpoint(URL, payload="thin")["secret"]
        emulator.lose_event("customer.updated")
        made = client.v1.customers.create({})
        client.v1.customers.update(made.id, {"name": "Zoë"})
        emulator.webhooks.take()

        emulator.admit_losses()
        emulator.admit_losses()

        (delivery,) = emulator.webhooks.take()
        news = client.parse_event_notification(delivery.body, delivery.headers["Stripe-Signature"], secret)
        assert news.type == "v2.core.health.event_generation_failure.resolved"
        assert "data" not in json.loads(delivery.body)
        impact = client.raw_request("get", f"/v2/core/events/{news.id}").data["data"]["impact"]
        assert (impact["event_type"], impact["related_object"]["id"]) == ("customer.updated", made.id)
        with pytest.raises(stripe.InvalidRequestError):
            client.raw_request("get", "/v2/core/events/evt_none")

    def test_a_thin_destination_is_no_webhook_endpoint(self, emulator: Emulator, client: Client) -> None:
        emulator.endpoint(URL, payload="thin")

        assert client.v1.webhook_endpoints.list().data == []


class TestPings:
    def test_a_ping_is_sent_to_its_destination_alone_whatever_that_wants(
        self, emulator: Emulator, client: Client
    ) -> None:
        made = emulator.endpoint(URL, payload="thin", enabled_events=["v1.customer.created"])
        for payload in ("thin", "snapshot"):
            emulator.endpoint("http://other/hook", payload=payload)

        sent = client.v2.core.event_destinations.ping(made["id"])

        (delivery,) = emulator.webhooks.take()
        news = client.parse_event_notification(delivery.body, delivery.headers["Stripe-Signature"], made["secret"])
        assert (news.id, news.type, delivery.url) == (sent.id, "v2.core.event_destination.ping", URL)
        assert news.related_object.id == made["id"]
        assert client.raw_request("get", f"/v2/core/events/{news.id}").data["type"] == sent.type
        assert listed(client) == [], "an event of the v2 API"

    def test_a_ping_of_nothing_is_refused(self, client: Client) -> None:
        with pytest.raises(stripe.InvalidRequestError):
            client.v2.core.event_destinations.ping("ed_test_none")

    def test_destinations_are_listed_with_their_addresses_if_that_is_asked(
        self, emulator: Emulator, client: Client
    ) -> None:
        made = emulator.endpoint(URL, payload="thin")
        emulator.endpoint(URL)

        (shown,) = client.v2.core.event_destinations.list({"include": ["webhook_endpoint.url"]}).data
        (bare,) = client.v2.core.event_destinations.list().data

        assert (shown.id, shown.status, shown.webhook_endpoint.url) == (made["id"], "enabled", URL)
        assert bare.webhook_endpoint.url is None
        assert made["secret"] not in str(shown)


class TestDeliveries:
    def test_an_endpoint_gets_what_it_enabled(self, emulator: Emulator, client: Client) -> None:
        emulator.endpoint(URL, enabled_events=["product.created"])
        client.v1.customers.create({})
        client.v1.products.create({"name": "x"})

        assert [each.type for each in emulator.webhooks.take()] == ["product.created"]

    def test_a_star_leaves_out_what_must_be_named(self, emulator: Emulator) -> None:
        for enabled, wanted in ((["*"], False), (["*", NAMED], True), ([NAMED], True)):
            assert wants({"status": "enabled", "enabled_events": enabled}, NAMED) is wanted
        assert wants({"status": "enabled", "enabled_events": ["*"]}, "customer.created")

    def test_an_organizations_endpoint_is_sent_what_its_neighbours_do(self, emulator: Emulator) -> None:
        emulator.endpoint(URL, organization=True)
        emulator.endpoint("http://here/own")
        emulator.dashboard.create("customer")
        emulator.neighbour("acct_other").create("customer")

        told = [(each.url, json.loads(each.body).get("context")) for each in emulator.webhooks.take()]

        assert told == [(URL, emulator.account), ("http://here/own", None), (URL, "acct_other")]
        assert len(emulator.objects("customer")) == 1

    def test_pending_webhooks_counts_what_is_undelivered(self, emulator: Emulator, client: Client) -> None:
        emulator.endpoint(URL)
        client.v1.customers.create({})

        def pending() -> list[int]:
            return [event.pending_webhooks for event in client.v1.events.list({"delivery_success": False}).data]

        assert pending() == [1]
        (delivery,) = emulator.webhooks.take()
        assert json.loads(delivery.body)["pending_webhooks"] == 1
        assert pending() == []
        emulator.webhooks.failed(delivery)
        assert pending() == [1]

    def test_retries_end(self, emulator: Emulator, client: Client) -> None:
        emulator.webhooks.schedule = (0.0, 1.0)
        emulator.endpoint(URL)
        client.v1.customers.create({})
        for _ in range(2):
            (delivery,) = emulator.webhooks.take()
            emulator.webhooks.failed(delivery)
            emulator.clock.advance(10)

        assert emulator.webhooks.take() == []
        assert client.v1.events.list({"delivery_success": False}).data[0].pending_webhooks == 1

    def test_a_disabled_endpoint_gets_nothing(self, emulator: Emulator, client: Client) -> None:
        endpoint = emulator.endpoint(URL)
        client.v1.customers.create({})
        client.v1.webhook_endpoints.update(endpoint["id"], {"disabled": True})
        assert emulator.webhooks.take() == []

        client.v1.webhook_endpoints.update(endpoint["id"], {"disabled": False})
        assert len(emulator.webhooks.take()) == 1

    def test_deliveries_can_be_dropped_doubled_delayed_and_shuffled(self, emulator: Emulator, client: Client) -> None:
        emulator.endpoint(URL)
        emulator.webhooks.disrupt(drop=1, types="customer.*")
        client.v1.customers.create({})
        assert emulator.webhooks.take() == []
        assert listed(client) == ["customer.created"]

        emulator.webhooks.disrupt(double=1)
        client.v1.customers.create({})
        first, second = emulator.webhooks.take()
        assert first.event_id == second.event_id

        emulator.webhooks.disrupt(delay=1, seconds=60)
        client.v1.customers.create({})
        assert emulator.webhooks.take() == []
        emulator.clock.advance(61)
        assert len(emulator.webhooks.take()) == 1

        emulator.webhooks.disrupt(shuffle=True)
        for _ in range(20):
            client.v1.customers.create({})
        taken = [each.event_id for each in emulator.webhooks.take()]
        assert taken != [event["id"] for event in emulator.events()[-20:]]
        assert len(set(taken)) == 20

    def test_a_resent_event_is_the_same_event(self, emulator: Emulator, client: Client) -> None:
        emulator.endpoint(URL)
        client.v1.customers.create({})
        (first,) = emulator.webhooks.take()
        emulator.resend(first.event_id)

        assert [each.event_id for each in emulator.webhooks.take()] == [first.event_id]


class TestEventLog:
    def test_a_lost_event_is_neither_delivered_nor_listed(self, emulator: Emulator, client: Client) -> None:
        emulator.endpoint(URL)
        emulator.lose_event("customer.created")
        client.v1.customers.create({})
        client.v1.customers.create({})

        assert listed(client) == ["customer.created"]
        assert len(emulator.webhooks.take()) == 1
        assert len(emulator.events()) == 2
        with pytest.raises(stripe.InvalidRequestError):
            client.v1.events.retrieve(emulator.events()[0]["id"])

    def test_the_newest_end_lags(self, emulator: Emulator, client: Client) -> None:
        emulator.lag_events(10)
        client.v1.customers.create({})
        assert listed(client) == []

        emulator.clock.advance(11)
        assert listed(client) == ["customer.created"]

    def test_a_hidden_event_appears_behind_newer_ones(self, emulator: Emulator, client: Client) -> None:
        emulator.hide_event("customer.created")
        client.v1.customers.create({})
        client.v1.products.create({"name": "x"})
        assert listed(client) == ["product.created"]

        emulator.show_events()
        assert listed(client) == ["product.created", "customer.created"]

    def test_one_change_can_have_two_events(self, emulator: Emulator, client: Client) -> None:
        emulator.duplicate_events("customer.*")
        client.v1.customers.create({})

        first, second = emulator.events()
        assert first["id"] != second["id"]
        assert first["data"] == second["data"]

    def test_an_update_that_changes_nothing_is_no_event(self, emulator: Emulator, client: Client) -> None:
        made = client.v1.customers.create({"name": "a"})
        client.v1.customers.update(made.id, {"name": "a"})

        assert listed(client) == ["customer.created"]

    def test_an_event_keeps_the_object_as_it_was(self, emulator: Emulator, client: Client) -> None:
        made = client.v1.customers.create({"name": "a"})
        client.v1.customers.update(made.id, {"name": "b"})

        created, updated = emulator.events()
        assert created["data"]["object"]["name"] == "a"
        assert updated["data"]["object"]["name"] == "b"

    def test_a_recurring_price_changes_together_with_its_plan(self, emulator: Emulator, client: Client) -> None:
        made = emulator.dashboard.create(
            "price", currency="usd", unit_amount=5, recurring={"interval": "month"}, product_data={"name": "x"}
        )
        client.v1.prices.update(made["id"], {"active": False})

        assert [event["type"] for event in emulator.events()[-2:]] == ["price.updated", "plan.updated"]


class TestPeople:
    def test_the_dashboard_uses_no_key(self, emulator: Emulator) -> None:
        made = emulator.dashboard.create("customer", email="a@example.com")
        emulator.dashboard.update("customer", made["id"], name="A")
        emulator.dashboard.delete("customer", made["id"])

        requests = [event["request"] for event in emulator.events()]
        assert [event["type"] for event in emulator.events()] == [
            f"customer.{verb}" for verb in ("created", "updated", "deleted")
        ]
        assert all(each["id"].startswith("req_") and each["idempotency_key"] is None for each in requests)

    @pytest.mark.parametrize("request_", [None, {"id": None, "idempotency_key": "pi_1-src_1"}])
    def test_events_can_name_no_request_or_a_key_of_stripe_s_own(
        self, emulator: Emulator, request_: Json | None
    ) -> None:
        emulator.actor(request=request_).create("customer")

        assert emulator.events()[0]["request"] == request_

    def test_the_dashboard_can_delete_a_price(self, emulator: Emulator) -> None:
        made = emulator.dashboard.create("price", currency="usd", unit_amount=5, product_data={"name": "x"})
        emulator.dashboard.delete("price", made["id"])

        assert emulator.events()[-1]["type"] == "price.deleted"

    def test_money_can_be_planted_on_a_customer(self, emulator: Emulator, client: Client) -> None:
        customer = client.v1.customers.create({}).id
        planted = emulator.insert("subscription", customer=customer)
        emulator.insert("subscription", customer="cus_other")

        assert [each.id for each in client.v1.subscriptions.list({"customer": customer}).data] == [planted["id"]]
        assert client.v1.subscriptions.retrieve(planted["id"]).status == "active"
        expanded = client.v1.customers.retrieve(customer, {"expand": ["subscriptions"]})
        assert [each.id for each in expanded.subscriptions.data] == [planted["id"]]  # type: ignore[union-attr]

    def test_deleting_a_customer_cancels_its_subscriptions(self, emulator: Emulator, client: Client) -> None:
        customer = client.v1.customers.create({}).id
        planted = emulator.insert("subscription", customer=customer)
        client.v1.customers.delete(customer)

        assert client.v1.subscriptions.retrieve(planted["id"]).status == "canceled"
        assert {event["type"] for event in emulator.events()[-2:]} == {
            "customer.subscription.deleted",
            "customer.deleted",
        }

    def test_usable_leaves_out_what_is_archived(self, emulator: Emulator) -> None:
        emulator.dashboard.create("product", name="on")
        emulator.dashboard.create("product", name="off", active=False)

        assert len(emulator.objects("product")) == 2
        assert [each["name"] for each in emulator.usable("product")] == ["on"]


class TestLostState:
    def test_a_stripe_that_forgot_knows_no_object_event_or_key(self, emulator: Emulator, client: Client) -> None:
        emulator.endpoint(URL)
        client.v1.customers.create({}, {"idempotency_key": "k"})
        emulator.wipe()

        assert (emulator.objects("customer"), emulator.events()) == ([], [])
        client.v1.customers.create({}, {"idempotency_key": "k"})
        assert len(emulator.webhooks.take()) == 1

    def test_another_account_is_another_world(self, emulator: Emulator, client: Client) -> None:
        client.v1.customers.create({})
        emulator.reset_account("acct_other")

        assert client.v1.accounts.retrieve_current().id == "acct_other"
        assert client.v1.customers.list().data == []
