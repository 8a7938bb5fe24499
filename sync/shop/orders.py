"""Orders: the saga of an order and of the one payment that pays for it, which are two documents.

MongoDB writes one document at a time. So the order is written first, with the id of its payment's document and all of
the payment's parameters; a process that finds the order without its payment continues from there. From then on the
state of the order is derived from its payment, the refunds and the disputes (`sync/shop/standing.py`), and is computed
again whenever one of them changes. Every such change causes an event at Stripe, so no crash can lose it.
"""

from datetime import timedelta
from typing import Any

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from stripe_mongo_sync.models import CheckoutSession, Customer, Order, PaymentIntent, Refund, Status, SyncedDocument
from stripe_mongo_sync.models.base.embedded import Call
from stripe_mongo_sync.models.base.input import Invalid, params
from stripe_mongo_sync.models.order import PaymentStatus
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.sure import sure
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.engine import saga
from stripe_mongo_sync.sync.engine.composite import COMPOSITES, NEEDED, Composition, follows
from stripe_mongo_sync.sync.engine.push import finish_operation
from stripe_mongo_sync.sync.engine.push import push as push_payment
from stripe_mongo_sync.sync.errors import InProgress, NotFound, Refused, Unavailable
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.shop.disputes import disputes_of
from stripe_mongo_sync.sync.shop.edited_orders import PAYMENTS, RULES, payment_model, rejoined
from stripe_mongo_sync.sync.shop.pricing import total_of
from stripe_mongo_sync.sync.shop.standing import OVER, PaymentFacts, derive_state, news_of

ENDING = {"checkout.session": "expire", "payment_intent": "cancel"}
AGAIN = timedelta(minutes=2)  # between two reads of a payment that is itself pending
RETURNED = ("succeeded", "pending", "requires_action")  # a refund that failed or was canceled gives nothing back


def create_order(
    username: str, items: list[dict[str, Any]], payment: str, *, idempotency_key: str | None = None, **fields: Any
) -> Order:
    """Create an order of a customer and the checkout session or payment intent that pays for it, or neither.

    `items` are [{"price", "quantity"}] of one currency, by our ids or Stripe's; `payment` is "checkout" (`success_url`
    says where the buyer returns to; send them to `.url`) or "payment_intent" (give the browser `.client_secret`, or a
    `payment_method` to charge immediately). An amount that only Stripe can compute (tiers, a fraction) needs checkout,
    and its `amount_total` comes from there. Raises what `create_customer` raises; a declined card is Refused, with an
    order whose payment may be confirmed again.

    Example:

        two = [{"price": "price_123", "quantity": 2}]
        order = create_order("user@here.com", two, "checkout", success_url="https://shop.example/thanks")
        print(order.payment_status, order.url)
    """
    current()
    body = {"username": username, "items": items, "payment": payment, **fields}
    order, _ = saga.create(Order, body, idempotency_key=idempotency_key)
    return sure(order, Order)


# --- the saga: plan, stage, push, recompute ---


def plan(values: dict[str, Any], id: ObjectId) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the completed `values` of an order, and its operation, which creates its payment with a chosen id."""
    customer = Customer.by_username(values["username"])
    if customer is None or customer.status != Status.ACTIVE:
        raise Invalid({"username": "there is no such customer here" if customer is None else "is not active"})
    payment, model = ObjectId(), PAYMENTS[values["payment"]]
    amount, currency = total_of(values["items"], by_stripe=model is CheckoutSession)
    wanted = (
        _session(values, currency) if amount is None or model is CheckoutSession else _intent(values, amount, currency)
    )
    paying = model.with_derived({**wanted, "customer": customer.stripe_id})
    making = saga.build_operation(
        model, payment, "create", [Call(model.resource.path, params(model, paying, "create"))]
    )
    planned = {"values": paying, "operation": making}
    completed = {
        **values,
        "customer": customer.stripe_id,
        "currency": currency,
        "amount_total": amount,
        "amount_refunded": 0,
        "amount_lost": 0,
        "disputes": [],
        "payment_status": PaymentStatus.PENDING,
        "payment_id": payment,
    }
    return completed, saga.build_operation(Order, id, "create", [Call("", planned)])


def _session(values: dict[str, Any], currency: str) -> dict[str, Any]:
    _only(values, ("success_url", "cancel_url"), "checkout")
    if not values.get("success_url"):
        raise Invalid({"success_url": "is required: where the buyer returns to after paying"})
    urls = {name: values[name] for name in ("success_url", "cancel_url") if values.get(name)}
    # Without `currency`, Stripe may charge a buyer from elsewhere in another currency of these prices.
    return {"mode": "payment", "currency": currency, "line_items": values["items"], **urls}


def _intent(values: dict[str, Any], amount: int, currency: str) -> dict[str, Any]:
    _only(values, ("payment_method", "return_url", "receipt_email"), "payment_intent")
    given = {name: values[name] for name in ("payment_method", "receipt_email") if values.get(name)}
    how: dict[str, Any] = {"enabled": True}
    if values.get("payment_method"):
        given["confirm"] = True
        back = values.get("return_url")
        how, given = (how, {**given, "return_url": back}) if back else ({**how, "allow_redirects": "never"}, given)
    return {"amount": amount, "currency": currency, "automatic_payment_methods": how, **given}


def _only(values: dict[str, Any], fields: tuple[str, ...], payment: str) -> None:
    ways = ("success_url", "cancel_url", "payment_method", "return_url", "receipt_email")
    if others := [name for name in ways if values.get(name) and name not in fields]:
        raise Invalid(dict.fromkeys(others, f"does not go with payment {payment}"))


def push(pending: SyncedDocument) -> SyncedDocument:
    """Create the payment of an order, or end it, as is pending; then recompute the order. Raises CannotReadStripe."""
    order = sure(pending, Order)
    payment = _payment(order)
    match order.operation and order.operation.verb:
        case "create" if payment is None:
            _stage(order)
        case _ if payment is None and order.live:
            order = rejoined(order)
        case "cancel" if payment is not None:
            order = _end(order, payment)
    return recompute(order)


def _stage(order: Order) -> None:
    """Stage and push the planned payment; if it is too late, insert a tombstone so that no process ever stages it."""
    operation = sure(order.operation)
    model, planned = payment_model(order), operation.params
    try:
        if order.facts(clock.now()).replayable:
            push_payment(model.stage(planned["values"], planned["operation"], id=order.payment_id, request=None))
        else:
            told = "It was not created in time, and does not exist at Stripe."
            model.insert_tombstone(order.payment_id, {"type": "rolled-back", "code": None, "message": told})
    except DuplicateKeyError:
        log.info("order %s: another process has already staged its payment", order.id)


def _payment(order: Order) -> SyncedDocument | None:
    found: SyncedDocument | None = payment_model(order).objects(id=order.payment_id).first()
    return found


def _end(order: Order, payment: SyncedDocument) -> Order:
    """End the session or intent of an order; if it was paid, it is not ended, and the order's error says so."""
    try:
        saga.act(payment, ENDING[payment.resource.kind], {})
    except Refused as refused:
        problem = refused.problem
        return sure(finish_operation(order, lambda latest: latest.end_refused(problem, "refused")), Order)
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


def _changes(order: Order, payment: SyncedDocument) -> dict[str, Any]:
    """Return the fields of an order as they should be."""
    error = payment.error and {
        **{name: payment.error[name] for name in ("type", "code", "decline_code", "message")},
        "key": order.key if payment.error.key == payment.key else None,  # of the creation: then it is this one's, too
    }
    if order.error is not None and order.operation is None and order.error.key not in (None, order.key):
        error = order.error.to_mongo().to_dict()  # why it was not canceled
    if payment.review is not None and payment.status == Status.PENDING:
        return {"review": f"its {payment.resource.kind} {payment.id} is in review", "lease": None}
    if payment.status == Status.PENDING:
        return {"lease": clock.from_now(AGAIN), "review": None}
    ended: dict[str, Any] = {"operation": None, "lease": None, "in_doubt": False}
    if payment.status != Status.ACTIVE:
        given_up = {"status": Status.ROLLED_BACK, "settled_at": clock.from_now(), "review": None}
        return {**ended, **given_up, "payment_status": PaymentStatus.FAILED, "error": error}
    standing = derive_state(order, _paying(payment))
    if order.operation is not None and order.operation.verb == "cancel" and standing.payment_status not in OVER:
        ended = {}  # the process that cancels it stores the outcome
    linked: dict[str, Any] = {} if order.status == Status.ACTIVE else {"status": Status.ACTIVE, "settled_at": None}
    if payment.confirmed_at is not None and order.confirmed_at is None:
        linked["confirmed_at"] = payment.confirmed_at
    return {
        **ended,
        **linked,
        **standing.shown,
        "payment": next(name for name, model in PAYMENTS.items() if isinstance(payment, model)),
        "payment_status": standing.payment_status,
        "error": error,
        "review": standing.doubt,
    }


def _paying(payment: SyncedDocument) -> PaymentFacts:
    intent: SyncedDocument | None = payment
    if isinstance(payment, CheckoutSession):
        intent = PaymentIntent.by_stripe_id(payment.payment_intent) if payment.payment_intent else None
    id = payment.payment_intent if isinstance(payment, CheckoutSession) else payment.stripe_id
    return PaymentFacts(payment, intent, _refunded(id), disputes_of(id))


def _refunded(payment_intent: str | None) -> int:
    if payment_intent is None:
        return 0
    refunds = Refund.objects(payment_intent=payment_intent, stripe_status__in=RETURNED)  # gone or not: it was made
    return sum(refund.amount or 0 for refund in refunds)


def strays(order: SyncedDocument) -> list[str]:
    """Return the fields of an order that contradict its payment and its refunds."""
    order = sure(order, Order)
    payment = _payment(order)
    if payment is None and order.status == Status.ACTIVE and order.review is None:
        return ["payment_id"]
    if payment is None or payment.status != Status.ACTIVE:
        return []
    return _differing(order, _changes(order, payment))


def _differing(order: Order, changes: dict[str, Any]) -> list[str]:
    """Return the fields that `changes` would change; a lease on a pending order always is one."""
    have = {name: getattr(order, name) for name in changes}
    if "error" in changes and order.error is not None:
        have["error"] = order.error.to_mongo().to_dict()
    return [name for name, wanted in changes.items() if isinstance(wanted, clock.Expression) or have[name] != wanted]


def recompute_orders_of(document: SyncedDocument) -> None:
    """Recompute the orders that this payment, refund or dispute is about."""
    intent = document.payment_intent if isinstance(document, Refund) else document.stripe_id
    if document.resource.kind == "dispute":
        intent = (document.stripe or {}).get("payment_intent")
    for order in Order.paid_by(document.id, intent):
        recompute(order)


def followed(remotes: list[dict[str, Any]]) -> set[str]:
    """Return the ids of the payment intents, refunds and disputes from which an order is derived."""
    intents = {
        remote["id"]: remote["id"] if remote["object"] == "payment_intent" else remote.get("payment_intent")
        for remote in remotes
    }
    ours = Order.paying({intent for intent in intents.values() if isinstance(intent, str)})
    return {id for id, intent in intents.items() if intent in ours}


COMPOSITES["order"] = Composition(plan=plan, push=push, strays=strays, rules=RULES)
follows(recompute_orders_of, "checkout.session", "payment_intent", "refund", "dispute")
NEEDED.update(dict.fromkeys(("payment_intent", "refund", "dispute"), followed))
