"""Orders: the saga of an order and of the one payment that pays for it, which are two documents.

MongoDB writes one document at a time. So the order is written first, with the id of its payment's document and all of
the payment's parameters; a process that finds the order without its payment continues from there. From then on the
state of the order is derived from its payment, the refunds and the disputes (`sync/shop/standing.py`), and is computed
again whenever one of them changes. Every such change causes an event at Stripe, so no crash can lose it.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from stripe_mongo_sync.models import CheckoutSession, Customer, Order, PaymentIntent, Refund, Status, SyncedDocument
from stripe_mongo_sync.models.order import PaymentStatus
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.clock import IDLE, DueReason, due
from stripe_mongo_sync.models.rows.sure import sure
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.engine import saga
from stripe_mongo_sync.sync.engine.buyer import create
from stripe_mongo_sync.sync.engine.dependents import Dependent, follows
from stripe_mongo_sync.sync.engine.push import finish_operation, push
from stripe_mongo_sync.sync.engine.resolve import Run, of_clone, resolve
from stripe_mongo_sync.sync.errors import InProgress, NotFound, Refused, Unavailable
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.shop.disputes import Dispute, disputes_of
from stripe_mongo_sync.sync.shop.pricing import PAYMENTS
from stripe_mongo_sync.sync.shop.refunds import ending, refunded_lines, stage_refund
from stripe_mongo_sync.sync.shop.standing import OVER, derive_state, news_of

ENDING = {"checkout.session": "expire", "payment_intent": "cancel"}
BY_PATH = {model.resource.path: model for model in PAYMENTS.values()}
AGAIN = timedelta(minutes=2)  # between two reads of a payment that is itself pending
Happened = tuple[SyncedDocument | None, list[Refund], list[Dispute]]  # its intent, the refunds, the disputes
RETURNED = ("succeeded", "pending", "requires_action")  # a refund that failed or was canceled gives nothing back


def create_order(
    username: str | None,
    items: list[dict[str, Any]],
    payment: str,
    *,
    idempotency_key: str | None = None,
    **fields: Any,
) -> Order:
    """Create an order of a customer and the checkout session or payment intent that pays for it, or neither.

    `items` are [{"price", "quantity"}] of one currency, by our ids or Stripe's; `payment` is "checkout" (`success_url`
    says where the buyer returns to; send them to `.url`) or "payment_intent" (give the browser `.client_secret`, or a
    `payment_method` to charge immediately). The other fields are those of the session or intent: discounts, tax,
    shipping, … An amount that only Stripe can compute needs checkout, and its `amount_total` comes from there.

    Without a username, a guest buys; `create_customer_if_missing=True` creates a customer who does not exist. Raises
    what `create_customer` raises; a declined card is Refused, with an order whose payment may be confirmed again.

    Example:

        two = [{"price": "price_123", "quantity": 2}]
        order = create_order("user@here.com", two, "checkout", success_url="https://shop.example/thanks")
        print(order.payment_status, order.url)
    """
    current()
    who = {} if username is None else {"username": username}
    body = {**who, "items": items, "payment": payment, **fields}
    order, _ = create(Order, body, idempotency_key=idempotency_key)
    return order


# --- the saga: plan (`pricing.py`), stage, push, recompute ---


def follow(order: Order) -> Order:
    """Create the payment of an order, or end it, as is pending; then recompute the order. Raises CannotReadStripe."""
    verb = order.operation and order.operation.verb
    if order.status == Status.PENDING and verb == "create":
        _stage(order)
    elif order.is_current:
        payment = _payment(order)
        if payment is None:
            order = _rejoined(order)
        elif verb == "cancel":
            order = _end(order, payment)
        elif verb == "refund":
            stage_refund(order)
            order = order.fetch_latest()
    return recompute(order)


@push.register
def _(order: Order) -> tuple[Order, None]:
    """Follow an order for the saga, without a problem: whatever Stripe refused is in the order's own error."""
    return follow(order), None


@resolve.register
def _(order: Order, run: Run, now: datetime) -> None:
    """Follow an order that is due at `now` and, unless the run is dry, claimed. Raises CannotReadStripe."""
    foreign = order.facts(now, current().installation).other_installation
    run.counts["review" if foreign else "follow"] += 1
    if not run.dry:
        order.send_to_review(of_clone(order)) if foreign else follow(order)


def _stage(order: Order) -> None:
    """Stage and push the planned payment, unless that was done; if it is too late, insert a tombstone in its place."""
    planned = sure(order.operation).params
    model = BY_PATH[planned["operation"]["path"]]
    try:
        if order.facts(clock.now()).replayable:
            push(model.stage(planned["values"], planned["operation"], id=order.payment_id, request=None))
        else:
            told = "It was not created in time, and does not exist at Stripe."
            model.insert_tombstone(order.payment_id, {"type": "rolled-back", "code": None, "message": told})
    except DuplicateKeyError:
        log.info("order %s: its payment was staged before", order.id)


def _payment(order: Order) -> SyncedDocument | None:
    """Return the payment of an order, even if `payment` was edited to another kind."""
    models = sorted(PAYMENTS.values(), key=lambda model: model is not PAYMENTS.get(order.payment))
    return next(filter(None, (model.objects(id=order.payment_id).first() for model in models)), None)


def _rejoined(order: Order) -> Order:
    """Return an order that was edited in MongoDB, with its payment found again; else it is put in review."""
    for payment, id in (("checkout", order.checkout_session), ("payment_intent", order.payment_intent)):
        if id and (found := PAYMENTS[payment].by_stripe_id(id)):
            return order.update_if_unchanged(payment=payment, payment_id=found.id) or order.fetch_latest()
    if order.review_reason is not None:
        return order
    told = "its payment is not found: the order was edited in MongoDB. Restore its `payment` and `payment_id` there"
    return order.send_to_review(f"{told}, then `operations retry {order.id}`") or order.fetch_latest()


def _end(order: Order, payment: SyncedDocument) -> Order:
    """End the session or intent of an order; if it was paid, it is not ended, and the order's error says so."""
    try:
        saga.act(payment, ENDING[payment.resource.kind], {})
    except Refused as refused:
        problem = refused.problem
        return finish_operation(order, lambda latest: latest.end_refused(problem, "refused"))
    except (InProgress, NotFound) as error:  # another process works on it or has ended it; `recompute` shows which
        log.info("order %s: its payment cannot be ended now: %s", order.id, error)
    except Unavailable as error:  # `act` raises for callers; a run must see that MongoDB failed
        raise error.__cause__ or error from error
    return order.fetch_latest()


# --- the derived state ---


def recompute(order: Order) -> Order:
    """Derive the state of an order from its payment, refunds and disputes; return the order afterwards.

    The order is read before these documents, and written only if it is unchanged since. So the last writer has seen
    the latest state.
    """
    while True:
        payment = _payment(order)
        ended = order.status not in (Status.PENDING, Status.ACTIVE)
        if payment is None or (ended and payment.status != Status.ACTIVE):  # else it was wrongly taken for deleted
            return order
        changes = _changes(order, payment)
        by = f"{payment.resource.kind} {payment.stripe_id or payment.id}"
        moved = (
            order.update_if_unchanged(by, notices=news_of(order, changes), **changes)
            if _differing(order, changes)
            else order
        )
        if moved is not None:
            return moved
        order = order.fetch_latest()


def _changes(order: Order, payment: SyncedDocument, known: Happened | None = None) -> dict[str, Any]:
    """Return the fields of an order as they should be."""
    error = payment.error and {
        **{name: payment.error[name] for name in ("type", "code", "decline_code", "message")},
        # Of the creation: then it is this one's, too.
        "key": order.creation_key if payment.error.key == payment.creation_key else None,
    }
    if order.error is not None and order.operation is None and order.error.key not in (None, order.creation_key):
        error = order.error.to_mongo().to_dict()  # why it was not canceled
    if payment.review_reason is not None and payment.status == Status.PENDING:
        return {"review_reason": f"its {payment.resource.kind} {payment.id} is in review", **IDLE}
    if payment.status == Status.PENDING:
        return {"review_reason": None, **due(DueReason.PAYMENT, AGAIN)}
    ended: dict[str, Any] = {"operation": None, "in_doubt": False, **IDLE}
    if payment.status != Status.ACTIVE:
        given_up = {"status": Status.ROLLED_BACK, "finished_at": clock.from_now(), "review_reason": None}
        return {**ended, **given_up, "payment_status": PaymentStatus.FAILED, "error": error}
    intent, refunds, disputes = known or _happened([payment])[payment.id]
    refunded = sum(refund.amount or 0 for refund in refunds)
    state = derive_state(order, payment, intent, refunded, disputes) | _told_buyer(order, payment, intent)
    state["refunded_lines"] = refunded_lines(refunds)
    verb = order.operation and order.operation.verb
    if verb == "refund" or (verb == "cancel" and state["payment_status"] not in OVER):
        ended = {}  # the process that cancels it stores the outcome
    linked: dict[str, Any] = {} if order.status == Status.ACTIVE else {"status": Status.ACTIVE, "finished_at": None}
    if payment.confirmed_at is not None and order.confirmed_at is None:
        linked["confirmed_at"] = payment.confirmed_at
    way = next(name for name, model in PAYMENTS.items() if isinstance(payment, model))
    last = ending(order) if verb == "refund" else {}
    return {**ended, **linked, **state, "payment": way, "error": error, **last}


def _told_buyer(order: Order, *payments: SyncedDocument | None) -> dict[str, Any]:
    """Return the customer of a guest's order, once its payment names one, with the username if they have one here."""
    told = (payment["customer"] for payment in payments if payment is not None and payment.erased_at is None)
    id = next(filter(None, told), None)
    if order.customer is not None or id is None:
        return {}
    customer = Customer.objects(stripe_id=id, is_current=True).first()
    return {"customer": id, "username": order.username or (customer and customer.username)}


def _happened(payments: Collection[SyncedDocument]) -> dict[ObjectId, Happened]:
    """Return what happened to each of these payments, by its id: three queries for all of them."""
    intents = {
        payment.id: payment.payment_intent if isinstance(payment, CheckoutSession) else payment.stripe_id
        for payment in payments
    }
    ids = [id for id in intents.values() if id]
    if not ids:
        return dict.fromkeys(intents, (None, [], []))
    known: dict[Any, SyncedDocument] = {payment.stripe_id: payment for payment in payments}
    others = PaymentIntent.objects(stripe_id__in=[id for id in ids if id not in known])
    found = others.order_by("is_current", "created_at")
    known |= {intent.stripe_id: intent for intent in found}  # the live one, else the newest
    refunded, disputes = defaultdict[str, list[Refund]](list), disputes_of(ids)
    for refund in Refund.objects(payment_intent__in=ids, stripe_status__in=RETURNED):  # gone or not: it was made
        refunded[refund.payment_intent].append(refund)
    return {
        payment: (known.get(id), refunded[id], disputes.get(id, [])) if id else (None, [], [])
        for payment, id in intents.items()
    }


def strays(orders: Collection[Order]) -> dict[ObjectId, list[str]]:
    """Return the fields of each of these orders that contradict its payment, its refunds and its disputes.

    Their number changes nothing in the number of queries.
    """
    ids = [order.payment_id for order in orders]
    found = [payment for model in PAYMENTS.values() for payment in model.objects(id__in=ids)]
    payments: dict[ObjectId, SyncedDocument] = {payment.id: payment for payment in found}
    happened = _happened([payment for payment in found if payment.status == Status.ACTIVE])
    return {order.id: _strays(order, payments.get(order.payment_id), happened) for order in orders}


def _strays(order: Order, payment: SyncedDocument | None, happened: Mapping[ObjectId, Happened]) -> list[str]:
    if payment is None and order.status == Status.ACTIVE and order.review_reason is None:
        return ["payment_id"]
    if payment is None or payment.status != Status.ACTIVE:
        return []
    return _differing(order, _changes(order, payment, happened[payment.id]))


def _differing(order: Order, changes: dict[str, Any]) -> list[str]:
    """Return the fields that `changes` would change; when a pending order is due always is one."""
    have = {name: getattr(order, name) for name in changes}
    if "refunded_lines" in have:
        have["refunded_lines"] = [line.to_mongo().to_dict() for line in order.refunded_lines]
    if changes.get("error") and order.error is not None:
        have["error"] = {name: order.error[name] for name in changes["error"]}  # no part that is None is stored
    return [name for name, wanted in changes.items() if isinstance(wanted, clock.Expression) or have[name] != wanted]


def _recompute_orders_of(document: SyncedDocument) -> None:
    for order in paid_with(document):
        recompute(order)


def paid_with(document: SyncedDocument) -> list[Order]:
    """Return the orders that this payment, refund or dispute is about."""
    intent = getattr(document, "payment_intent", None) or (document.stripe or {}).get("payment_intent")
    intent = document.stripe_id if isinstance(document, PaymentIntent) else intent
    return Order.paid_by([document.id], [intent])


def among(remotes: Mapping[Any, Mapping[str, Any]]) -> set[Any]:
    """Return the keys of those payments, refunds and disputes from which an order is derived."""
    intents = {
        key: remote["id"] if remote["object"] == "payment_intent" else remote.get("payment_intent")
        for key, remote in remotes.items()
    }
    orders = Order.paid_by([key for key in remotes if isinstance(key, ObjectId)], intents.values())
    known = [id for order in orders for id in (order.payment_id, order.payment_intent) if id]
    return {key for key, intent in intents.items() if key in known or intent in known}


follows(Dependent(_recompute_orders_of, among), "checkout.session")
follows(Dependent(_recompute_orders_of, among, adopts=True), "payment_intent", "refund", "dispute")
