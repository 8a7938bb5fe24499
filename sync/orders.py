"""Orders: the saga of an order and of the one payment that pays for it, which are two documents.

MongoDB writes one document at a time. So the order, written first, holds the id of its payment's document and all that
the payment will be made of; whoever finds the order without its payment goes on from there. From then on the order
decides nothing: its state *follows* from its payment and from the refunds, and is reckoned again whenever one of them
has changed. Every such change causes an event at Stripe, so no crash can lose it.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from models import CheckoutSession, Customer, Order, PaymentIntent, Price, Refund, Status, SyncedDocument, clock
from models.input import Invalid, params
from models.order import PaymentStatus
from models.parts import Call
from sync import saga
from sync.composed import COMPOSED, FOLLOWERS, Composition
from sync.connection import current, log
from sync.converge import Facts
from sync.errors import InProgress, NotFound, Refused, Unavailable

PAYMENTS: dict[str, type[SyncedDocument]] = {"checkout": CheckoutSession, "payment_intent": PaymentIntent}
ENDING = {"checkout.session": "expire", "payment_intent": "cancel"}
OVER = (PaymentStatus.EXPIRED, PaymentStatus.CANCELED)
AGAIN = timedelta(minutes=2)  # between two looks at a payment that is itself pending
RETURNED = ("succeeded", "pending", "requires_action")  # a refund that failed or was canceled gives nothing back


def create_order(
    username: str, items: list[dict[str, Any]], payment: str, *, idempotency_key: str | None = None, **fields: Any
) -> Order:
    """Create an order of a customer and the checkout session or payment intent that pays for it, or neither.

    `items` are [{"price", "quantity"}] of one currency, by our ids or Stripe's; `payment` is "checkout" (`success_url`
    says where the buyer returns to; send them to `.url`) or "payment_intent" (give the browser `.client_secret`, or a
    `payment_method` to charge at once). Raises what `create_customer` raises; a declined card is Refused with an order
    whose payment may be confirmed again.
    """
    current()
    body = {"username": username, "items": items, "payment": payment, **fields}
    order, _ = saga.create(Order, body, idempotency_key=idempotency_key)
    assert isinstance(order, Order)
    return order


# --- the saga: plan, stage, push, follow ---


def plan(values: dict[str, Any], id: ObjectId) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the checked `values` of an order completed, and its operation: to make its payment, of a chosen id."""
    customer = Customer.lookup(values["username"])
    if customer is None or customer.status != Status.ACTIVE:
        raise Invalid({"username": "there is no such customer here" if customer is None else "is not active"})
    amount, currency = _total(values["items"])
    payment, model = ObjectId(), PAYMENTS[values["payment"]]
    wanted = _session(values) if model is CheckoutSession else _intent(values, amount, currency)
    paying = model.prepared({**wanted, "customer": customer.stripe_id})
    making = saga.frozen(model, payment, "create", [Call(model.resource.path, params(model, paying, "create"))])
    planned = {"values": paying, "operation": making}
    completed = {
        **values,
        "customer": customer.stripe_id,
        "currency": currency,
        "amount_total": amount,
        "amount_refunded": 0,
        "payment_status": PaymentStatus.PENDING,
        "payment_id": payment,
    }
    return completed, saga.frozen(Order, id, "create", [Call("", planned)])


def _session(values: dict[str, Any]) -> dict[str, Any]:
    _only(values, ("success_url", "cancel_url"), "checkout")
    if not values.get("success_url"):
        raise Invalid({"success_url": "is required: where the buyer returns to after paying"})
    urls = {name: values[name] for name in ("success_url", "cancel_url") if values.get(name)}
    return {"mode": "payment", "line_items": values["items"], **urls}


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


def _total(items: list[dict[str, Any]]) -> tuple[int, str]:
    """Return what the items come to, and in which currency, by the prices that Stripe told us of."""
    if not items:
        raise Invalid({"items": "is empty"})
    amount, currencies, problems = 0, set(), {}
    for number, item in enumerate(items):
        price = Price.of(item["price"])
        assert price is not None, "references are resolved before"
        if price.recurring is not None:
            problems[f"items.{number}.price"] = "recurs: sell it by a checkout session or a subscription"
        elif price.active is False:
            problems[f"items.{number}.price"] = "is archived"
        elif price.unit_amount is None:
            problems[f"items.{number}.price"] = "has no whole unit amount"
        else:
            amount += price.unit_amount * item["quantity"]
        currencies.add(price.currency.lower())
    if len(currencies) > 1:
        problems["items"] = f"are in several currencies: {', '.join(sorted(currencies))}"
    if not problems and not 0 < amount <= 99_999_999:
        problems["items"] = f"come to {amount}: Stripe takes 1 to 99999999"
    if problems:
        raise Invalid(problems)
    return amount, currencies.pop()


def push(order: SyncedDocument) -> SyncedDocument:
    """Do what is pending on an order: make its payment, or end it; then follow it. Raises CannotLook."""
    assert isinstance(order, Order)
    payment = _payment(order)
    match order.operation and order.operation.verb:
        case "create" if payment is None:
            _stage(order)
        case "cancel" if payment is not None:
            order = _end(order, payment)
    return follow(order)


def _stage(order: Order) -> None:
    """Stage and push the payment as it was planned, unless it is too late: then see to it that nobody ever will."""
    operation = order.operation
    assert operation is not None
    model, planned = PAYMENTS[order.payment], operation.params
    try:
        if Facts(order, clock.now(), current().installation).replayable:
            saga.push(model.stage(planned["values"], planned["operation"], id=order.payment_id, request=None))
        else:
            told = "It was not made in time, and nothing of it is at Stripe."
            model.bar(order.payment_id, {"type": "rolled-back", "code": None, "message": told})
    except DuplicateKeyError:
        log.info("order %s: somebody else stages its payment", order.id)


def _payment(order: Order) -> SyncedDocument | None:
    found: SyncedDocument | None = PAYMENTS[order.payment].objects(id=order.payment_id).first()
    return found


def _end(order: Order, payment: SyncedDocument) -> Order:
    """End the session or intent of an order; one that was paid is not ended, and the order says so."""
    try:
        saga.act(payment, ENDING[payment.resource.kind], {})
    except Refused as refused:
        problem = refused.problem
        ended = saga.conclude(order, lambda latest: latest.refuse(problem, "refused"))
        assert isinstance(ended, Order)
        return ended
    except (InProgress, NotFound) as error:  # somebody else is at work on it, or has ended it: `follow` sees to that
        log.info("order %s: its payment cannot be ended now: %s", order.id, error)
    except Unavailable as error:  # `act` speaks to callers; here, a run that goes on must know that it was MongoDB
        raise error.__cause__ or error from error
    return order.reread()


# --- following ---


@dataclass(frozen=True)
class Paying:
    """What the state of an order follows from: its payment, the intent that the payment led to, and the refunds."""

    payment: SyncedDocument
    intent: SyncedDocument | None
    refunded: int = 0


@dataclass(frozen=True)
class Standing:
    """Where an order stands; `doubt` is a reason for a person to look."""

    payment_status: PaymentStatus
    doubt: str | None = None
    shown: dict[str, Any] = field(default_factory=dict)


def stand(order: Order, paying: Paying) -> Standing:
    """Return where an order stands whose payment is there. Pure.

    It is paid only by its own payment, and only by the amount and in the currency that were staged.
    """
    payment, intent = paying.payment, paying.intent
    if isinstance(payment, CheckoutSession):
        is_open = payment.stripe_status == "open"
        shown: dict[str, Any] = {"checkout_session": payment.stripe_id, "url": payment.url if is_open else None}
        shown["payment_intent"] = payment.payment_intent
        asked, received = payment.amount_total, payment.amount_total
        status = _of_session(payment, intent)
    else:
        assert isinstance(payment, PaymentIntent)
        shown = {"payment_intent": payment.stripe_id, "client_secret": payment.client_secret}
        asked, received = payment.amount, payment.amount_received
        status = _of_intent(payment)
    doubt = None
    if (asked, payment.currency) != (order.amount_total, order.currency):
        doubt = f"its payment asks for {asked} {payment.currency}, not {order.amount_total} {order.currency}"
    elif status == PaymentStatus.PAID and received != order.amount_total:
        doubt = f"its payment brought {received} of {order.amount_total} {order.currency}"
    elif status == PaymentStatus.PAID and paying.refunded:
        whole = paying.refunded >= order.amount_total
        status = PaymentStatus.REFUNDED if whole else PaymentStatus.PARTIALLY_REFUNDED
    shown["amount_refunded"] = paying.refunded
    return Standing(PaymentStatus.AWAITING_PAYMENT if doubt else status, doubt, shown)


def _of_session(session: CheckoutSession, intent: SyncedDocument | None) -> PaymentStatus:
    if session.stripe_status == "expired":
        return PaymentStatus.EXPIRED
    if session.stripe_status == "open":
        return PaymentStatus.AWAITING_PAYMENT
    if session.payment_status in ("paid", "no_payment_required"):
        return PaymentStatus.PAID
    # Complete, but the bank takes its time; what became of it, the intent tells.
    return _of_intent(intent) if isinstance(intent, PaymentIntent) else PaymentStatus.AWAITING_PAYMENT


def _of_intent(intent: PaymentIntent) -> PaymentStatus:
    match intent.stripe_status:
        case "succeeded":
            return PaymentStatus.PAID
        case "canceled":
            return PaymentStatus.CANCELED
        case "requires_payment_method" if (intent.stripe or {}).get("last_payment_error"):
            return PaymentStatus.FAILED
    return PaymentStatus.AWAITING_PAYMENT


def follow(order: Order) -> Order:
    """Bring an order to where its payment and its refunds say it stands; return it as it is then.

    The order is read before what it follows from, and written only if nobody changed it since: so whoever wrote last
    had seen the latest.
    """
    while True:
        payment = _payment(order)
        if order.status not in (Status.PENDING, Status.ACTIVE) or payment is None:
            return order
        changes = _changes(order, payment)
        by = f"{payment.resource.kind} {payment.stripe_id or payment.id}"
        moved = order.move(by, notice=_news(order, changes), **changes) if _differs(order, changes) else order
        if moved is not None:
            return moved
        order = order.reread()


def _news(order: Order, changes: dict[str, Any]) -> str | None:
    """Return the notice of a payment status that is new: order.paid."""
    new = changes.get("payment_status", order.payment_status)
    return None if new in (order.payment_status, PaymentStatus.PENDING) else f"order.{new}"


def _changes(order: Order, payment: SyncedDocument) -> dict[str, Any]:
    """Return the fields of an order as they should be."""
    assert order.key is not None
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
    standing = stand(order, _paying(payment))
    if order.operation is not None and order.operation.verb == "cancel" and standing.payment_status not in OVER:
        ended = {}  # whoever ends it says what came of it
    linked: dict[str, Any] = {} if order.status == Status.ACTIVE else {"status": Status.ACTIVE}
    if payment.confirmed_at is not None and order.confirmed_at is None:
        linked["confirmed_at"] = payment.confirmed_at
    return {
        **ended,
        **linked,
        **standing.shown,
        "payment_status": standing.payment_status,
        "error": error,
        "review": standing.doubt,
    }


def _paying(payment: SyncedDocument) -> Paying:
    if isinstance(payment, PaymentIntent):
        return Paying(payment, payment, _refunded(payment.stripe_id))
    assert isinstance(payment, CheckoutSession)
    intent = PaymentIntent.of(payment.payment_intent) if payment.payment_intent else None
    return Paying(payment, intent, _refunded(payment.payment_intent))


def _refunded(payment_intent: str | None) -> int:
    if payment_intent is None:
        return 0
    refunds = Refund.objects(payment_intent=payment_intent, live=True, stripe_status__in=RETURNED)
    return sum(refund.amount or 0 for refund in refunds)


def _differs(order: Order, changes: dict[str, Any]) -> bool:
    """Whether `changes` would change anything; a lease on a pending order always does."""
    for name, wanted in changes.items():
        have = order.error and order.error.to_mongo().to_dict() if name == "error" else getattr(order, name)
        if isinstance(wanted, clock.Expression) or have != wanted:
            return True
    return False


def follow_all(document: SyncedDocument) -> None:
    """Let the orders follow that this document pays for, or gives money back of."""
    intent = document.payment_intent if isinstance(document, Refund) else document.stripe_id
    for order in Order.paid_by(document.id, intent):
        follow(order)


COMPOSED["order"] = Composition(plan=plan, push=push)
FOLLOWERS.update(dict.fromkeys(("checkout.session", "payment_intent", "refund"), follow_all))
