"""A reply is taken for what it is about: whoever gives us another's (a shared connection, a proxy, a cache) links
nothing, and what was asked is settled as if nobody had answered.
"""

import json
import logging
from dataclasses import dataclass, field
from typing import Any

import pytest
import stripe
from requests.structures import CaseInsensitiveDict

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Coupon, Customer, Operation, PaymentIntent, SyncedDocument, created_kinds, kinds
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.engine.refresh import refresh
from stripe_mongo_sync.sync.errors import CannotReadStripe
from stripe_mongo_sync.sync.stripe.about import a_page, is_of_another, misses_another, of_operation
from tests.contract.openapi import reply
from tests.support import samples
from tests.support.in_sync import assert_in_sync
from tests.support.representatives import representatives, row
from tests.support.world import World

KINDS = sorted(kind for kind in created_kinds() if kind != "order")  # it is nobody's reply: its payment's is
ELSE = "about something else"
Answer = tuple[bytes, int, Any]


@dataclass
class Mixed:
    """A way to Stripe on which one answer comes in place of another: the last one that was `kept`."""

    inner: stripe.HTTPClient | None = None
    keep: tuple[str, str] | None = None  # the method and the path whose answer is kept
    mix: tuple[str, str] | None = None  # those at which the kept answer is given
    body_alone: bool = False
    bare: bool = False  # without the header that tells the key
    kept: Answer | None = None
    given: list[str] = field(default_factory=list)

    def around(self, inner: stripe.HTTPClient) -> stripe.HTTPClient:
        """Take the place of a transport."""
        self.inner = inner
        return _Front(self)

    def request(self, method: str, url: str, headers: Any, post_data: Any = None, **more: Any) -> Answer:
        """Pass it on, and answer as it is, or otherwise."""
        assert self.inner is not None
        body, status, replied = self.inner.request(method, url, headers, post_data, **more)
        asked = (method.lower(), "/" + url.split("://", 1)[1].split("/", 1)[1].partition("?")[0])
        if asked == self.keep:
            self.kept = (body, status, replied)
        elif asked == self.mix:
            assert self.kept is not None
            self.given.append(asked[1])
            body, status, replied = self.kept if not self.body_alone else (self.kept[0], self.kept[1], replied)
        if self.bare:
            replied = CaseInsensitiveDict({n: v for n, v in replied.items() if n.lower() != "idempotency-key"})
        return body, status, replied


class _Front(stripe.HTTPClient):
    name = "mixed"

    def __init__(self, mixed: Mixed) -> None:
        super().__init__()
        self._mixed = mixed

    def request(self, *asked: Any, **more: Any) -> Any:
        return self._mixed.request(*asked, **more)

    def close(self) -> None:
        pass


@pytest.fixture
def mixed() -> Mixed:
    return Mixed()


@pytest.fixture
def world(database: str, mixed: Mixed) -> Any:
    made = World(database, around=mixed.around)
    yield made
    made.stop()


def named(kind: str) -> str:
    """A name that every field takes."""
    return kind.replace("_", "-").replace(".", "-")


def settle(world: World, mixed: Mixed) -> None:
    mixed.mix = None
    world.deliver()
    world.advance(minutes=20)
    world.converge()
    assert_in_sync(world)


@pytest.mark.parametrize(
    "kind",
    representatives(
        [kind for kind in KINDS if not kinds()[kind].resource.owners],  # no event and no key tells whose they are
        row("has_created_event", "correlation_field", "accepts_custom_id", "listable", "moves_money_if"),
    ),
)
def test_the_reply_to_another_creation_links_nothing_and_counts_as_lost(world: World, mixed: Mixed, kind: str) -> None:
    model = created_kinds()[kind]
    path = ("post", model.resource.path)
    first = samples.body(kind, "first")
    others = {how: samples.body(kind, how) for how in ("whole", "its-body", "bare")}
    mixed.keep = path
    made, _ = sync.create(model, first)
    mixed.keep, mixed.mix = None, path
    documents = []

    for how, body in others.items():
        mixed.bare, mixed.body_alone = how == "bare", how == "its-body"
        documents.append(sync.create(model, body)[0])

    assert len(mixed.given) >= len(others), "the answer to the first was given to each"
    told = {(one.status, one.stripe_id, one.review_reason, one.operation.verb) for one in documents}
    assert (made.status, told) == ("active", {("pending", None, None, "create")})
    settle(world, mixed)
    all_four = [one.fetch_latest() for one in (made, *documents)]
    assert {one.status for one in all_four} == {"active"}
    assert len({one.stripe_id for one in all_four}) == 4


@pytest.mark.parametrize("bare", [False, True], ids=["as Stripe sends them", "without headers that tell"])
def test_what_stripe_answers_raises_no_alarm(
    world: World, mixed: Mixed, bare: bool, caplog: pytest.LogCaptureFixture
) -> None:
    mixed.bare = bare
    for kind in KINDS:
        samples.create(kind, named(kind))
    for kind in sorted(samples.CHANGES.keys() & {*KINDS}):
        sync.update(some(kind), samples.CHANGES[kind])

    assert [one.status for one in world.documents() if one.status != "active"] == []
    assert [record.message for record in caplog.records if ELSE in record.message] == []


def some(kind: str) -> SyncedDocument:
    """The newest document of that kind: what was made for another one, such as an invoice, may be final."""
    return created_kinds()[kind].objects.order_by("-id").first()


def test_a_reply_with_another_key_is_none_whatever_it_shows(world: World, mixed: Mixed) -> None:
    mixed.keep = ("post", "/v1/payment_intents")
    body = {"amount": 500, "currency": "eur"}
    first, _ = sync.create(PaymentIntent, body)
    mixed.keep, mixed.mix = None, ("post", "/v1/payment_intents")

    second, _ = sync.create(PaymentIntent, body)

    assert (second.status, second.stripe_id) == ("pending", None)
    settle(world, mixed)
    assert second.fetch_latest().stripe_id not in (None, first.stripe_id)


def test_who_gave_no_name_is_not_given_a_customer_that_has_one(world: World, mixed: Mixed) -> None:
    mixed.body_alone = True
    mixed.keep = ("post", "/v1/customers")
    sync.create_customer("first@here.com", name="First")
    mixed.keep, mixed.mix = None, ("post", "/v1/customers")
    Customer._get_collection().update_one(
        {"username": "first@here.com"}, {"$set": {"stripe_id": None, "is_current": False}}
    )

    assert sync.create_customer("second").status == "pending"


def test_a_refusal_of_anothers_key_refuses_nothing(world: World, mixed: Mixed) -> None:
    mixed.keep = ("post", "/v1/coupons")
    with pytest.raises(sync.Refused):
        sync.create(Coupon, {"duration": "once", "percent_off": 10, "amount_off": 5, "currency": "eur"})
    mixed.keep, mixed.mix = None, ("post", "/v1/coupons")

    second, _ = sync.create(Coupon, {"duration": "once", "percent_off": 10})

    assert second.status == "pending"
    settle(world, mixed)
    assert second.fetch_latest().status == "active"


@pytest.mark.parametrize(
    ("told", "another"),
    [(None, False), ("key-1", False), ("key-1, key-1", False), ("key-2", True), ("", False)],
)
def test_only_another_key_makes_an_answer_anothers(told: str | None, another: bool) -> None:
    headers = {} if told is None else {"Idempotency-Key": told}

    assert is_of_another(headers, "key-1") is another
    assert not is_of_another(headers, None), "a GET has none"


SHOWN: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {  # what was sent, and how Stripe may show it
    "in another case, without blanks": (
        "customer",
        {"name": "  Ann  Lee ", "email": "Ann@Here.com"},
        {"name": "Ann Lee", "email": "ann@here.com"},
    ),
    "nothing of blanks": ("customer", {"name": "  "}, {"name": None}),
    "a name that is a number, or none": ("customer", {"name": "NaN"}, {"name": "NaN"}),
    "a currency in small letters": (
        "payment_intent",
        {"amount": 5, "currency": "EUR"},
        {"amount": 5, "currency": "eur"},
    ),
    "rounded": ("coupon", {"percent_off": 33.3333}, {"percent_off": 33.33}),
    "a decimal without its end": ("price", {"unit_amount_decimal": "12.50"}, {"unit_amount_decimal": "12.5"}),
    "whole in place of its id": ("price", {"product": "prod_1"}, {"product": {"id": "prod_1", "object": "product"}}),
    "a card made of a test card": ("payment_intent", {"payment_method": "pm_card_visa"}, {"payment_method": "pm_1"}),
    "an address that is escaped": (
        "checkout.session",
        {"success_url": "https://a/ü"},
        {"success_url": "https://a/%C3%BC"},
    ),
    "filled in by itself": ("invoiceitem", {}, {"description": "My first hat", "currency": "usd"}),
    "another default": ("payment_intent", {"capture_method": "automatic"}, {"capture_method": "automatic_async"}),
    "in another order": (
        "subscription",
        {"items": [{"price": "price_1"}, {"price": "price_2", "quantity": 3}]},
        {"items": {"data": [{"price": {"id": "price_2"}, "quantity": 3}, {"price": {"id": "price_1"}, "quantity": 1}]}},
    ),
    "cut": (
        "subscription",
        {"items": [{"price": "price_1"}]},
        {"items": {"has_more": True, "data": [{"price": {"id": "price_9"}}]}},
    ),
    "a part that it does not show": ("customer", {"address": {"city": "B", "line1": "1"}}, {"address": {"city": "b"}}),
}


@pytest.mark.parametrize("case", SHOWN)
def test_what_stripe_writes_in_its_own_way_is_what_was_sent(case: str) -> None:
    kind, sent, shown = SHOWN[case]
    document = created_kinds()[kind](operation=Operation(verb="create", params=sent))

    assert of_operation(document)({"id": "any_1", "object": kind, **shown}) is None


OTHERS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {  # what was sent, and what that cannot be
    "name": ("customer", {"name": "Ann"}, {"name": "Bob"}),
    "email": ("customer", {"email": "a@here.com"}, {"email": None}),
    "phone": ("customer", {}, {"phone": "1"}),
    "address": ("customer", {"address": {"city": "Bern"}}, {"address": {"city": "Rome"}}),
    "amount": ("payment_intent", {"amount": 500}, {"amount": 501}),
    "currency": ("payment_intent", {"currency": "eur"}, {"currency": "usd"}),
    "customer": ("payment_intent", {}, {"customer": "cus_1"}),
    "percent_off": ("coupon", {"percent_off": 10.0}, {"percent_off": 20}),
    "product": ("price", {"product": "prod_1"}, {"product": {"id": "prod_2"}}),
    "items": (
        "subscription",
        {"items": [{"price": "price_1", "quantity": 2}]},
        {"items": {"data": [{"price": {"id": "price_1"}, "quantity": 1}]}},
    ),
    "id": ("coupon", {"id": "SPRING"}, {"id": "SUMMER"}),
    "kind of object": ("coupon", {}, {"object": "customer"}),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_cannot_be_what_was_sent_is_named(name: str) -> None:
    kind, sent, shown = OTHERS[name]
    document = created_kinds()[kind](operation=Operation(verb="create", params=sent))

    assert of_operation(document)({"id": "any_1", "object": kind, **shown}) == f"another {name}"


WRITES = {
    "an update": lambda one: sync.update(one, {"name": "New"}),
    "a deletion": sync.delete,
}


@pytest.mark.parametrize("name", WRITES)
def test_a_reply_about_another_object_ends_no_operation(world: World, mixed: Mixed, name: str) -> None:
    one, other = (sync.create_customer(f"{who}@here.com") for who in ("one", "other"))
    verb = ("delete" if name == "a deletion" else "post", f"/v1/customers/{one.stripe_id}")
    mixed.keep, mixed.body_alone = (verb[0], f"/v1/customers/{other.stripe_id}"), True
    WRITES[name](other)
    mixed.keep, mixed.mix = None, verb

    changed = WRITES[name](one)

    assert changed.operation is not None
    assert changed.status == "active"
    settle(world, mixed)
    assert changed.fetch_latest().operation is None


def test_a_look_that_shows_another_object_changes_nothing(world: World, mixed: Mixed) -> None:
    for kind in KINDS:
        one, other = samples.create(kind, "one-" + named(kind)), samples.create(kind, "other-" + named(kind))
        mixed.keep, mixed.mix = ("get", other.path), None
        refresh(other)
        mixed.keep, mixed.mix = None, ("get", one.path)
        before = one.fetch_latest()

        with pytest.raises(CannotReadStripe, match=ELSE):
            refresh(before)

        assert one.fetch_latest().stripe == before.stripe


def test_the_page_of_another_list_makes_nobodys_documents(world: World, mixed: Mixed) -> None:
    kept = [samples.create(kind, "one") for kind in ("product", "customer")]
    world.advance(hours=1)
    for other in ("/v1/products", "/v1/events", "/v1/coupons"):  # the last is empty
        mixed.keep, mixed.mix = ("get", other), None
        list(current().gateway.pages(other))
        mixed.keep, mixed.mix = None, ("get", "/v1/customers")

        with pytest.raises(CannotReadStripe, match="another list"):
            list(current().gateway.pages("/v1/customers"))
        assert world.reconcile(full=True).exit_code == 2

    assert {one.stripe_id for one in world.documents()} == {one.stripe_id for one in kept}


def test_every_list_that_stripe_documents_is_taken_for_what_it_is() -> None:
    listed = {kind: model.resource.path for kind, model in kinds().items() if model.resource.listable}
    for kind, path in listed.items():
        schema = reply("get", path, 200)
        told = schema["properties"]["url"].get("pattern", path).removeprefix("^") if schema else path
        for url in (told, path, f"{told}?limit=3"):
            page = {"object": "list", "data": [{"object": kind, "id": "x"}, {"id": "y"}], "has_more": False, "url": url}
            assert a_page(path)(page) is None, kind


def test_a_404_about_another_object_proves_nothing_of_ours(world: World, mixed: Mixed) -> None:
    one = sync.create_customer("one@here.com")
    mixed.keep = ("get", "/v1/customers/cus_nobody")
    assert current().gateway.get("/v1/customers/cus_nobody") is None
    mixed.keep, mixed.mix = None, ("delete", f"/v1/customers/{one.stripe_id}")

    deleted = sync.delete(one)

    assert (deleted.status, deleted.operation.verb) == ("active", "delete")


def test_nobody_is_sent_to_the_portal_of_another(world: World, mixed: Mixed) -> None:
    one, other = (sync.create_customer(f"{who}@here.com") for who in ("one", "other"))
    mixed.keep, mixed.body_alone = ("post", "/v1/billing_portal/sessions"), True
    sync.open_portal(other)
    mixed.keep, mixed.mix = None, ("post", "/v1/billing_portal/sessions")

    with pytest.raises(CannotReadStripe):
        sync.open_portal(one)


def test_a_database_is_bound_to_no_answer_but_an_account(world: World, mixed: Mixed) -> None:
    mixed.kept = (json.dumps({"id": "cus_1", "object": "customer"}).encode(), 200, CaseInsensitiveDict())
    mixed.mix = ("get", "/v1/account")

    assert sync.create_customer("user@here.com").status == "pending"

    mixed.mix = None
    assert sync.create_customer("other@here.com").status == "active"


def test_anothers_reply_is_told_in_the_log_without_what_it_shows(
    world: World, mixed: Mixed, caplog: pytest.LogCaptureFixture
) -> None:
    mixed.keep, mixed.body_alone = ("post", "/v1/customers"), True
    sync.create_customer("first@here.com", phone="+49 30 1234")
    mixed.keep, mixed.mix = None, ("post", "/v1/customers")

    with caplog.at_level(logging.ERROR, "stripe_mongo_sync"):
        sync.create_customer("second@here.com")

    told = [record.getMessage() for record in caplog.records if ELSE in record.getMessage()]
    assert told
    assert "POST /v1/customers" in told[0]
    assert not [line for line in told if "here.com" in line or "1234" in line]


@pytest.mark.parametrize(
    ("message", "path", "another"),
    [
        ("No such customer: 'cus_1'", "/v1/customers/cus_1", False),
        ("No such customer: 'cus_2'", "/v1/customers/cus_1", True),
        ("No such coupon: '20% off'", "/v1/coupons/20%25%20off", False),
        ("No such subscription: 'sub_1'", "/v1/subscription_items", False),
        ("No such customer: 'cus_1'; a similar object exists in live mode", "/v1/customers/cus_1", False),
        ("Unrecognized request URL", "/v1/customers/cus_1", False),
        (None, "/v1/customers/cus_1", False),
    ],
)
def test_what_a_404_names_is_what_was_asked_for(message: str | None, path: str, another: bool) -> None:
    assert misses_another(message, path, {"subscription": "sub_1"}) is another
