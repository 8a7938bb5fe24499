"""What the operator's page shows: what the commands print, and of people only what the token may see."""

import json
import logging
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import pytest
from flask import Flask
from pymongo.monitoring import CommandStartedEvent

from stripe_mongo_sync import sync
from stripe_mongo_sync.api import create_app
from stripe_mongo_sync.models import Customer, Delivery, DeliveryState, Event, PaymentIntent, State, Status, kinds
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.state import CIRCUIT_BREAKER
from stripe_mongo_sync.ops import acts
from stripe_mongo_sync.sync.operator import operations
from stripe_mongo_sync.sync.operator.status import status
from stripe_mongo_sync.sync.operator.views.show import everything
from tests.integration.ops.conftest import ANN, TOKENS
from tests.support import samples
from tests.support.browser import Browser
from tests.support.heard import Listener
from tests.support.in_sync import assert_in_sync
from tests.support.mongo import our_database
from tests.support.world import World

NAME = "user@here.com"
EVIL = '<script>alert("x")</script>'


@pytest.fixture
def user(app: Flask, world: World) -> Customer:
    """A customer whose name is no markup, with the event of their creation."""
    customer = sync.create_customer(NAME, name=EVIL)
    world.deliver()
    return customer.fetch_latest()


@pytest.fixture
def doubtful(app: Flask, world: World) -> Customer:
    """A customer in review: Stripe finished their creation after a 500, and no key shows it."""
    world.stripe.fault("500_repair", method="POST")
    customer = sync.create_customer(NAME, name="Ada")
    world.webhooks()
    world.stripe.repair()
    world.deliver()
    world.advance(minutes=30)
    return customer.fetch_latest()


def delivery(state: DeliveryState, number: int = 1, document: Any = None) -> Delivery:
    """A delivery to a hook, in a state."""
    notice = {"id": f"{document or 'x'}:{number}:customer.active", "name": "customer.active", "at": clock.now()}
    assert Delivery.enqueue(notice, "shop.hooks.welcome", "customer", document=document)
    row = Delivery.objects(id=f"{notice['id']}:shop.hooks.welcome").get()
    if state is DeliveryState.DEAD:
        return row.mark_dead("the hook raised ValueError")
    return row


def walk(browser: Browser, place: str | None, entry: str) -> list[str]:
    """What each page of a list shows of each entry, from the first page to the last."""
    seen: list[str] = []
    while place is not None:
        browser.see(place)
        seen += re.findall(entry, browser.page)
        found = re.search(r'rel="next" href="/ops([^"]+)"', browser.page)
        place = found[1].replace("&amp;", "&") if found else None
    return seen


# --- the overview ---


def test_the_overview_says_what_status_says_with_its_advice(
    world: World, dead: Event, app: Flask, ann: Browser
) -> None:
    health = status()
    assert health.findings

    page = ann.see("/").text

    for finding in health.findings:
        assert finding.message in page
        assert finding.advice.replace("'", "&#39;") in page
    assert "<svg" in page
    assert re.search(r'href="/ops/events\?state=dead"[^>]*>dead 1<', page)


def test_an_overview_of_nothing_is_healthy_or_says_what_to_begin_with(app: Flask, ann: Browser) -> None:
    assert "There are no documents yet." in ann.see("/").text


def test_the_circuit_breaker_is_reset_there(app: Flask, ann: Browser, caplog: pytest.LogCaptureFixture) -> None:
    State.write(CIRCUIT_BREAKER, {"at": clock.now(), "cap": 20})
    caplog.set_level(logging.INFO)
    assert "circuit breaker open" in ann.see("/").text

    ann.follow(ann.send("/reset-breaker"))

    assert "The circuit breaker is reset" in ann.page
    assert State.read(CIRCUIT_BREAKER) is None
    assert "ann asks to reset the circuit breaker" in caplog.text


# --- documents ---


def test_documents_are_listed_by_kind_and_status(app: Flask, user: Customer, ann: Browser) -> None:
    samples.create("product")
    assert NAME in ann.see("/documents").text
    assert NAME in ann.see("/documents", kind="customer", status="active").text
    assert "No customer has this status." in ann.see("/documents", kind="customer", status="pending").text
    assert "prod_" in ann.see("/documents", kind="product", status="").text
    assert ann.see("/documents", kind="nothing").status_code == 422
    assert ann.see("/documents", kind="customer", status="odd").status_code == 422
    assert ann.see("/documents", after="x").status_code == 422


def test_a_long_list_goes_on(app: Flask, user: Customer, ann: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stripe_mongo_sync.ops.pages.PAGE", 2)
    names = [NAME, *(f"user{number}@here.com" for number in range(4))]
    for name in names[1:]:
        sync.create_customer(name)

    assert sorted(walk(ann, "/documents", r"user\d?@here\.com")) == sorted(names)


def test_what_is_given_leads_to_its_document(app: Flask, world: World, user: Customer, ann: Browser) -> None:
    event = Event.objects.get(type="customer.created")
    row = delivery(DeliveryState.PENDING, document=user.id)
    place = f"/ops/documents/customer/{user.id}"
    for text in (NAME, NAME.upper(), str(user.id), user.stripe_id, f"  {NAME} ", user.creation_key):
        assert ann.see("/search", q=text).location == place, text
    assert ann.see("/search", q=event.id).location == f"/ops/events/{event.id}"
    assert ann.see("/search", q=row.id).location.startswith("/ops/deliveries?id=")
    for text in (
        "nobody@here.com",
        "cus_nothing",
        "0" * 24,
        "evt_nothing",
        "sms1:a:b:c",
        EVIL,
        "",
        "é",
        "\u200b",
        "x" * 300,
    ):
        page = ann.see("/search", q=text)
        assert (page.status_code, "Nothing here has" in page.text) == (200, True), text
        assert "<script>alert" not in page.text


def test_an_address_finds_all_who_have_it(app: Flask, world: World, ann: Browser) -> None:
    world.stripe.dashboard.create("customer", email="Shared@here.com")
    one, two = (sync.create_customer(name, email="shared@here.com") for name in ("one", "two"))
    sync.delete(two)
    world.deliver()

    page = ann.see("/search", q="shared@here.com").text

    assert str(one.id) in page
    assert str(two.id) in page
    assert ann.see("/search", q="Shared@here.com").text.count("/documents/customer/") == 3


def test_a_document_is_shown_with_its_fields_snapshot_and_timeline(
    app: Flask, world: World, user: Customer, ann: Browser
) -> None:
    world.advance(minutes=1)
    world.stripe.dashboard.update("customer", user.stripe_id, description="changed at Stripe")
    world.deliver()
    delivery(DeliveryState.DEAD, document=user.id)

    page = ann.see(f"/documents/customer/{user.id}").text

    assert f"https://dashboard.stripe.com/test/customers/{user.stripe_id}" in page
    assert "changed at Stripe" in page
    for told in ("was inserted", "customer.created of", "customer.updated of", "applied", "was given up", "welcome"):
        assert told in page, told
    assert page.index("customer.updated of") < page.index("customer.created of"), "the newest is first"
    assert EVIL not in page
    assert "&lt;script&gt;" in page


def test_who_settled_it_is_told(app: Flask, world: World, doubtful: Customer, ann: Browser) -> None:
    ann.see(f"/review/{doubtful.id}")
    ann.follow(ann.send(f"/review/{doubtful.id}/roll-back"))

    assert "It was given up." in ann.page
    assert "<dd>rolled_back, by operator ann</dd>" in ann.page, "beside no revision, which another may have made"
    assert "roll-back, decided by operator ann at" in ann.page


def test_a_document_of_every_kind_can_be_shown(app: Flask, world: World, ann: Browser) -> None:
    for kind in ("price", "coupon", "order", "invoice", "subscription"):
        samples.create(kind)
    world.deliver()
    documents = world.documents()
    assert len({document.resource.kind for document in documents}) > 8

    for document in documents:
        response = ann.see(f"/documents/{document.resource.kind}/{document.id}")
        assert response.status_code == 200, document
    for place in ("customer/nobody", f"customer/{'0' * 24}", "odd/x", f"odd/{'0' * 24}", f"price/{documents[0].id}"):
        assert ann.see(f"/documents/{place}").status_code == 404, place


def test_no_way_to_pay_is_shown(app: Flask, world: World, user: Customer, ann: Browser) -> None:
    intent = sync.create(PaymentIntent, {"amount": 100, "currency": "eur", "customer": str(user.id)})[0]
    world.deliver()
    assert intent.client_secret

    for path in (f"/documents/payment_intent/{intent.id}", f"/review/{intent.id}"):
        assert intent.client_secret not in ann.see(path).text
    for event in Event.objects(object_id=intent.stripe_id):
        assert intent.client_secret not in ann.see(f"/events/{event.id}").text


# --- who may see whom ---


def test_who_may_only_operate_sees_no_person(
    dead: Event, app: Flask, world: World, doubtful: Customer, bob: Browser
) -> None:
    person = (NAME, "Ada", "dead@here.com")
    paths = [f"/documents/customer/{each.id}" for each in Customer.objects]
    paths += ["/", "/documents", "/events", f"/events/{dead.id}", "/review", "/review?all=", f"/review/{doubtful.id}"]
    paths += [f"/documents/customer/{Customer.objects.first().id}"]

    for path in paths:
        page = bob.see(path)
        assert page.status_code == 200, path
        for text in person:
            assert text not in page.text.partition("<main")[2], (path, text)
    assert bob.see(f"/documents/customer/{NAME}").status_code == 404
    assert bob.see("/documents", kind="invoice", customer=NAME).status_code == 422
    assert bob.see("/documents", kind="invoice", customer="nobody@here.com").status_code == 422
    assert bob.see("/documents", kind="invoice", customer=str(doubtful.id)).status_code == 200
    found = bob.see("/search", q=NAME).text
    assert "Nothing here has" in found
    assert bob.see("/search", q=str(doubtful.id)).status_code == 302


def test_no_message_tells_who_may_only_operate_an_address(
    app: Flask, world: World, doubtful: Customer, ann: Browser, bob: Browser
) -> None:
    """Stripe and hooks may quote one in what they say."""
    error = {"type": "invalid_request_error", "message": f"Invalid email address: {NAME}"}
    said = {"error": error, "review_reason": f"two have {NAME}"}
    Customer.own_rows().update_one({"_id": doubtful.id}, {"$set": said})
    delivery(DeliveryState.PENDING).mark_dead(f"the hook raised ValueError({NAME!r})")

    for path in (f"/documents/customer/{doubtful.id}", "/review", f"/review/{doubtful.id}", "/deliveries"):
        assert NAME in ann.see(path).text, path
        assert NAME not in (text := bob.see(path).text), path
        assert "…@…" in text, path


# --- events ---


@pytest.mark.parametrize("type", ["*" * 20 + "pending" + "*" * 20 + "e", "a*b*c*d*e", "customer\0", "(a+)+", "x" * 101])
def test_a_type_that_costs_the_database_or_that_nothing_has_is_refused(app: Flask, ann: Browser, type: str) -> None:
    code = 200 if type.startswith("**") else 422  # several stars are one
    assert ann.see("/events", type=type).status_code == code


def test_events_are_filtered(app: Flask, world: World, user: Customer, ann: Browser) -> None:
    samples.create("product")
    world.deliver()

    def types(**wanted: str) -> list[str]:
        return re.findall(r"<td>([a-z.]+)<br>", ann.see("/events", **wanted).text)

    assert types() == ["product.created", "customer.created"]
    assert types(type="customer.*") == ["customer.created"]
    assert types(type=".*") == []
    assert types(object=user.stripe_id) == ["customer.created"]
    assert types(state="dead") == []
    assert types(state="applied", type="*.created") == ["product.created", "customer.created"]
    assert ann.see("/events", state="odd").status_code == 422


def test_an_event_is_shown_with_its_body(app: Flask, world: World, user: Customer, ann: Browser) -> None:
    event = Event.objects.get(type="customer.created")

    page = ann.see(f"/events/{event.id}").text

    assert "alert(\\&#34;x\\&#34;)" in page
    assert "See what a replay would do" in page
    assert "It would do this" in ann.see(f"/events/{event.id}", remedies="").text
    assert ann.see("/events/evt_nothing").status_code == 404


def test_a_dead_event_is_replayed_or_ignored(
    world: World, dead: Event, app: Flask, ann: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    page = ann.see(f"/events/{dead.id}").text
    assert "It would do this" in page

    ann.follow(ann.send(f"/events/{dead.id}/replay"))

    assert "It was replayed" in ann.page
    assert Event.objects.get(id=dead.id).state == "applied"
    assert f"ann asks to replay {dead.id}" in caplog.text
    assert "replay, decided by operator ann at" in ann.page
    assert ann.see(f"/events/{dead.id}", remedies="").status_code == 200
    assert f"/ops/events/{dead.id}/ignore" not in ann.forms(), "only dead events can be ignored"
    world.converge()
    assert_in_sync(world)


def test_a_dead_event_is_ignored_once(dead: Event, app: Flask, ann: Browser) -> None:
    ann.see(f"/events/{dead.id}")
    form = ann.page
    ann.send(f"/events/{dead.id}/ignore")
    assert Event.objects.get(id=dead.id).state == "ignored"
    assert "ignore, decided by operator ann at" in ann.see(f"/events/{dead.id}").text

    ann.page = form
    response = ann.send(f"/events/{dead.id}/ignore")

    assert response.status_code == 409
    assert "only dead events can be ignored" in response.text


def test_all_dead_events_since_a_date_are_replayed(dead: Event, app: Flask, ann: Browser) -> None:
    ann.see("/events")
    assert "no event is dead" in ann.send("/events/replay-dead", since="2999-01-01").text
    ann.see("/events")
    assert ann.send("/events/replay-dead", since="odd").status_code == 422
    ann.see("/events")

    page = ann.send("/events/replay-dead", since="2020-01-01").text

    assert "applied" in page
    assert Event.objects.get(id=dead.id).state == "applied"
    assert Event.objects.get(id=dead.id).decided_by == "operator ann"


@pytest.mark.parametrize("at_once", [1, 2, 7])
def test_a_long_list_of_events_goes_on(
    app: Flask, world: World, user: Customer, ann: Browser, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """Events that came together have one moment, and a page may begin or end amidst them."""
    monkeypatch.setattr("stripe_mongo_sync.ops.pages.PAGE", 3)
    row = Event.own_rows().find_one({"type": "customer.created"})
    assert row is not None
    states = ("applied", "dead", "stale")
    others = [
        {
            **row,
            "_id": f"evt_{(5 * number) % 17:02}",
            "state": states[number % 3],
            "object_id": "cus_1",
            "type": "customer.updated",
            "received_at": row["received_at"] - timedelta(seconds=1 + number // at_once),
        }
        for number in range(17)
    ]
    Event.insert_collection().insert_many(others)
    rows = sorted([row, *others], key=lambda each: (each["received_at"], each["_id"]), reverse=True)

    def ids(**wanted: Any) -> list[str]:
        return [each["_id"] for each in rows if wanted.items() <= each.items()]

    entry = r'class="id" href="/ops/events/(\w+)"'
    assert walk(ann, "/events", entry) == ids()
    assert walk(ann, "/events?state=dead", entry) == ids(state="dead")
    assert walk(ann, "/events?object=cus_1", entry) == ids(object_id="cus_1")
    assert walk(ann, "/events?type=*.updated&state=stale", entry) == ids(type="customer.updated", state="stale")
    monkeypatch.setattr("stripe_mongo_sync.sync.operator.inbox_admin.SEARCHED", 8)
    newest = ids()[:8]
    assert [id for id in walk(ann, "/events?type=*.updated", entry) if id in newest] == newest[1:]
    assert ann.see("/events", after="evt_nothing").status_code == 422


# --- deliveries ---


@pytest.mark.parametrize(("state", "way"), [("", 1), ("dead", 1), ("done", -1)])
def test_a_long_list_of_deliveries_goes_on(
    app: Flask, ann: Browser, monkeypatch: pytest.MonkeyPatch, state: str, way: int
) -> None:
    monkeypatch.setattr("stripe_mongo_sync.ops.pages.PAGE", 3)
    for number in range(17):
        # Without one is the delivery of an event of another account.
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number // 5) if number > 4 else None
        row = delivery(DeliveryState.DEAD, number)
        set = {"occurred_at": at, **({"state": state} if state else {"state": ("dead", "pending")[number % 2]})}
        Delivery.own_rows().update_one({"_id": row.id}, {"$set": set})
    never = datetime.min.replace(tzinfo=UTC)
    rows = sorted(Delivery.objects, key=lambda row: (row.occurred_at or never, row.id), reverse=way < 0)

    seen = walk(ann, f"/deliveries?state={state}", r"""class="id" href="/ops/deliveries\?id=([^"]+)""")

    assert [unquote(id) for id in seen] == [row.id for row in rows]
    assert ann.see("/deliveries", after="x").status_code == 422


def test_deliveries_are_listed_replayed_and_dropped(app: Flask, ann: Browser, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    rows = [delivery(DeliveryState.DEAD, number) for number in range(3)]
    page = ann.see("/deliveries").text
    assert page.count("the hook raised ValueError") == 3
    assert "Nothing is done." in ann.see("/deliveries", state="done").text
    assert ann.see("/deliveries", state="odd").status_code == 422
    assert ann.see("/deliveries", id="x").status_code == 404

    ann.see("/deliveries", id=rows[0].id)
    ann.follow(ann.send("/deliveries/drop"))
    assert Delivery.objects.get(id=rows[0].id).state == "done"
    assert "drop, decided by operator ann at" in ann.see("/deliveries", id=rows[0].id).text
    ann.see("/deliveries", id=rows[1].id)
    ann.follow(ann.send("/deliveries/replay"))
    assert Delivery.objects.get(id=rows[1].id).state == "pending"
    ann.see("/deliveries")
    ann.follow(ann.send("/deliveries/replay-dead", since="2020-01-01"))
    assert Delivery.objects.get(id=rows[2].id).state == "pending"
    assert {row.decided_by for row in Delivery.objects} == {"operator ann"}
    assert caplog.text.count("ann asks to") == 3


def test_all_dead_deliveries_are_replayed_as_far_as_one_request_can(
    app: Flask, ann: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        delivery(DeliveryState.DEAD, number)
    ann.see("/deliveries")
    form = ann.page
    monkeypatch.setattr(acts, "LONGEST", -1.0)
    ann.follow(ann.send("/deliveries/replay-dead"))
    assert Delivery.objects(state=DeliveryState.DEAD).count() == 2
    assert "shop.hooks.welcome" in ann.page, "it shows what is left"

    monkeypatch.undo()
    ann.page = form
    ann.send("/deliveries/replay-dead")
    assert Delivery.objects(state=DeliveryState.DEAD).count() == 0


# --- review ---


def test_a_review_shows_both_sides_and_what_each_remedy_would_do(
    app: Flask, world: World, doubtful: Customer, ann: Browser
) -> None:
    (remote,) = world.stripe.objects("customer")
    world.stripe.dashboard.update("customer", remote["id"], name="Eve")
    assert str(doubtful.id) in ann.see("/review?all=").text
    requests = len(world.stripe.requests)

    page = ann.see(f"/review/{doubtful.id}").text

    assert {request.method for request in world.stripe.requests[requests:]} == {"GET"}
    for told in ("POST /v1/customers", "Candidate", remote["id"], "name differs", "Eve", "Ada", NAME):
        assert told in page, told
    for remedy in everything(str(doubtful.id))["remedies"]:
        for sentence in remedy["would"]:
            assert sentence.replace('"', "&#34;").replace("'", "&#39;") in page
    assert Customer.objects.get(id=doubtful.id).revision == doubtful.revision, "nothing was written"


def test_a_review_is_settled_by_a_link(
    app: Flask, world: World, doubtful: Customer, ann: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    (remote,) = world.stripe.objects("customer")
    ann.see(f"/review/{doubtful.id}")

    ann.follow(ann.send(f"/review/{doubtful.id}/link"))

    assert "It was linked." in ann.page
    assert (doubtful.fetch_latest().status, doubtful.fetch_latest().stripe_id) == (Status.ACTIVE, remote["id"])
    assert f"ann asks to link {doubtful.id}" in caplog.text
    world.converge()
    assert_in_sync(world)


def test_an_object_that_nobody_found_can_be_compared_and_linked(
    app: Flask, world: World, doubtful: Customer, ann: Browser
) -> None:
    other = world.stripe.dashboard.create("customer", name="Another", email=NAME)
    world.webhooks()

    page = ann.see(f"/review/{doubtful.id}", stripe_id=other["id"]).text
    assert "Given by you" in page or "Candidate" in page
    assert "Link" in page
    assert "Stripe does not have it" in ann.see(f"/review/{doubtful.id}", stripe_id="cus_nothing").text
    assert ann.see(f"/review/{doubtful.id}", stripe_id="\u200b").status_code == 200


def test_a_form_that_was_made_for_another_state_does_nothing(
    app: Flask, world: World, doubtful: Customer, ann: Browser
) -> None:
    """Otherwise it would give up what was staged after a colleague had settled the review."""
    ann.see(f"/review/{doubtful.id}")
    (made,) = world.stripe.objects("customer")
    operations.link(str(doubtful.id), made["id"])
    world.stripe.fault("cut_before", method="POST", times=10)
    with suppress(sync.SyncError):
        sync.update("customer", NAME, phone="+49 30 1234")

    response = ann.send(f"/review/{doubtful.id}/roll-back")

    assert (response.status_code, "has changed since the page was loaded" in response.text) == (409, True)
    assert doubtful.fetch_latest().operation is not None


def test_a_review_is_settled_by_a_roll_back(app: Flask, world: World, doubtful: Customer, ann: Browser) -> None:
    ann.see(f"/review/{doubtful.id}")

    ann.follow(ann.send(f"/review/{doubtful.id}/roll-back"))

    assert doubtful.fetch_latest().status == Status.ROLLED_BACK
    assert ann.see(f"/review/{doubtful.id}").status_code == 200


def test_a_retry_shows_how_it_is_then_and_what_is_not_possible_says_why(
    app: Flask, world: World, doubtful: Customer, ann: Browser
) -> None:
    ann.see(f"/review/{doubtful.id}")
    form = ann.page
    ann.follow(ann.send(f"/review/{doubtful.id}/retry"))
    assert "It was tried again" in ann.page
    assert "In review" in ann.page

    ann.page = form
    assert ann.send(f"/review/{doubtful.id}/roll-back").status_code == 409, "it is not as the form was made for"
    ann.see(f"/review/{doubtful.id}")
    form = ann.page
    for stripe_id, code in (("", 422), ("cus_nothing", 409)):
        ann.page = form
        assert ann.send(f"/review/{doubtful.id}/link", stripe_id=stripe_id).status_code == code
    ann.page = form
    assert ann.send(f"/review/{doubtful.id}/roll-back").status_code == 303
    ann.page = form
    assert ann.send(f"/review/{doubtful.id}/roll-back").status_code == 409
    assert ann.see("/review/nothing").status_code == 404


def test_while_stripe_does_not_answer_the_page_says_so(
    app: Flask, world: World, doubtful: Customer, ann: Browser
) -> None:
    world.stripe.fault("cut_before", method="GET", times=None)

    page = ann.see(f"/review/{doubtful.id}")

    assert page.status_code == 200
    assert "Stripe could not be asked" in page.text
    assert "It cannot be told what this would do" in page.text


# --- every question is of an index ---


class Asked(Listener):
    """Keeps what MongoDB was asked."""

    def __init__(self) -> None:
        self.commands: list[dict[str, Any]] = []

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name in ("find", "aggregate", "count", "findAndModify", "update", "delete"):
            self.commands.append({name: event.command[name] for name in event.command if name not in OF_SESSION})


OF_SESSION = ("lsid", "$db", "$clusterTime", "$readPreference", "txnNumber", "maxTimeMS", "writeConcern")
ANY_ROW = [{"$match": {}}, {"$limit": 1}]  # of all rows, the first
SMALL = ("sync_state",)  # it holds some values by their names


def plans(command: dict[str, Any]) -> Iterator[str]:
    """Yield what MongoDB says how it answers a command, and each part of a union as a question of its own."""
    if "aggregate" not in command:
        yield json.dumps(our_database().command("explain", command, verbosity="queryPlanner"), default=str)
        return
    pipeline = command["pipeline"]
    unions = [stage["$unionWith"] for stage in pipeline if "coll" in stage.get("$unionWith", ())]
    rest = [stage for stage in pipeline if "$unionWith" not in stage]
    if command["aggregate"] != 1 and rest[:2] != ANY_ROW:
        alone = {**command, "pipeline": rest, "cursor": {}}
        yield json.dumps(our_database().command("explain", alone, verbosity="queryPlanner"), default=str)
    for union in unions:
        yield from plans({"aggregate": union["coll"], "pipeline": union["pipeline"], "cursor": {}})


def test_every_question_of_the_page_is_a_scan_of_an_index(world: World, doubtful: Customer, dead: Event) -> None:
    asked, ann = listening(world)
    user = Customer.objects.first()
    delivery(DeliveryState.DEAD, document=user.id)
    asked.commands.clear()

    for path in (
        *("/", "/documents", "/documents?kind=customer&status=active", f"/documents?kind=invoice&customer={user.id}"),
        *(f"/documents/customer/{user.id}", f"/documents/customer/{doubtful.id}"),
        *(f"/search?q={text}" for text in (NAME, user.stripe_id, user.id, dead.id, user.creation_key, "a:b:c", "x y")),
        *("/events", "/events?state=dead", "/events?type=customer.*", "/events?object=cus_1", f"/events/{dead.id}"),
        *(
            "/deliveries",
            "/deliveries?state=dead",
            "/deliveries?id=x",
            "/review",
            "/review?all=",
            f"/review/{doubtful.id}",
        ),
    ):
        assert ann.see(path).status_code in (200, 302, 404), path
    commands = [*asked.commands]
    assert len(commands) > 60

    assert_by_indexes(commands)


def test_every_question_of_a_next_page_is_a_scan_of_an_index(
    world: World, doubtful: Customer, dead: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stripe_mongo_sync.ops.pages.PAGE", 1)
    asked, ann = listening(world)
    user, known = Customer.objects.first(), sync.create_customer("known@here.com")
    for number in range(3):
        delivery(DeliveryState.DEAD, number, document=user.id)
        sync.create(kinds()["invoice"], {"customer": str(known.id)})
    for row in (delivery(DeliveryState.PENDING, number) for number in (4, 5)):
        row.succeed()
    other = sync.create_customer("another@here.com")
    assert other.send_to_review("which one?")
    world.stripe.dashboard.update("customer", known.stripe_id, name="changed there")
    world.deliver()

    for place in (
        *("/documents", "/documents?kind=invoice&status=active", f"/documents?kind=invoice&customer={known.id}"),
        *("/events", "/events?state=applied", "/events?type=*.created", f"/events?object={known.stripe_id}"),
        *("/deliveries", "/deliveries?state=dead", "/deliveries?state=done", "/review", "/review?all="),
    ):
        ann.see(place)
        asked.commands.clear()
        found = re.search(r'rel="next" href="/ops([^"]+)"', ann.page)
        assert found, place
        assert ann.see(found[1].replace("&amp;", "&")).status_code == 200

        assert len(asked.commands) > 1
        assert_by_indexes(asked.commands)


def test_every_question_of_an_act_is_a_scan_of_an_index(world: World, doubtful: Customer, dead: Event) -> None:
    asked, ann = listening(world)
    rows = [delivery(DeliveryState.DEAD, number).id for number in range(3)]
    (made,) = [each for each in world.stripe.objects("customer") if each["email"] == NAME]
    given_up = sync.create_customer("another@here.com")
    assert given_up.send_to_review("which one?")

    for page, act, given in (
        (f"/events/{dead.id}", f"/events/{dead.id}/replay", {}),
        (f"/deliveries?id={rows[0]}", "/deliveries/drop", {}),
        (f"/deliveries?id={rows[1]}", "/deliveries/replay", {}),
        ("/deliveries", "/deliveries/replay-dead", {}),
        ("/deliveries", "/deliveries/replay-dead", {"since": "2020-01-01"}),
        ("/events", "/events/replay-dead", {}),
        ("/events", "/events/replay-dead", {"since": "2020-01-01"}),
        (f"/events/{dead.id}", f"/events/{dead.id}/ignore", {}),
        (f"/review/{given_up.id}", f"/review/{given_up.id}/roll-back", {}),
        (f"/review/{doubtful.id}", f"/review/{doubtful.id}/retry", {}),
        (f"/review/{doubtful.id}", f"/review/{doubtful.id}/link", {"stripe_id": made["id"], "force": "yes"}),
    ):
        Event.own_rows().update_one({"_id": dead.id}, {"$set": {"state": "dead", "due_at": None}})
        Delivery.own_rows().update_many({}, {"$set": {"state": "dead", "dead_at": clock.now()}})
        ann.see(page)
        asked.commands.clear()
        assert ann.send(act, **given).status_code in (200, 303), act

        assert any("findAndModify" in command or "update" in command for command in asked.commands), act
        assert_by_indexes(asked.commands)


def listening(world: World) -> tuple[Asked, Browser]:
    """What MongoDB is asked from now on, and an operator at the page."""
    asked = Asked()
    world.listeners = (asked,)
    world.settings["API_TOKENS"] = TOKENS
    world.start()
    ann = Browser(create_app(world.read, api=False, ops=True))
    ann.log_in(ANN)
    return asked, ann


def assert_by_indexes(commands: list[dict[str, Any]]) -> None:
    for command in [*commands]:
        for plan in plans(command) if next(iter(command.values())) not in SMALL else ():
            assert "COLLSCAN" not in plan, command
