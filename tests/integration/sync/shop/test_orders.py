"""Orders: one sale, one payment, two documents; the order follows its payment, whatever happens in between."""

from typing import Any

import pytest
from bson import ObjectId
from pymongo.errors import PyMongoError

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import CheckoutSession, Order, PaymentIntent, Price, Refund, Status
from stripe_mongo_sync.models.order import PaymentStatus
from stripe_mongo_sync.sync.engine import saga
from stripe_mongo_sync.sync.operator import operations
from stripe_mongo_sync.sync.shop import orders
from tests.support import samples
from tests.support.answers import problem
from tests.support.in_sync import assert_in_sync
from tests.support.world import World

VISA, DECLINED = "pm_card_visa", "pm_card_visa_chargeDeclined"


def checkout(**fields: Any) -> Order:
    """Two things of 9.90 each, to be paid on Stripe's page."""
    return sync.create_order(**{**samples.body("order"), **fields})


def intent(**fields: Any) -> Order:
    """The same, to be paid in the shop's own page."""
    body = {name: value for name, value in samples.body("order").items() if name != "success_url"}
    return sync.create_order(**{**body, "payment": "payment_intent", **fields})


def session_of(order: Order) -> str:
    assert order.checkout_session is not None
    return order.checkout_session


def settle(world: World) -> None:
    world.deliver()
    world.converge()
    assert_in_sync(world)


def test_an_order_is_paid_by_checkout(world: World) -> None:
    order = checkout()
    assert (order.status, order.payment_status) == (Status.ACTIVE, PaymentStatus.AWAITING_PAYMENT)
    assert (order.amount_total, order.currency) == (1980, "eur")
    assert (order.url or "").startswith("https://checkout.stripe.com/")

    world.stripe.pay_session(session_of(order), VISA)
    world.deliver()

    paid = order.fetch_latest()
    assert (paid.payment_status, paid.url) == (PaymentStatus.PAID, None)
    assert paid.payment_intent is not None
    assert paid.confirmed_at is not None
    settle(world)


def test_an_order_is_paid_by_an_intent_that_the_browser_confirms(world: World) -> None:
    order = intent()
    assert order.payment_status == PaymentStatus.AWAITING_PAYMENT
    assert order.client_secret is not None

    payment = PaymentIntent.by_stripe_id(order.payment_intent or "")
    assert payment is not None
    sync.act(payment, "confirm", {"payment_method": VISA, "return_url": "https://shop.example/"})

    assert order.fetch_latest().payment_status == PaymentStatus.PAID, "no webhook was needed"
    settle(world)


def test_an_order_with_a_payment_method_is_charged_at_once(world: World) -> None:
    assert intent(payment_method=VISA).payment_status == PaymentStatus.PAID

    settle(world)


@pytest.mark.fault("89")
def test_a_declined_order_is_402_and_its_payment_may_be_confirmed_again(world: World) -> None:
    body = {**samples.body("order"), "payment": "payment_intent", "payment_method": DECLINED}
    del body["success_url"]

    told = problem(world.http.post("/orders", json=body), 402, "declined")

    assert told["document"]["kind"] == "order"
    assert (told["document"]["status"], told["document"]["payment_status"]) == ("active", "failed")
    assert told["document"]["error"]["code"] == "card_declined"
    order = Order.objects.get()
    payment = PaymentIntent.by_stripe_id(order.payment_intent)
    assert payment is not None
    sync.act(payment, "confirm", {"payment_method": VISA})
    paid = order.fetch_latest()
    assert (paid.payment_status, paid.error) == (PaymentStatus.PAID, None)
    settle(world)


def test_a_card_that_checkout_declines_leaves_the_order_open_for_another(world: World) -> None:
    order = checkout()

    world.stripe.pay_session(session_of(order), DECLINED)
    world.deliver()
    assert order.fetch_latest().payment_status == PaymentStatus.AWAITING_PAYMENT

    world.stripe.pay_session(session_of(order), VISA)
    world.deliver()
    assert order.fetch_latest().payment_status == PaymentStatus.PAID
    settle(world)


def test_refunds_count_whoever_makes_them(world: World) -> None:
    order = checkout()
    world.stripe.pay_session(session_of(order), VISA)
    world.deliver()
    paid = order.fetch_latest()

    sync.create(Refund, {"payment_intent": paid.payment_intent, "amount": 980})
    part = order.fetch_latest()
    assert (part.payment_status, part.amount_refunded) == (PaymentStatus.PARTIALLY_REFUNDED, 980)

    world.stripe.dashboard.create("refund", payment_intent=paid.payment_intent)
    world.deliver()
    whole = order.fetch_latest()
    assert (whole.payment_status, whole.amount_refunded) == (PaymentStatus.REFUNDED, 1980)
    settle(world)


def test_a_session_that_nobody_pays_expires_and_so_does_its_order(world: World) -> None:
    order = checkout()

    world.advance(hours=25)
    world.deliver()

    expired = order.fetch_latest()
    assert (expired.payment_status, expired.url) == (PaymentStatus.EXPIRED, None)
    settle(world)


@pytest.mark.parametrize(("make", "ends"), [(checkout, PaymentStatus.EXPIRED), (intent, PaymentStatus.CANCELED)])
def test_an_order_can_be_canceled_until_it_is_paid(world: World, make: Any, ends: PaymentStatus) -> None:
    order = make()

    response = world.http.post(f"/orders/{order.id}/cancel", json={})

    assert (response.status_code, response.json["payment_status"]) == (200, ends)
    settle(world)


def test_a_paid_order_cannot_be_canceled(world: World) -> None:
    order = intent(payment_method=VISA)

    problem(world.http.post(f"/orders/{order.id}/cancel", json={}), 422, "refused")

    assert order.fetch_latest().payment_status == PaymentStatus.PAID


@pytest.mark.fault("90")
def test_a_lost_reply_leaves_an_order_pending_until_its_buyer_has_paid(world: World) -> None:
    ready = samples.body("order")
    world.stripe.fault("cut_after", method="POST", times=2)
    order = sync.create_order(**ready)
    assert (order.status, order.payment_status) == (Status.PENDING, PaymentStatus.PENDING)
    (session,) = world.stripe.objects("checkout.session")

    world.stripe.pay_session(session["id"], VISA)  # its address was lost, but a page may have shown it
    world.deliver()

    assert order.fetch_latest().payment_status == PaymentStatus.PAID, "the mark tells whose session it is"
    settle(world)


@pytest.mark.fault("90")
def test_a_session_with_the_mark_but_of_another_price_pays_for_nothing(world: World) -> None:
    ready = samples.body("order")
    world.stripe.fault("cut_before", method="POST", times=2)
    order = sync.create_order(**ready)
    mark = CheckoutSession.objects.get().client_reference_id
    other = [{"price": samples.create("price", "other").stripe_id, "quantity": 2}]
    forged = world.stripe.dashboard.create(
        "checkout.session",
        mode="payment",
        success_url="https://elsewhere.example/",
        line_items=other,
        client_reference_id=mark,
    )
    world.stripe.pay_session(forged["id"], VISA)
    world.deliver()

    assert order.fetch_latest().payment_status == PaymentStatus.PENDING
    assert forged["id"] in (CheckoutSession.objects.get(id=order.payment_id).review_reason or "")


@pytest.mark.fault("89")
def test_an_intent_of_another_amount_pays_for_nothing(world: World) -> None:
    order = intent()
    payment = PaymentIntent.by_stripe_id(order.payment_intent or "")
    assert payment is not None
    world.stripe.dashboard.update("payment_intent", order.payment_intent or "", amount=50)

    sync.act(payment, "confirm", {"payment_method": VISA, "return_url": "https://shop.example/"})

    doubtful = order.fetch_latest()
    assert doubtful.payment_status == PaymentStatus.AWAITING_PAYMENT
    assert "asks for 50 eur" in (doubtful.review_reason or "")
    assert world.reconcile().exit_code == 1


def test_an_order_whose_payment_was_never_staged_is_taken_up_by_reconcile(world: World) -> None:
    ready = samples.body("order")
    world.reconcile()
    order = abandoned(ready)

    world.advance(minutes=5)
    world.reconcile()

    assert order.fetch_latest().payment_status == PaymentStatus.AWAITING_PAYMENT
    settle(world)


def test_an_order_whose_payment_was_never_staged_is_given_up_when_it_is_too_late_to_charge(world: World) -> None:
    ready = samples.body("order")
    del ready["success_url"]
    world.reconcile()
    order = abandoned({**ready, "payment": "payment_intent", "payment_method": VISA})

    world.advance(minutes=20)
    world.reconcile()

    given_up = order.fetch_latest()
    assert (given_up.status, given_up.payment_status) == (Status.ROLLED_BACK, PaymentStatus.FAILED)
    assert world.stripe.objects("payment_intent") == []
    late = orders.follow(order)
    assert late.status == Status.ROLLED_BACK, "a creator that wakes up late finds its place taken"
    assert world.stripe.objects("payment_intent") == []
    settle(world)


def abandoned(ready: dict[str, Any]) -> Order:
    """An order whose creator died before it staged the payment."""
    values = saga.resolved(Order, saga.validate(Order, ready, "create"), "create")
    id = ObjectId()
    completed, operation = saga.plan.dispatch(Order)(Order, id, values, None)
    return Order.stage(completed, operation, id=id, request=None)


def canceling(order: Order) -> None:
    """Begin to cancel an order, and die before its payment is ended."""
    call = [saga.Call("", {})]
    assert order.begin(saga.build_operation(Order, order.id, "cancel", call)) is not None


@pytest.mark.fault("89")
def test_a_payment_that_is_gone_ends_its_order_and_no_run(world: World) -> None:
    order = intent()
    canceling(order.fetch_latest())
    payment = PaymentIntent.objects.get(id=order.payment_id)
    assert payment.update_if_unchanged("test", status=Status.DELETED) is not None

    ended = orders.follow(order.fetch_latest())

    assert ended.status == Status.ROLLED_BACK


def test_a_database_that_fails_while_an_order_is_canceled_is_told_as_such(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.reconcile()
    order = intent()
    canceling(order.fetch_latest())
    world.advance(minutes=5)

    def fails(*_: object) -> None:
        raise PyMongoError("gone")

    with monkeypatch.context() as broken:
        broken.setattr(PaymentIntent, "begin", fails)
        with pytest.raises(PyMongoError):  # and not what only a caller of the API could make sense of
            world.reconcile()

    world.advance(minutes=5)
    world.reconcile()
    assert order.fetch_latest().payment_status == PaymentStatus.CANCELED


def test_an_order_whose_payment_is_in_review_is_too_and_follows_what_a_person_decides(world: World) -> None:
    ready = samples.body("order")
    del ready["success_url"]
    world.reconcile()
    world.stripe.fault("cut_before", method="POST", times=2)
    order = sync.create_order(**{**ready, "payment": "payment_intent", "payment_method": VISA})
    world.advance(hours=1)
    assert world.reconcile().exit_code == 1
    world.advance(hours=1)
    world.reconcile()
    assert "in review" in (order.fetch_latest().review_reason or "")

    operations.roll_back(str(order.payment_id))

    assert order.fetch_latest().status == Status.ROLLED_BACK
    settle(world)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"username": "nobody@here.com"}, "username"),
    ({"items": []}, "items"),
    ({"items": [{"price": "price_unknown", "quantity": 1}]}, "items.0.price"),
    ({"items": "all"}, "items"),
    ({"payment": "cash"}, "payment"),
    ({"success_url": None}, "success_url"),
    ({"payment_method": VISA}, "payment_method"),
    ({"payment": "payment_intent"}, "success_url"),
    ({"amount_total": 1}, "amount_total"),
    ({"payment_status": "paid"}, "payment_status"),
]


def test_a_bad_order_is_refused_by_name(world: World) -> None:
    body = samples.body("order")
    for change, field in BAD:
        told = problem(world.http.post("/orders", json={**body, **change}), 422, "invalid")

        assert field in told["errors"]
        assert Order.objects.count() == CheckoutSession.objects.count() == 0


def test_items_are_of_one_currency_and_none_of_them_recurs(world: World) -> None:
    ready = samples.body("order")
    price = samples.body("price", "other")
    dollars, _ = sync.create(Price, {**price, "currency": "usd"})
    monthly, _ = sync.create(Price, {**price, "recurring": {"interval": "month"}})

    two = [*ready["items"], {"price": str(dollars.id), "quantity": 1}]
    told = problem(world.http.post("/orders", json={**ready, "items": two}), 422, "invalid")
    assert "several currencies" in told["errors"]["items"]
    recurs = [{"price": str(monthly.id), "quantity": 1}]
    told = problem(world.http.post("/orders", json={**ready, "items": recurs}), 422, "invalid")
    assert "recurs" in told["errors"]["items.0.price"]


def test_an_order_is_neither_changed_nor_deleted(world: World) -> None:
    order = checkout()

    problem(world.http.patch(f"/orders/{order.id}", json={"items": []}), 422, "invalid")
    told = problem(world.http.delete(f"/orders/{order.id}"), 422, "not-deletable")
    assert "its actions are cancel, refund" in told["detail"]


def test_the_same_key_gives_the_same_order(world: World) -> None:
    body = samples.body("order")

    first = world.http.post("/orders", json=body, headers={"Idempotency-Key": "order-1"})
    again = world.http.post("/orders", json=body, headers={"Idempotency-Key": "order-1"})

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json["id"] == again.json["id"]
    assert len(world.stripe.objects("checkout.session")) == 1


def test_an_order_whose_payment_was_declined_is_recomputed_once(world: World) -> None:
    """Its failure has parts that are None, which MongoDB does not store: they are no difference."""
    samples.create("order")
    world.deliver()
    world.stripe.fault("decline", method="POST")
    with pytest.raises(sync.Refused):
        sync.act(CheckoutSession.objects.get(), "expire", {})
    world.converge()

    report = world.reconcile(full=True)

    assert (report.counts["drift"], report.counts["edited"]) == (0, 0)
    assert_in_sync(world)
