"""Refunds by line: what was really paid for a line, never more than is left, and no line twice."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Order, Refund, Status
from stripe_mongo_sync.models.base.input import Invalid
from stripe_mongo_sync.models.order import PaymentStatus, RefundedLine
from stripe_mongo_sync.sync.errors import CannotReadStripe, InProgress, KeyReused, NotPossible, Refused
from stripe_mongo_sync.sync.operator import operations
from stripe_mongo_sync.sync.shop.refunds import Sold, choose
from stripe_mongo_sync.sync.stripe.gateway import Gateway
from tests.support import samples
from tests.support.answers import problem
from tests.support.in_sync import assert_in_sync
from tests.support.world import World

ONE = {"quantity": 1}


def bought(world: World, *quantities: int, payment: str = "payment_intent", **fields: Any) -> Order:
    """A paid order of so many of prices of 9.90."""
    items = [{"price": str(samples.create("price", f"p{n}").id), "quantity": q} for n, q in enumerate(quantities)]
    if payment == "payment_intent":
        order = sync.create_order(**{**samples.paid_order(), "items": items or samples.items("sample"), **fields})
    else:
        order = sync.create_order(**{**samples.body("order"), "items": items, **fields})
        world.stripe.pay_session(order.checkout_session or "")
    world.deliver()
    return order.fetch_latest()


def settle(world: World) -> None:
    world.deliver()
    world.converge()
    assert_in_sync(world)


def lines(order: Order) -> list[tuple[str, int, int]]:
    """What the order says was refunded: price, quantity, amount."""
    return [(line.price, line.quantity, line.amount) for line in order.fetch_latest().refunded_lines]


def test_a_line_of_an_intent_is_refunded_at_its_price(world: World) -> None:
    order = bought(world, 3, 1)
    first, second = (item.price for item in order.items)

    part = sync.refund_order(order, [{"price": first, "quantity": 2}], reason="requested_by_customer")

    refund = Refund.objects.get()
    assert (refund.amount, refund.reason, refund.payment_intent) == (
        1980,
        "requested_by_customer",
        order.payment_intent,
    )
    assert (part.operation, part.payment_status) == (None, PaymentStatus.PARTIALLY_REFUNDED)
    assert lines(order) == [(first, 2, 1980)]
    whole = sync.refund_order(order)
    assert (whole.payment_status, whole.amount_refunded) == (PaymentStatus.REFUNDED, 3960)
    assert sorted(lines(order)) == sorted([(first, 3, 2970), (second, 1, 990)])
    settle(world)


def test_a_line_of_a_session_is_refunded_as_stripe_computed_it(world: World) -> None:
    order = bought(world, 2, 1, payment="checkout")
    remote = world.http.post(f"/orders/{order.id}/refund", json={"lines": [{"price": order.items[0].price, **ONE}]})

    assert remote.status_code == 200
    [line] = remote.json["refunded_lines"]
    assert (line["price"], line["quantity"], line["amount"]) == (order.items[0].price, 1, 990)
    assert line["line"].startswith("li_")
    again = sync.refund_order(order.id, [{"line": line["line"]}])
    assert (again.amount_refunded, again.refunded_lines[0].quantity) == (1980, 2)
    with pytest.raises(Invalid, match="none is left"):
        sync.refund_order(order, [{"line": line["line"]}])
    settle(world)


def test_a_line_is_refunded_with_its_discount_and_tax_and_the_rest_has_the_shipping(world: World) -> None:
    coupon = sync.create("coupon", percent_off=50, duration="once")
    vat = sync.create("tax_rate", display_name="VAT", percentage=10, inclusive=False)
    fixed = {"type": "fixed_amount", "fixed_amount": {"amount": 490, "currency": "eur"}}
    post = {"shipping_rate_data": {"display_name": "Post", **fixed}}
    price = samples.items("sample")[0]["price"]
    order = sync.create_order(
        **{
            **samples.body("order"),
            "items": [{"price": price, "quantity": 3, "tax_rates": [str(vat.id)]}],
            "discounts": [{"coupon": str(coupon.id)}],
            "shipping_options": [post],
        }
    )
    world.stripe.pay_session(order.checkout_session or "")
    world.deliver()
    of_line = 1485 + 149  # half of 3 x 9.90, and 10 % of that, each rounded half up
    assert order.fetch_latest().amount_total == of_line + 490

    part = sync.refund_order(order, [{"price": price, "quantity": 2}])
    whole = sync.refund_order(order)

    assert part.amount_refunded == of_line * 2 // 3
    assert (whole.amount_refunded, whole.payment_status) == (of_line + 490, PaymentStatus.REFUNDED)
    assert lines(order) == [(order.items[0].price, 3, of_line)], "the shipping is of no line"
    settle(world)


def test_the_same_key_is_one_refund_and_another_body_is_an_error(world: World) -> None:
    order = bought(world, 3)
    given = {"lines": [{"price": order.items[0].price, **ONE}]}

    for _ in range(2):
        answer = world.http.post(f"/orders/{order.id}/refund", json=given, headers={"Idempotency-Key": "once"})
        assert (answer.status_code, answer.json["amount_refunded"]) == (200, 990)

    other = {"lines": [{"price": order.items[0].price, "quantity": 2}]}
    response = world.http.post(f"/orders/{order.id}/refund", json=other, headers={"Idempotency-Key": "once"})
    problem(response, 422, "key-reused")
    sync.refund_order(order, given["lines"], idempotency_key="in process")
    sync.refund_order(order, given["lines"], idempotency_key="in process")
    assert order.fetch_latest().amount_refunded == 1980
    second = bought(world, 1, username=samples.payer("other").username)
    with pytest.raises(KeyReused):
        sync.refund_order(second, idempotency_key="in process")
    settle(world)


def test_two_at_once_refund_a_line_once(world: World) -> None:
    order = bought(world, 1)

    def once(n: int) -> str:
        try:
            return (
                "done" if sync.refund_order(order, [{"price": order.items[0].price}]).operation is None else "pending"
            )
        except (InProgress, Invalid, NotPossible) as error:
            return type(error).__name__

    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(once, range(4)))

    assert told.count("done") == 1
    assert len(world.stripe.objects("refund")) == 1
    assert lines(order) == [(order.items[0].price, 1, 990)]
    settle(world)


def test_a_refund_of_the_dashboard_reduces_what_is_left(world: World) -> None:
    order = bought(world, 2)
    world.stripe.dashboard.create("refund", payment_intent=order.payment_intent, amount=1500)
    world.deliver()

    part = sync.refund_order(order, [{"price": order.items[0].price, **ONE}])

    assert part.amount_refunded == 1980, "not more than was left"
    assert lines(order) == [(order.items[0].price, 1, 480)]
    with pytest.raises(NotPossible, match="Nothing is left"):
        sync.refund_order(order, [{"price": order.items[0].price, **ONE}])
    settle(world)


def test_a_refund_that_fails_frees_its_lines(world: World) -> None:
    order = bought(world, 1, payment_method="pm_card_refundFail")
    sync.refund_order(order)
    refund = Refund.objects.get()
    assert lines(order) == [(order.items[0].price, 1, 990)]

    world.advance(hours=2)
    world.deliver()

    assert refund.fetch_latest().stripe_status == "failed"
    assert lines(order) == []
    assert sync.refund_order(order).amount_refunded == 990
    settle(world)


def test_a_refused_refund_leaves_the_order_as_it_was_and_the_same_key_says_so_again(world: World) -> None:
    order = bought(world, 2)
    world.stripe.dispute(order.payment_intent or "")  # without its webhook

    for _ in range(2):
        with pytest.raises(Refused) as refused:
            sync.refund_order(order, [{"price": order.items[0].price, **ONE}], idempotency_key="refused")
        assert refused.value.code == "charge_disputed"

    now = order.fetch_latest()
    assert (now.operation, now.refunded_lines, now.error and now.error.code) == (None, [], "charge_disputed")
    assert [refund.status for refund in Refund.objects] == [Status.ROLLED_BACK]
    settle(world)


def test_while_the_outcome_is_unknown_the_order_takes_no_second_refund(world: World) -> None:
    order = bought(world, 2)
    given = [{"price": order.items[0].price, **ONE}]
    world.stripe.fault("cut_after", method="POST", times=2)

    pending = sync.refund_order(order, given, idempotency_key="k")
    assert pending.operation is not None
    assert sync.refund_order(order, given, idempotency_key="k").operation is not None, "the same call"
    with pytest.raises(InProgress):
        sync.refund_order(order, given)

    world.deliver()
    assert (order.fetch_latest().operation, lines(order)) == (None, [(order.items[0].price, 1, 990)])
    settle(world)


def test_a_refund_in_review_holds_its_order_until_it_is_decided(world: World) -> None:
    order = bought(world, 2)
    world.reconcile()
    world.stripe.fault("cut_before", method="POST", times=2)
    sync.refund_order(order)
    world.advance(hours=1)

    world.reconcile()
    world.advance(minutes=5)
    world.reconcile()

    refund = Refund.objects.get()
    assert refund.review_reason is not None
    held = order.fetch_latest()
    assert held.review_reason == f"its refund {refund.id} is in review"
    operations.roll_back(str(refund.id))
    free = order.fetch_latest()
    assert (free.review_reason, free.operation, free.refunded_lines) == (None, None, [])
    assert free.error is not None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"lines": [{"price": "price_unknown"}]}, "lines.0.price"),
        ({"lines": [{"line": "li_unknown"}]}, "lines.0"),
        ({"lines": [{}]}, "lines.0"),
        ({"lines": [{"line": "li_x", "price": "PRICE"}]}, "lines.0"),
        ({"lines": [{"price": "PRICE", "quantity": 3}]}, "lines.0.quantity"),
        ({"lines": [{"price": "PRICE", "quantity": 0}]}, "lines.0.quantity"),
        ({"lines": [{"price": "PRICE", "quantity": -1}]}, "lines.0.quantity"),
        ({"lines": [{"price": "PRICE"}, {"price": "PRICE", "quantity": 1}]}, "lines.1.quantity"),
        ({"lines": [{"price": "PRICE", "amount": 5}]}, "lines.0.amount"),
        ({"lines": []}, "lines"),
        ({"lines": [{"price": None, "line": None}]}, "lines.0"),
        ({"lines": [None]}, "lines.0"),
        ({"amount": 5}, "amount"),
        ({"reason": "bored"}, "reason"),
    ],
)
def test_a_wrong_body_names_the_field_and_refunds_nothing(world: World, body: dict[str, Any], field: str) -> None:
    order = bought(world, 2)
    for line in body.get("lines", ()):
        if line and line.get("price") == "PRICE":
            line["price"] = order.items[0].price

    told = problem(world.http.post(f"/orders/{order.id}/refund", json=body), 422, "invalid")

    assert list(told["errors"]) == [field]
    assert Refund.objects.count() == 0
    assert order.fetch_latest().operation is None


@pytest.mark.parametrize("body", [{"lines": None}, {"lines": [{"price": "PRICE", "line": None, "quantity": None}]}])
def test_null_is_as_if_it_were_not_given(world: World, body: dict[str, Any]) -> None:
    order = bought(world, 2)
    for line in body["lines"] or ():
        line["price"] = order.items[0].price

    told = world.http.post(f"/orders/{order.id}/refund", json=body)

    assert (told.status_code, told.json["amount_refunded"]) == (200, 1980)
    settle(world)


@pytest.mark.parametrize("line", [{}, {"id": "li_1"}, {"id": "li_1", "price": None, "quantity": 1}, None])
def test_a_list_of_lines_that_cannot_be_read_refunds_nothing(
    world: World, line: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = bought(world, 1, payment="checkout")
    read = Gateway.pages

    def pages(gateway: Gateway, path: str, **more: Any) -> Any:
        for page in read(gateway, path, **more):
            yield replace(page, remote={**page.remote, "data": [line]}) if "line_items" in path else page

    monkeypatch.setattr(Gateway, "pages", pages)

    with pytest.raises(CannotReadStripe, match="line_items"):
        sync.refund_order(order, [{"line": "li_1"}])

    assert (Refund.objects.count(), order.fetch_latest().operation) == (0, None)


def test_only_what_was_paid_can_be_refunded(world: World) -> None:
    order = sync.create_order(**samples.body("order"))

    with pytest.raises(NotPossible, match="awaiting_payment"):
        sync.refund_order(order)


def test_the_parts_of_a_line_add_up_to_what_was_paid() -> None:
    sold = [Sold("li_1", "price_1", 3, 1000), Sold("li_2", "price_1", 1, 1)]
    before: list[Any] = []
    amounts = []
    for _ in range(4):
        [line] = choose(sold, before, [{"price": "price_1", "quantity": 1}])
        amounts.append(line["amount"])
        rest = [each for each in before if each.line != line["line"]]
        had = next((each.quantity for each in before if each.line == line["line"]), 0)
        before = [*rest, RefundedLine(**{**line, "quantity": had + 1})]

    assert amounts == [333, 333, 334, 1]
