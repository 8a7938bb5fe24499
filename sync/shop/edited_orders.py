"""What each order satisfies in MongoDB, and how it finds its payment again after it was edited there by hand."""

from typing import Any

from stripe_mongo_sync.models import CheckoutSession, Order, PaymentIntent, SyncedDocument
from stripe_mongo_sync.models.order import PaymentStatus
from stripe_mongo_sync.models.rows.clock import Expression
from stripe_mongo_sync.sync.engine.composite import Rule


def _none_of(*types: str) -> dict[str, Any]:
    return {"$exists": True, "$not": {"$type": list(types)}}


PAYMENTS: dict[str, type[SyncedDocument]] = {"checkout": CheckoutSession, "payment_intent": PaymentIntent}
BY_SESSION = Expression({"$cond": [{"$gt": ["$checkout_session", ""]}, "checkout", "payment_intent"]})
TOLD = {"id": {"$type": "string"}, "status": {"$type": "string"}}
RULES = (
    *(Rule(name, {name: {"$ne": None}}) for name in ("stripe_id", "stripe", "digest")),  # it has no object
    Rule("payment", {"payment": {"$nin": [*PAYMENTS]}}, BY_SESSION),
    Rule("payment_status", {"payment_status": {"$nin": [*PaymentStatus]}}, PaymentStatus.PENDING),
    Rule("payment_id", {"payment_id": _none_of("objectId", "null")}),
    Rule("disputes", {"disputes": _none_of("array", "null")}, []),
    Rule("disputes", {"disputes": {"$elemMatch": _none_of("object")}}, []),
    Rule("disputes", {"disputes": {"$elemMatch": {"$nor": [TOLD]}}}, []),
    *(Rule(n, {n: _none_of("int", "long", "null")}) for n in ("amount_total", "amount_refunded", "amount_lost")),
)


def payment_model(order: Order) -> type[SyncedDocument]:
    """Return the model of an order's payment: as it is planned, because the plan cannot be changed."""
    planned = order.operation.params.get("operation", {}) if order.operation is not None else {}
    paths: dict[str, type[SyncedDocument]] = {model.resource.path: model for model in PAYMENTS.values()}
    return paths.get(planned.get("path", "")) or PAYMENTS[order.payment]


def rejoined(order: Order) -> Order:
    """Return an order that was edited in MongoDB, with its payment found again; else it is put in review."""
    for payment, model in PAYMENTS.items():
        id = order.checkout_session if model is CheckoutSession else order.payment_intent
        found = model.objects(id=order.payment_id).first() or (id and model.by_stripe_id(id))
        if found:
            return order.update_if_unchanged(payment=payment, payment_id=found.id) or order.fetch_latest()
    if order.review is not None:
        return order
    return order.send_to_review("its payment is not found: the order was edited in MongoDB") or order.fetch_latest()
