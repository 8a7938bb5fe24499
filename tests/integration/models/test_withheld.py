"""Keys: nothing that lets anybody in is stored, or shown to whoever may only read."""

import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import CheckoutSession, Event, Order, PaymentIntent, SetupIntent, kinds
from stripe_mongo_sync.models.rows.content import KEY_KINDS
from stripe_mongo_sync.sync.operator.catalogue import covered_events
from stripe_mongo_sync.sync.stripe.answers import api_version
from tests.support import samples
from tests.support.mongo import our_database
from tests.support.world import World

READER = "a-token-that-may-only-read"
WRITER = "a-token-of-the-shop"


@pytest.fixture
def shop(database: str) -> Any:
    made = World(database, settings={"API_TOKENS": f"shop:read+write:{WRITER},reader:read:{READER}"})
    yield made
    made.stop()


def reader(shop: World) -> FlaskClient:
    client = shop.app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {READER}"
    return client


def stored(what: str, *, but: str = "") -> list[str]:
    """The collections that have a text, raw bytes included."""
    database = our_database()
    names = [name for name in database.list_collection_names() if name != but]
    return [name for name in names for row in database[name].find() if what in str(row)]


def event(type: str, remote: dict[str, Any], **more: Any) -> bytes:
    told = {"id": f"evt_{type.replace('.', '')}", "object": "event", "type": type, "created": 1_700_000_000}
    told |= {"livemode": False, "api_version": api_version(), "data": {"object": remote}, **more}
    return json.dumps(told).encode()


def test_a_portal_session_is_in_no_collection(shop: World) -> None:
    customer = sync.create_customer("user@here.com")
    visit = sync.open_portal(customer, "https://shop.example/")
    raw = next(raw for raw in shop.webhooks() if b"billing_portal.session.created" in raw)
    assert visit["url"].encode() in raw, "as Stripe tells of it"

    assert shop.deliver([raw]) == ["ignored"]

    assert stored(visit["url"]) == []
    assert stored(customer.stripe_id, but="customers") == [], "nothing of the body"
    assert "billing_portal.session.created" not in covered_events()
    assert shop.http.get("/billing-portal-sessions").status_code == 404


def test_an_object_that_is_a_key_is_kept_by_no_way(shop: World) -> None:
    for kind in sorted(KEY_KINDS):
        assert kind not in kinds()
        remote = {"id": "x_1", "object": kind, "url": "https://let.me/in9", "secret": "zzz9", "customer": "cus_1"}

        assert shop.deliver([event(f"{kind}.created", remote)]) == ["ignored"]
        assert shop.deliver([event("charge.updated", {"id": f"ch_{kind}", "object": "charge", "made_by": [remote]})])

    assert stored("https://let.me/in9") == stored("zzz9") == []


def test_the_way_to_pay_is_on_its_own_document_only(shop: World) -> None:
    intent = samples.create("payment_intent")
    setup = samples.create("setup_intent")
    assert isinstance(intent, PaymentIntent)
    assert isinstance(setup, SetupIntent)
    assert intent.client_secret
    assert setup.client_secret

    shop.deliver()
    shop.advance(minutes=5)
    shop.reconcile()
    shop.converge()

    assert {*stored(intent.client_secret)} == {"payment_intents"}
    assert {*stored(setup.client_secret)} == {"setup_intents"}
    assert b"client_secret" not in Event.objects(type="payment_intent.created").get().raw
    assert intent.fetch_latest().client_secret == intent.client_secret


def test_who_may_only_read_is_shown_no_way_to_pay(shop: World) -> None:
    intent, session = samples.create("payment_intent"), samples.create("checkout.session")
    assert isinstance(session, CheckoutSession)
    for document, path in ((intent, f"/payment-intents/{intent.id}"), (session, f"/checkout-sessions/{session.id}")):
        name = "client_secret" if document is intent else "url"
        whole = shop.http.get(f"{path}?expand=stripe").json
        assert whole[name] == whole["stripe"][name] == getattr(document, name)
        for read in (path, path.rsplit("/", 1)[0]):
            told = reader(shop).get(f"{read}?expand=stripe")
            assert told.status_code == 200
            assert getattr(document, name) not in told.text
            one = told.json if read == path else told.json["data"][0]
            assert one[name] is None
            assert name not in one["stripe"]
            assert one["stripe"]["status"] == document.stripe["status"], "the rest is shown"


@pytest.mark.parametrize(("payment", "name"), [("checkout", "url"), ("payment_intent", "client_secret")])
def test_an_order_hands_on_the_way_to_pay_to_who_may_write(shop: World, payment: str, name: str) -> None:
    body = {**samples.body("order"), "payment": payment}
    if payment != "checkout":
        del body["success_url"]
    order, _ = sync.create(Order, body)
    assert getattr(order, name)

    assert shop.http.get(f"/orders/{order.id}").json[name] == getattr(order, name)
    assert reader(shop).get(f"/orders/{order.id}").json[name] is None
    assert reader(shop).get("/orders").json["data"][0][name] is None


def test_an_event_that_waits_in_the_inbox_loses_its_key_and_its_document_does_not(shop: World) -> None:
    """What is drained later shows no key any more, so it says nothing of the content: the object is looked at."""
    intent = samples.create("payment_intent")
    shop.deliver()
    shop.advance(seconds=5)
    shop.stripe.dashboard.act("payment_intent", intent.stripe_id, "cancel")
    (raw,) = shop.webhooks()
    shop.settings["REVALIDATE"] = "payment_intent"
    shop.start()
    shop.stripe.fault("cut_before", method="GET", times=None)
    assert shop.deliver([raw]) == ["received"]
    shop.stripe.clear_faults()
    assert b"_secret_" not in Event.objects(state="received").get().raw

    shop.advance(minutes=5)
    shop.reconcile()

    after = intent.fetch_latest()
    assert (after.stripe_status, after.client_secret) == ("canceled", intent.client_secret)


@pytest.mark.parametrize(
    ("kind", "inner"),
    [
        ("identity.verification_session", {"url": "https://verify.stripe.com/zq7x", "client_secret": "zq7x"}),
        ("file_link", {"url": "https://files.stripe.com/links/zq7x"}),
        ("mandate", {"payment_method_details": {"type": "sepa_debit", "sepa_debit": {"url": "https://hooks/zq7x"}}}),
        ("terminal.configuration", {"wifi": {"type": "personal_psk", "personal_psk": {"password": "zq7x"}}}),
        (
            "source",
            {"client_secret": "zq7x", "redirect": {"url": "https://hooks.stripe.com/zq7x", "status": "pending"}},
        ),
        ("issuing.card", {"number": "zq7x", "cvc": "zq7x"}),
        ("account", {"anything": {"new": "see https://x/?key=vs_1AbcdefgHijklmnop_secret_zq7xAbcdefgh"}}),
    ],
)
def test_what_is_only_mirrored_is_kept_without_its_keys(shop: World, kind: str, inner: dict[str, Any]) -> None:
    remote = {"id": "x_1AbcdefgHijk", "object": kind, "created": 1_700_000_000, "status": "open", **inner}
    resource = kinds()[kind].resource

    assert shop.deliver([event(f"{resource.event_prefixes[0]}.updated", remote)]) == ["applied"]

    assert stored("zq7x") == []
    assert kinds()[kind].objects.get().stripe["status"] == "open"


def test_an_event_without_a_key_is_kept_to_the_byte(shop: World) -> None:
    sync.create_customer("user@here.com", name="a secret admirer")
    (raw,) = shop.webhooks()
    shop.deliver([raw])
    assert Event.objects.get().raw == raw
