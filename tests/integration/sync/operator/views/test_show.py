"""What an operator is shown of one operation: all that decides about it, and nothing that is secret."""

import json
from typing import Any

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, Event, PaymentIntent, Product, kinds
from stripe_mongo_sync.sync.errors import NotFound
from stripe_mongo_sync.sync.operator import operations
from stripe_mongo_sync.sync.operator.plan import plan
from stripe_mongo_sync.sync.operator.views.show import everything
from stripe_mongo_sync.sync.stripe.dashboard import page_of
from tests.support import samples
from tests.support.answers import problem, untouched
from tests.support.world import TOKEN, World

NAME = "user@here.com"


def in_review(world: World, **fields: Any) -> Customer:
    """A creation whose object Stripe finished after a 500, and no key shows it."""
    world.stripe.fault("500_repair", method="POST")
    customer = sync.create_customer(NAME, name="Ada", **fields)
    world.webhooks()
    world.stripe.repair()
    world.deliver()
    world.advance(minutes=30)
    return customer.fetch_latest()


def remedies(told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["act"]: one for one in told["remedies"]}


def test_a_creation_in_doubt_is_shown_beside_its_candidate_and_with_each_remedy(world: World) -> None:
    customer = in_review(world)
    (remote,) = world.stripe.objects("customer")
    world.stripe.dashboard.update("customer", remote["id"], name="Eve")

    with untouched(world, may_read=True):
        told = everything(str(customer.id))

    assert (told["id"], told["status"], told["review"]) == (str(customer.id), "pending", customer.review_reason)
    assert told["customer"]["username"] == NAME
    assert told["staged"]["verb"] == "create"
    assert told["staged"]["calls"] == [
        {"method": "post", "path": "/v1/customers", "params": {"name": "Ada", "email": NAME}}
    ]
    assert told["at_stripe"]["found"] is None, "nothing is linked yet"
    (candidate,) = told["candidates"]["data"]
    assert (candidate["id"], candidate["as"], candidate["agrees"]) == (remote["id"], "candidate", ["email"])
    assert candidate["differs"] == [{"name": "name", "staged": "Ada", "at_stripe": "Eve"}]
    assert candidate["link"] == f"https://dashboard.stripe.com/test/customers/{remote['id']}"
    acts = remedies(told)
    assert acts["link"]["command"] == f"operations link {customer.id} {remote['id']} --force"
    assert f"customer {customer.id} becomes active (it is pending)" in acts["link"]["would"]
    assert f"customer {customer.id} becomes rolled_back (it is pending)" in acts["roll-back"]["would"]
    assert acts["retry"]["possible"] is True
    json.dumps(told, default=str)


def test_what_it_shows_of_a_remedy_is_its_dry_run(world: World) -> None:
    customer = in_review(world)

    told = plan(lambda: operations.roll_back(str(customer.id)))
    assert remedies(everything(str(customer.id)))["roll-back"]["would"] == told.would


def test_a_remedy_that_is_not_possible_says_why(world: World) -> None:
    world.stripe.fault("cut_before", method="POST", times=2)
    customer = sync.create_customer(NAME)

    roll_back = remedies(everything(str(customer.id)))["roll-back"]

    assert (roll_back["possible"], roll_back["would"]) == (False, [])
    assert "may still be in flight" in roll_back["why_not"]


def test_a_payment_shows_its_amount_for_people_and_for_machines_and_whose_it_is(world: World) -> None:
    customer = sync.create_customer(NAME)
    world.deliver()
    world.stripe.fault("cut_before", method="POST", times=2)
    body = {"amount": 123456, "currency": "eur", "customer": str(customer.id), "payment_method": "pm_card_visa"}
    intent, _ = sync.create(PaymentIntent, {**body, "confirm": True, "return_url": "https://shop.example"})

    told = everything(str(intent.id))

    assert told["amount"] == {"amount": 123456, "currency": "eur", "text": "1,234.56 EUR"}
    assert (told["customer"]["id"], told["customer"]["stripe_id"]) == (str(customer.id), customer.stripe_id)
    assert told["staged"]["moves_money"] is True


@pytest.mark.parametrize("payment", ["checkout", "payment_intent"])
def test_an_order_shows_what_is_sent_for_it_and_no_key(world: World, payment: str) -> None:
    world.stripe.fault("cut_before", method="POST", path="/v1/checkout/sessions", times=None)
    world.stripe.fault("cut_before", method="POST", path="/v1/payment_intents", times=None)
    price = samples.create("price")
    more = {"success_url": "https://shop.example"} if payment == "checkout" else {}
    body = {"items": [{"price": str(price.id), "quantity": 2}], "payment": payment, **more}
    order, _ = sync.create(kinds()["order"], body)

    told = everything(str(order.id))

    (call,) = told["staged"]["calls"]
    assert call["path"] in ("/v1/checkout/sessions", "/v1/payment_intents")
    assert told["amount"]["currency"] == price.currency
    assert order.creation_key not in json.dumps(told, default=str)
    assert "sms1:" not in json.dumps(told, default=str)
    assert remedies(told)["roll-back"]["possible"] is False


def test_a_change_is_shown_beside_the_object_as_it_is_now(world: World) -> None:
    customer = sync.create_customer(NAME, name="A")
    world.stripe.fault("cut_before", method="POST", times=2)
    sync.update(customer, {"name": "B"})

    at_stripe = everything(str(customer.id))["at_stripe"]

    assert (at_stripe["found"], at_stripe["object"]["name"]) == (True, "A")
    assert at_stripe["differs"] == [{"name": "name", "staged": "B", "at_stripe": "A"}]


@pytest.mark.parametrize("fault", ["cut_before", "500_before", "html_body"])
def test_when_stripe_does_not_answer_it_says_so_after_one_request(world: World, fault: str) -> None:
    customer = in_review(world)
    world.stripe.fault(fault, method="GET", times=None)
    asked = len(world.stripe.requests)

    told = everything(str(customer.id))

    assert told["candidates"]["error"]
    assert (remedies(told)["retry"]["possible"], bool(remedies(told)["retry"]["why_not"])) == (None, True)
    assert len(world.stripe.requests) - asked <= 1


def test_every_entry_of_the_list_can_be_shown(world: World, dead: Event) -> None:
    world.stripe.fault("cut_before", method="POST", times=4)
    sync.create_customer("pending")
    reviewed = samples.create("product")
    assert reviewed.send_to_review("look") is not None
    Product._get_collection().update_one({"_id": reviewed.id}, {"$set": {"metadata": "not a map", "operation": "x"}})

    entries = operations.page(limit=10)[0]

    assert {entry["status"] for entry in entries} == {"pending", "unreadable", "dead"}
    for entry in entries:
        told = everything(entry["id"])
        assert {name: told[name] for name in entry} == entry
    assert set(remedies(everything(dead.id))) == {"replay", "ignore"}
    for id in ("0123456789abcdef01234567", "nonsense", "evt_nowhere"):
        with pytest.raises(NotFound):
            everything(id)


def test_over_http_a_token_without_read_sees_no_personal_data(world: World) -> None:
    world.settings["API_TOKENS"] = f"ops:operate:{TOKEN}"
    world.start()
    customer = in_review(world)
    (remote,) = world.stripe.objects("customer")

    shown = world.http.get(f"/operations/{customer.id}")

    assert (shown.status_code, shown.json["id"]) == (200, str(customer.id))
    assert shown.json["candidates"]["data"][0]["id"] == remote["id"]
    assert NAME not in shown.text
    assert "Ada" not in shown.text
    problem(world.http.get("/operations/0123456789abcdef01234567"), 404, "not-found")
    problem(world.http.get(f"/operations/{customer.id}?raw=1"), 422, "invalid")


def test_over_http_a_token_with_read_sees_it_all_but_the_key(world: World) -> None:
    world.settings["API_TOKENS"] = f"ops:operate+read:{TOKEN}"
    world.start()
    customer = in_review(world)

    shown = world.http.get(f"/operations/{customer.id}")

    assert shown.json["customer"]["username"] == NAME
    assert customer.creation_key not in shown.text


def test_over_http_each_action_can_be_tried(world: World) -> None:
    world.settings["API_TOKENS"] = f"ops:operate:{TOKEN}"
    world.start()
    customer = in_review(world)
    (remote,) = world.stripe.objects("customer")

    with untouched(world, may_read=True):
        for action, more in (("retry", {}), ("roll-back", {}), ("link", {"stripe_id": remote["id"]})):
            tried = world.http.post(f"/operations/{customer.id}/{action}", json={"dry_run": True, **more})
            assert (tried.status_code, tried.json["dry_run"]) == (200, True)
        problem(world.http.post(f"/operations/{customer.id}/retry", json={"dry_run": "yes"}), 422, "invalid")

    done = world.http.post(f"/operations/{customer.id}/roll-back", json={"dry_run": False})
    assert done.json["status"] == "rolled_back"


def test_the_dashboard_has_a_page_of_the_kind_or_finds_the_object() -> None:
    assert page_of("payment_intent", "pi_1", livemode=True) == "https://dashboard.stripe.com/payments/pi_1"
    assert page_of("setup_intent", "seti_1", livemode=False) == "https://dashboard.stripe.com/test/search?query=seti_1"
    assert page_of("customer", "a/b?c", livemode=True) == "https://dashboard.stripe.com/customers/a%2Fb%3Fc"
