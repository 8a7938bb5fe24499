"""Derives the state of an order from its payment, the payment's intent, the refunds and the disputes. Pure."""

from typing import Any

from stripe_mongo_sync.models import CheckoutSession, Order, PaymentIntent, SyncedDocument
from stripe_mongo_sync.models.order import PaymentStatus
from stripe_mongo_sync.models.rows.sure import sure
from stripe_mongo_sync.sync.shop.disputes import Dispute, Outcome

CAME = (PaymentStatus.PAID, PaymentStatus.PARTIALLY_REFUNDED, PaymentStatus.REFUNDED)  # the money did
WENT = (PaymentStatus.DISPUTED, PaymentStatus.LOST)  # it came, and the bank has it
OVER = (PaymentStatus.EXPIRED, PaymentStatus.CANCELED)  # nobody can pay it any more


def derive_state(
    order: Order, payment: SyncedDocument, intent: SyncedDocument | None, refunded: int, disputes: list[Dispute]
) -> dict[str, Any]:
    """Return the fields of an order that follow from its payment, the payment's intent, what was refunded, and the
    disputes. Pure.

    The order is paid only by its own payment, of its own customer, and only with the staged amount and currency; if
    the amount was left to Stripe, the amount that the payment first asked for counts; where the buyer's code, address
    or shipping may change it (`amount_by_stripe`), the one that it asks for now.
    """
    if isinstance(payment, CheckoutSession):
        is_open = payment.stripe_status == "open"
        shown: dict[str, Any] = {"checkout_session": payment.stripe_id, "url": payment.url if is_open else None}
        shown["payment_intent"] = payment.payment_intent
        asked, received = payment.amount_total, payment.amount_total
        status = _of_session(payment, intent)
    else:
        payment = sure(payment, PaymentIntent)
        shown = {"payment_intent": payment.stripe_id, "client_secret": payment.client_secret}
        asked, received = payment.amount, payment.amount_received
        status = _of_intent(payment)
    total = asked if order.amount_total is None or order.amount_by_stripe else order.amount_total
    doubt = None
    if total is None or (asked, payment.currency) != (total, order.currency):
        doubt = f"its payment asks for {asked} {payment.currency}, not {total} {order.currency}"
    elif status == PaymentStatus.PAID and received != total:
        doubt = f"its payment brought {received} of {total} {order.currency}"
    of_another = _of_another(order, payment, intent)
    if doubt or (of_another and status == PaymentStatus.PAID and order.payment_status not in (*CAME, *WENT)):
        status = PaymentStatus.AWAITING_PAYMENT
    elif status == PaymentStatus.PAID:
        status = _disputed(_refunded_of(total or 0, refunded), disputes)
    if of_another and status not in OVER and refunded < (received or 1):
        doubt = doubt or of_another
    lost = [dispute for dispute in disputes if dispute.outcome == Outcome.LOST]
    told = [{"id": dispute.id, "status": str(dispute.outcome)} for dispute in disputes]
    for dispute in lost:
        if dispute.currency != order.currency:
            doubt = doubt or f"{dispute.id} took {dispute.amount} {dispute.currency}, which is not in {order.currency}"
    return {
        **shown,
        "payment_status": status,
        "amount_total": total,
        "amount_refunded": refunded,
        "amount_lost": sum(dispute.amount for dispute in lost if dispute.currency == order.currency),
        "disputes": told if status in (*CAME, *WENT) else [],
        "review_reason": doubt,
    }


def _of_another(order: Order, *payments: SyncedDocument | None) -> str | None:
    """Return that the payment belongs to another customer, as far as it was seen; None when it is the order's.

    The shop, or an operator in the Dashboard, may assign an intent to another customer, or to none, until it is paid.
    If the right customer paid before, the order stays paid, because goods may be on their way. In either case an
    operator decides, until the payment is the customer's again, can no longer be paid, or was refunded.
    """
    for payment in payments:
        known = payment is not None and payment.stripe is not None and payment.erased_at is None
        whose = getattr(payment, "customer", None)
        if payment is not None and known and order.customer is not None and whose != order.customer:
            whose = whose or "no customer"
            return f"its {payment.resource.kind} {payment.stripe_id} is of {whose}, not of {order.customer}"
    return None


def _refunded_of(total: int, refunded: int) -> PaymentStatus:
    """Return the status of a completed payment, by its refunds."""
    if not refunded:
        return PaymentStatus.PAID
    return PaymentStatus.REFUNDED if refunded >= total else PaymentStatus.PARTIALLY_REFUNDED


def _disputed(status: PaymentStatus, disputes: list[Dispute]) -> PaymentStatus:
    """Return the status with the disputes: an open one outweighs a lost one, and one that was won changes nothing."""
    outcomes = {dispute.outcome for dispute in disputes}
    if Outcome.OPEN in outcomes:
        return PaymentStatus.DISPUTED
    return PaymentStatus.LOST if Outcome.LOST in outcomes else status


def _of_session(session: CheckoutSession, intent: SyncedDocument | None) -> PaymentStatus:
    if session.stripe_status == "expired":
        return PaymentStatus.EXPIRED
    if session.stripe_status == "open":
        return PaymentStatus.AWAITING_PAYMENT
    if session.payment_status in ("paid", "no_payment_required"):
        return PaymentStatus.PAID
    # Complete, but the bank has not decided yet; the intent shows the outcome.
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


def news_of(order: Order, changes: dict[str, Any]) -> list[str]:
    """Return the notices of what is new: the status without disputes, and each dispute."""
    was = {name: getattr(order, name) for name in ("payment_status", "amount_total", "amount_refunded", "disputes")}
    now = was | changes
    before, after = _undisputed(was), _undisputed(now)
    found = [] if after in (before, PaymentStatus.PENDING) else [f"order.{after}"]
    known, told = ({one["id"]: one["status"] for one in facts["disputes"]} for facts in (was, now))
    for id in {*known, *told} if now["payment_status"] in (*CAME, *WENT) else ():
        match known.get(id), told.get(id):
            case old, new if old == new:
                pass
            case _, Outcome.OPEN:
                found.append("order.disputed")
            case _, Outcome.LOST:
                found.append("order.dispute_lost")
            case Outcome.OPEN | Outcome.LOST, _:
                found.append("order.dispute_won")
    return sorted(set(found))


def _undisputed(facts: dict[str, Any]) -> str:
    """Return the status of a payment without its disputes."""
    status: str = facts["payment_status"]  # which may have been edited to one that does not exist
    return _refunded_of(facts["amount_total"], facts["amount_refunded"]) if status in WENT else status
