"""Refunds of an order by its lines: what was paid for a line, what of it is left, and the refund that returns it.

The order stages the refund like its payment: first the whole refund is written as the order's operation, under an id
chosen before, then that refund is staged and pushed as any other. The refund's document keeps the lines that it means,
and the order's `refunded_lines` are added up from these documents, so that a refund that fails frees its lines by
itself. While a refund of an order is pending, no second one is begun.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, NamedTuple

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from stripe_mongo_sync.models import Order, Price, Refund, Status
from stripe_mongo_sync.models.base.embedded import Call
from stripe_mongo_sync.models.base.input import Invalid, params, stored
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.clock import IDLE, DueReason, due
from stripe_mongo_sync.models.rows.sure import sure
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.engine.push import push
from stripe_mongo_sync.sync.engine.saga import act, build_operation, is_repeated, of_request, plan_action
from stripe_mongo_sync.sync.errors import TOLD, CannotReadStripe, KeyReused, NotPossible, Refused
from stripe_mongo_sync.sync.shop.documents import found
from stripe_mongo_sync.sync.shop.pricing import Unreckonable, reckon
from stripe_mongo_sync.sync.shop.standing import CAME, WENT

AGAIN = timedelta(minutes=2)  # between two reads of a refund that is pending
FAILED = ("failed", "canceled")  # the statuses of a refund that gave nothing back
Json = dict[str, Any]


class Sold(NamedTuple):
    """A line of an order, with what was paid for all of it."""

    line: str  # Stripe's id of the session's line; of an intent, the price
    price: str
    quantity: int
    amount: int


def refund_order(
    order: Order | ObjectId | str,
    lines: list[dict[str, Any]] | None = None,
    *,
    reason: str | None = None,
    idempotency_key: str | None = None,
) -> Order:
    """Refund lines of a paid order, or all that is left of it, by one ordinary refund; return the order.

    `lines` are [{"price" or "line", "quantity"}]: `line` is Stripe's id of a line of the checkout session, and without
    a quantity all of it is meant. The amount is what was paid for these lines, with their discounts and taxes, and
    never more than is left of the order: a refund without lines, such as one of the Dashboard, reduces that. The
    order's `refunded_lines` count what was refunded of each line; a refund that fails frees its lines. With
    `idempotency_key`, a repetition refunds nothing more.

    Raises NotConnected, Invalid (more of a line than is left, say), NotFound, NotPossible (it is not paid, or nothing
    is left), InProgress while another refund of the order is pending, KeyReused, Refused, CannotReadStripe or
    Unavailable.

    Example:

        order = refund_order("665f1c2e9b1d4a3f8c7e6d5b", [{"price": "price_123", "quantity": 1}])
        print(order.amount_refunded, order.refunded_lines)
    """
    current()
    body = {name: value for name, value in {"lines": lines, "reason": reason}.items() if value is not None}
    meant = order if isinstance(order, Order) else found(Order, order)
    return act(meant, "refund", body, idempotency_key=idempotency_key)


# --- plan ---


@plan_action.register
def _(order: Order, name: str, values: Json, request: Json) -> list[Call]:
    """Return what an action of an order does; for a refund, the whole refund."""
    return [Call("", _planned(order, values, request) if name == "refund" else values)]


def _planned(order: Order, values: Json, request: Json) -> Json:
    if order.payment_intent is None or order.payment_status not in (*CAME, *WENT):
        raise NotPossible(f"This order is {order.payment_status}: only what was paid can be refunded.")
    left, wanted = _left(order), values.get("lines")
    if wanted == []:
        raise Invalid({"lines": "must name a line: leave it out to refund all that is left"})
    chosen = choose(_sold(order), order.refunded_lines, wanted)
    amount = left if wanted is None else min(left, sum(line["amount"] for line in chosen))
    within = amount
    for line in chosen:  # if less is left, the last lines get less
        line["amount"] = min(line["amount"], within)
        within -= line["amount"]
    if amount <= 0:
        raise NotPossible("Nothing is left to refund.")
    reason = {"reason": values["reason"]} if values.get("reason") else {}
    body = {"payment_intent": order.payment_intent, "amount": amount, **reason}
    id, call = ObjectId(), Call(Refund.resource.path, params(Refund, body, "create"))
    return {
        "refund": id,
        "values": {**stored(Refund, body), "lines": chosen},
        "operation": build_operation(Refund, id, "create", [call]),
        "request": request,
    }


def _left(order: Order) -> int:
    """Return what was paid for an order and not refunded, nor is about to be."""
    total = order.amount_total or 0
    refunds = Refund.objects(payment_intent=order.payment_intent, status__ne=Status.ROLLED_BACK)
    back = [refund.amount for refund in refunds if refund.stripe_status not in FAILED]
    return total - sum(total if amount is None else amount for amount in back)  # without an amount, it is for all


def _sold(order: Order) -> list[Sold]:
    """Return the lines of an order, with what was paid for each. Raises CannotReadStripe, Invalid."""
    if order.checkout_session is not None:
        path = f"/v1/checkout/sessions/{order.checkout_session}/line_items"
        lines = [line for page in current().gateway.pages(path) for line in page.remote["data"]]
        try:
            return [
                Sold(each["id"], each["price"]["id"], each["quantity"] or 1, each["amount_total"]) for each in lines
            ]
        except (KeyError, TypeError) as error:
            raise CannotReadStripe(f"GET {path}: Stripe's answer lacks {error}") from error
    sold: dict[str, Sold] = {}
    for item in order.items:
        before = sold.get(item.price, Sold(item.price, item.price, 0, 0))
        try:
            amount = reckon(sure(Price.by_stripe_id(item.price)).stripe or {}, item.quantity or 1)
        except Unreckonable as why:
            raise Invalid({"lines": f"{item.price} {why}: create a refund with its amount"}) from why
        sold[item.price] = before._replace(
            quantity=before.quantity + (item.quantity or 1), amount=before.amount + amount
        )
    return list(sold.values())


def choose(sold: list[Sold], refunded: Iterable[Any], wanted: list[Json] | None) -> list[Json]:
    """Return how much of which lines is meant, with its amount; without `wanted`, all that is left. Raises Invalid.

    A price that several lines have is taken from them in their order. The parts of a line add up to what was paid for
    it, although each is a whole amount.
    """
    before = {each.line: each.quantity for each in refunded}
    left = {each.line: each.quantity - before.get(each.line, 0) for each in sold}
    taken, errors = dict.fromkeys(left, 0), dict[str, str]()
    for number, given in enumerate([{"line": line} for line in left] if wanted is None else wanted):
        want = {name: value for name, value in given.items() if value is not None}
        if ("price" in want) == ("line" in want):
            errors[f"lines.{number}"] = "must have a price or a line, and not both"
            continue
        meant = [each.line for each in sold if want.get("line", want.get("price")) in (each.line, each.price)]
        rest = sum(left[line] - taken[line] for line in meant)
        quantity = want.get("quantity", rest)
        if not meant:
            errors[f"lines.{number}"] = "this order has no such line"
        elif wanted is not None and not 1 <= quantity <= rest:
            errors[f"lines.{number}.quantity"] = f"must be from 1 to {rest}, which is left" if rest else "none is left"
        else:
            for line in meant:
                part = min(quantity, left[line] - taken[line])
                taken[line] += part
                quantity -= part
    if errors:
        raise Invalid(errors)
    return [
        {
            "line": each.line,
            "price": each.price,
            "quantity": part,
            "amount": _share(each, before.get(each.line, 0), part),
        }
        for each in sold
        if (part := taken[each.line])
    ]


def _share(sold: Sold, before: int, part: int) -> int:
    """Return what was paid for a part of a line, of which so many were refunded before."""
    return sold.amount * (before + part) // sold.quantity - sold.amount * before // sold.quantity


@is_repeated.register
def _(order: Order, request: Json) -> bool:
    """Whether the refund with this key is pending or was made. Raises KeyReused, Refused."""
    operation = order.operation
    pending = operation.params["request"] if operation is not None and operation.verb == "refund" else {}
    if all(pending.get(name) == request[name] for name in ("caller", "key")):
        if pending["digest"] != request["digest"]:
            raise KeyReused
        return True
    first = of_request(Refund, request)
    if first is not None and first.status == Status.ROLLED_BACK:
        raise Refused(order, {name: getattr(first.error, name, None) for name in TOLD})
    return first is not None


# --- stage, push, and what becomes of it ---


def stage_refund(order: Order) -> None:
    """Stage and push the refund that an order plans, unless that was done. Raises CannotReadStripe.

    If it is too late, a tombstone takes its place.
    """
    planned = sure(order.operation).params
    if Refund.objects(id=planned["refund"]).first() is not None:
        return
    why = "It was not sent in time, and nothing was refunded."
    if order.facts(clock.now()).replayable:
        try:
            push(
                Refund.stage(planned["values"], planned["operation"], id=planned["refund"], request=planned["request"])
            )
            return
        except DuplicateKeyError:  # it was staged by another process meanwhile, or is the key of another order's
            why = KeyReused.says
    if Refund.objects(id=planned["refund"]).first() is None:
        Refund.insert_tombstone(planned["refund"], {"type": "rolled-back", "code": None, "message": why})


def ending(order: Order) -> Json:
    """Return the fields of an order that follow from its pending refund: what ends it, once that is settled."""
    operation = sure(order.operation)
    refund = Refund.objects(id=operation.params["refund"]).first()
    if refund is None:
        return {}  # whoever stages it holds the order
    if refund.status == Status.PENDING and refund.review_reason is not None:
        return {"review_reason": f"its refund {refund.id} is in review", **IDLE}
    if refund.status == Status.PENDING:
        return due(DueReason.PAYMENT, AGAIN)
    ended: Json = {"operation": None, "in_doubt": False, **IDLE}
    if refund.status == Status.ROLLED_BACK and refund.error is not None:
        ended["error"] = {**{name: refund.error[name] for name in TOLD}, "key": operation.key}
    return ended


def refunded_lines(refunds: Iterable[Refund]) -> list[Json]:
    """Return what these refunds returned of each line."""
    lines: dict[str, Json] = {}
    for part in (part for refund in refunds for part in refund.lines):
        one = lines.setdefault(part["line"], {"line": part["line"], "price": part["price"], "quantity": 0, "amount": 0})
        one["quantity"] += part["quantity"]
        one["amount"] += part["amount"]
    return [lines[line] for line in sorted(lines)]
