"""Payments: actions are operations like create, and what moves money is never repeated or undone on a guess."""

from typing import Any

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.api.resources import plural_of
from stripe_mongo_sync.models import Order, PaymentIntent, Refund, SetupIntent, Status, SyncedDocument, kinds
from stripe_mongo_sync.sync.operator import operations
from tests.support import samples
from tests.support.answers import problem
from tests.support.in_sync import assert_in_sync
from tests.support.samples import NO_REDIRECTS
from tests.support.world import World

VISA, DECLINED = "pm_card_visa", "pm_card_visa_chargeDeclined"


def payment(**fields: Any) -> SyncedDocument:
    """A payment of twenty euros."""
    body = {"amount": 2000, "currency": "eur", "automatic_payment_methods": NO_REDIRECTS}
    return sync.create(PaymentIntent, {**body, **fields})[0]


def test_a_payment_is_created_confirmed_captured_and_refunded(world: World) -> None:
    made = world.http.post(
        "/payment-intents",
        json={"amount": 2000, "currency": "eur", "automatic_payment_methods": NO_REDIRECTS, "capture_method": "manual"},
    ).json
    assert (made["status"], made["stripe_status"]) == ("active", "requires_payment_method")

    held = world.http.post(f"/payment-intents/{made['id']}/confirm", json={"payment_method": VISA})
    assert (held.status_code, held.json["stripe_status"]) == (200, "requires_capture")
    paid = world.http.post(f"/payment-intents/{made['id']}/capture", json={"amount_to_capture": 1500}).json
    assert (paid["stripe_status"], paid["amount_received"]) == ("succeeded", 1500)

    refund = world.http.post("/refunds", json={"payment_intent": made["id"], "amount": 500})
    assert (refund.status_code, refund.json["amount"]) == (201, 500)
    world.advance(seconds=30)
    world.deliver()
    world.converge()
    assert_in_sync(world)


def test_a_declined_card_leaves_a_payment_that_may_be_confirmed_again(world: World) -> None:
    response = world.http.post(
        "/payment-intents",
        json={
            "amount": 2000,
            "currency": "eur",
            "automatic_payment_methods": NO_REDIRECTS,
            "payment_method": DECLINED,
            "confirm": True,
        },
    )

    told = problem(response, 402, "declined")
    document = told["document"]
    assert (document["status"], document["stripe_status"]) == ("active", "requires_payment_method")
    assert document["error"]["code"] == "card_declined"

    again = world.http.post(f"/payment-intents/{document['id']}/confirm", json={"payment_method": VISA})
    assert (again.status_code, again.json["stripe_status"], again.json["error"]) == (200, "succeeded", None)
    world.converge()
    assert_in_sync(world)


def declined_creation(kind: str) -> dict[str, Any]:
    """The body of a creation that a bank declines."""
    if kind == "order":
        body = {**samples.body("order"), "payment": "payment_intent", "payment_method": DECLINED}
        del body["success_url"]
        return body
    amount = {"amount": 2000, "currency": "eur"} if kind == "payment_intent" else {}
    return {**amount, "automatic_payment_methods": NO_REDIRECTS, "payment_method": DECLINED, "confirm": True}


def intent_of(document: SyncedDocument) -> SyncedDocument:
    if not isinstance(document, Order):
        return document.fetch_latest()
    (found,) = PaymentIntent.objects(stripe_id=document.payment_intent)
    return found


@pytest.mark.parametrize("kind", ["payment_intent", "setup_intent", "order"])
@pytest.mark.parametrize("heard", [True, False], ids=["heard of by webhooks", "unheard of"])
def test_a_decline_is_told_again_to_who_repeats_it(world: World, kind: str, heard: bool) -> None:
    body, path = declined_creation(kind), f"/{plural_of(kinds()[kind])}"
    first = world.http.post(path, json=body, headers={"Idempotency-Key": "one"})
    assert "Idempotent-Replayed" not in first.headers
    told = problem(first, 402, "declined")
    if heard:
        world.deliver()

    for _ in range(2):
        again = world.http.post(path, json=body, headers={"Idempotency-Key": "one"})
        repeated = problem(again, 402, "declined")
        assert again.headers["Idempotent-Replayed"] == "true"
        assert repeated["document"]["id"] == told["document"]["id"]
        assert (repeated["code"], repeated["decline_code"]) == (told["code"], told["decline_code"])
        world.advance(hours=30)
        world.converge()

    token = kinds()[kind].objects(id=told["document"]["id"]).get().request.caller
    with pytest.raises(sync.Refused) as refused:
        sync.create(kinds()[kind], body, idempotency_key="one", token=token)
    assert (refused.value.repeated, refused.value.code) == (True, told["code"])


@pytest.mark.parametrize("kind", ["payment_intent", "setup_intent", "order"])
@pytest.mark.parametrize("where", ["here", "in the browser"])
def test_once_another_card_has_paid_the_repetition_of_a_decline_is_answered_as_it_stands(
    world: World, kind: str, where: str
) -> None:
    body, path = declined_creation(kind), f"/{plural_of(kinds()[kind])}"
    first = problem(world.http.post(path, json=body, headers={"Idempotency-Key": "one"}), 402, "declined")
    intent = intent_of(kinds()[kind].objects(id=first["document"]["id"]).get())
    world.deliver()
    if where == "here":
        sync.act(intent, "confirm", {"payment_method": VISA})
    else:
        world.advance(seconds=5)
        world.stripe.dashboard.act(intent.resource.kind, intent.stripe_id or "", "confirm", payment_method=VISA)
        world.deliver()

    again = world.http.post(path, json=body, headers={"Idempotency-Key": "one"})

    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")
    state = again.json.get("payment_status") or again.json["stripe_status"]
    assert state in ("succeeded", "paid")


def test_a_declined_confirmation_is_402_and_leaves_the_payment(world: World) -> None:
    document = payment()

    response = world.http.post(f"/payment-intents/{document.id}/confirm", json={"payment_method": DECLINED})

    assert problem(response, 402, "declined")["document"]["status"] == "active"
    world.deliver()
    world.converge()
    assert_in_sync(world)


def test_a_payment_is_canceled(world: World) -> None:
    document = payment()

    response = world.http.post(f"/payment-intents/{document.id}/cancel", json={"cancellation_reason": "abandoned"})

    assert (response.status_code, response.json["stripe_status"]) == (200, "canceled")
    refused = world.http.post(f"/payment-intents/{document.id}/cancel", json={})
    problem(refused, 422, "refused")


def test_a_lost_confirmation_is_repeated_within_fifteen_minutes_only(world: World) -> None:
    world.reconcile()
    document = payment()
    world.stripe.fault("cut_before", method="POST", times=2)
    pending = sync.act(document, "confirm", {"payment_method": VISA})
    assert pending.operation.verb == "confirm"

    world.advance(minutes=5)
    world.reconcile()

    assert document.fetch_latest().stripe_status == "succeeded"
    assert_in_sync(world)


def test_a_confirmation_that_is_too_old_to_repeat_and_was_not_done_is_left_to_a_person(world: World) -> None:
    world.reconcile()
    document = payment()
    world.stripe.fault("cut_before", method="POST", times=2)
    sync.act(document, "confirm", {"payment_method": VISA})
    world.advance(minutes=20)
    sent = len([request for request in world.stripe.requests if request.method == "POST"])

    report = world.reconcile()

    assert report.exit_code == 1
    assert document.fetch_latest().review_reason is not None
    assert len([request for request in world.stripe.requests if request.method == "POST"]) == sent
    operations.roll_back(str(document.id))
    assert world.converge().exit_code == 0
    assert_in_sync(world)


def test_a_confirmation_whose_reply_was_lost_is_found_done(world: World) -> None:
    world.reconcile()
    document = payment()
    world.stripe.fault("cut_after", method="POST", times=2)
    sync.act(document, "confirm", {"payment_method": VISA})
    world.webhooks()
    world.stripe.lag_events(10**6)
    world.advance(minutes=20)

    report = world.reconcile()

    assert (report.exit_code, report.counts["done"]) == (0, 1)
    assert document.fetch_latest().stripe_status == "succeeded"


def test_a_refund_that_may_have_happened_is_found_or_left_to_a_person(world: World) -> None:
    world.reconcile()
    paid = payment(payment_method=VISA, confirm=True)
    world.stripe.fault("cut_before", method="POST", times=2)
    refund, _ = sync.create(Refund, {"payment_intent": str(paid.id)})
    assert refund.status == Status.PENDING
    world.advance(minutes=40)

    assert world.reconcile().exit_code == 1

    assert (refund.fetch_latest().status, refund.fetch_latest().review_reason is not None) == (Status.PENDING, True)
    assert world.stripe.objects("refund") == []


def test_a_refund_made_late_is_never_undone(world: World) -> None:
    world.reconcile()
    paid = payment(payment_method=VISA, confirm=True)
    world.stripe.fault("500_repair", method="POST")
    refund, _ = sync.create(Refund, {"payment_intent": str(paid.id)})
    world.advance(minutes=40)
    world.reconcile()
    assert refund.fetch_latest().review_reason is not None
    world.stripe.repair(request={"id": None, "idempotency_key": refund.creation_key})

    world.deliver()

    assert (refund.fetch_latest().status, refund.fetch_latest().review_reason) == (Status.ACTIVE, None), (
        "evidence clears the review"
    )
    world.converge()
    assert_in_sync(world)


def test_a_card_is_made_ready_without_a_payment(world: World) -> None:
    customer = sync.create_customer("user@here.com")
    made, _ = sync.create(SetupIntent, {"customer": str(customer.id), "automatic_payment_methods": NO_REDIRECTS})

    ready = sync.act(made, "confirm", {"payment_method": VISA})

    assert ready.stripe_status == "succeeded"
    world.converge()
    assert_in_sync(world)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"amount": 10.5, "currency": "eur"}, "amount"),
    ({"amount": "10", "currency": "eur"}, "amount"),
    ({"amount": 10, "currency": "euro"}, "currency"),
    ({"amount": 10, "currency": "eur", "customer": "nobody"}, "customer"),
    ({"amount": 10, "currency": "eur", "stripe_status": "succeeded"}, "stripe_status"),
    ({"amount": 10, "currency": "eur", "confirm": "yes"}, "confirm"),
]


def test_a_bad_payment_is_refused_by_name(world: World) -> None:
    for body, field in BAD:
        told = problem(world.http.post("/payment-intents", json=body), 422, "invalid")

        assert field in told["errors"]
        assert world.stripe.objects("payment_intent") == []


def test_an_amount_that_stripe_refuses_is_refused_by_name(world: World) -> None:
    told = problem(world.http.post("/payment-intents", json={"amount": 0, "currency": "eur"}), 422, "refused")

    assert set(told["errors"]) == {"amount"}
    assert world.stripe.objects("payment_intent") == []


def test_an_action_takes_only_its_own_fields(world: World) -> None:
    document = payment()

    told = problem(world.http.post(f"/payment-intents/{document.id}/confirm", json={"amount": 1}), 422, "invalid")

    assert "amount" in told["errors"]


def test_a_payment_without_a_key_that_may_be_ours_is_named_to_the_person(world: World) -> None:
    world.reconcile()
    world.stripe.fault("500_repair", method="POST")
    document = payment(confirm=True, payment_method=None, description="of somebody")
    world.webhooks()
    world.stripe.dashboard.create(
        "payment_intent",
        amount=2000,
        currency="eur",
        description="of somebody",
        **{"automatic_payment_methods": NO_REDIRECTS},
    )
    (remote,) = world.stripe.objects("payment_intent")
    world.advance(minutes=40)

    world.reconcile()

    assert remote["id"] in document.fetch_latest().review_reason
    assert PaymentIntent.objects.count() == 1, "it is adopted by nobody while that is open"
