"""An order: what a shop sells to a customer, and the one payment that pays for it.

An order has no object of its own at Stripe. It holds the id, chosen before, of the document of its checkout session or
payment intent, and its state follows from that document, the refunds and the disputes: `sync/shop/orders.py` says how.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, ClassVar, Literal, NotRequired, Self, TypedDict

from bson import ObjectId
from mongoengine import BooleanField, EmbeddedDocumentListField, IntField, ObjectIdField, StringField
from pymongo import IndexModel

from stripe_mongo_sync.models.base.embedded import Call, JsonField, Plain
from stripe_mongo_sync.models.base.lifecycle import StagedDocument
from stripe_mongo_sync.models.base.resource import Action, Resource
from stripe_mongo_sync.models.rows.clock import Expression
from stripe_mongo_sync.models.rows.database import Part
from stripe_mongo_sync.models.rows.indexes import A_STRING


class PaymentStatus(StrEnum):
    """The state of an order's payment."""

    PENDING = "pending"  # not payable yet: the session or intent is not known to exist
    AWAITING_PAYMENT = "awaiting_payment"
    PAID = "paid"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"
    DISPUTED = "disputed"  # the buyer's bank has the money until it decides; if it is won, the order is as before
    LOST = "lost"  # a dispute was lost
    FAILED = "failed"  # declined; an intent may be confirmed again, with another card
    EXPIRED = "expired"  # not paid in time, or the session was ended
    CANCELED = "canceled"


# The notices for hooks: each state of the payment, and each outcome of a dispute (a won one causes no second `paid`).
OF_PAYMENT = tuple(
    f"order.{status}"
    for status in PaymentStatus
    if status not in (PaymentStatus.PENDING, PaymentStatus.DISPUTED, PaymentStatus.LOST)
)
OF_DISPUTES = ("order.disputed", "order.dispute_won", "order.dispute_lost")


class Line(Part):
    """A quantity of one price."""

    price: str = StringField()
    quantity: int = IntField()


class OrderLine(TypedDict):
    """A quantity of one price, 1 if it says none; by checkout, with the tax rates that Stripe adds or shows."""

    price: str
    quantity: NotRequired[int]
    tax_rates: NotRequired[list[str]]


class RefundedLine(Part):
    """What was refunded of one line of an order, by `refund_order`."""

    line: str = StringField(help_text="Stripe's id of the session's line; of a payment intent, the price.")
    price: str | None = StringField()
    quantity: int = IntField()
    amount: int = IntField()


class OrderCreateParams(TypedDict):
    """What is sold, to whom, and how it is paid; without a username, to a guest. The rest is Stripe's."""

    username: NotRequired[str]
    items: list[OrderLine]
    payment: Literal["checkout", "payment_intent"]


class LineToRefund(TypedDict):
    """A quantity of a price, or of one line; by default all of it that was not refunded before."""

    price: NotRequired[str]
    line: NotRequired[str]
    quantity: NotRequired[int]


class OrderRefundParams(TypedDict):
    """What goes back to the buyer; without lines, all that is left."""

    lines: NotRequired[list[LineToRefund]]
    reason: NotRequired[Literal["duplicate", "fraudulent", "requested_by_customer"]]


WAYS = ("checkout", "payment_intent")  # to pay
BY_SESSION = Expression({"$cond": [{"$gt": ["$checkout_session", ""]}, *WAYS]})
TOLD = {"id": {"$type": "string"}, "status": {"$type": "string"}}


def _none_of(*types: str) -> dict[str, Any]:
    return {"$exists": True, "$not": {"$type": list(types)}}


class Order(StagedDocument):
    says = "A sale. Amounts are whole numbers in the currency's minor unit."
    meta: ClassVar = {"collection": "orders"}
    indexes: ClassVar = [
        *StagedDocument.indexes,
        IndexModel("payment_id"),
        IndexModel("payment_intent", partialFilterExpression={"payment_intent": A_STRING}),
    ]
    resource: ClassVar = Resource(
        kind="order",
        path="",
        undo=(),
        has_created_event=False,
        listable=False,
        types={
            "create": (OrderCreateParams, "checkout.SessionCreateParams", "PaymentIntentCreateParams"),
            "refund": OrderRefundParams,
        },
        moves_money_if=lambda verb, sent: verb == "create" and sent["operation"]["params"].get("confirm") is True,
        actions={
            "cancel": Action(done=lambda remote, sent: False, calls=lambda document, given: [Call("", given)]),
            "refund": Action(
                done=lambda remote, sent: False, moves_money=True, repeatable=True
            ),  # sync/shop/refunds.py
        },
        notices=(*OF_PAYMENT, *OF_DISPUTES),
    )

    username: str | None = StringField(help_text="Of the customer; null of a guest until Stripe tells who it was.")
    items: list[Line] = EmbeddedDocumentListField(Line)
    payment: str = StringField()
    success_url: str | None = StringField()  # of a checkout
    cancel_url: str | None = StringField()
    payment_method: str | None = StringField()
    return_url: str | None = StringField()  # of an intent: a bank sends the buyer back there
    receipt_email: str | None = StringField()
    customer: str | None = StringField()  # Stripe's id
    currency: str = StringField()
    amount_total: int | None = IntField(help_text="Null if only Stripe can compute it, and has not yet.")
    amount_refunded: int = IntField(help_text="By refunds alone.")
    refunded_lines: list[RefundedLine] = EmbeddedDocumentListField(RefundedLine, help_text="By `refund` of an order.")
    amount_lost: int = IntField(default=0, help_text="The amount that banks took by lost disputes.")
    payment_status: str = StringField()
    checkout_session: str | None = StringField()  # Stripe's id
    payment_intent: str | None = StringField()  # Stripe's id
    url: str | None = StringField()  # where to send the buyer, while a session is open
    client_secret: str | None = StringField()  # for the buyer's browser, of an intent

    payment_id: ObjectId = ObjectIdField(internal=True)  # of the session's or intent's document
    amount_by_stripe: bool | None = BooleanField(internal=True)  # `amount_total` is what the session asks for
    disputes: list[dict[str, str]] = Plain(JsonField(), internal=True)  # {"id", "status"}, of money that is away

    rules: ClassVar = (  # a field, the query of the rows in which it was edited by hand, and what it should be
        *((name, {name: {"$ne": None}}, None) for name in ("stripe_id", "stripe", "digest", "undoing")),  # no object
        ("payment", {"payment": {"$nin": [*WAYS]}}, BY_SESSION),
        ("payment_status", {"payment_status": {"$nin": [*PaymentStatus]}}, PaymentStatus.PENDING),
        ("payment_id", {"payment_id": _none_of("objectId", "null")}, None),
        *((name, {name: _none_of("array", "null")}, []) for name in ("disputes", "refunded_lines")),
        ("refunded_lines", {"refunded_lines": {"$elemMatch": _none_of("object")}}, []),
        ("disputes", {"disputes": {"$elemMatch": _none_of("object")}}, []),
        ("disputes", {"disputes": {"$elemMatch": {"$nor": [TOLD]}}}, []),
        *(
            (name, {name: _none_of("int", "long", "null")}, None)
            for name in ("amount_total", "amount_refunded", "amount_lost")
        ),
    )

    @classmethod
    def paid_by(cls, documents: Iterable[ObjectId], payment_intents: Iterable[Any]) -> list[Self]:
        """Return the orders for which these documents, or these payment intents of Stripe's, pay; None is none."""
        intents = [intent for intent in payment_intents if isinstance(intent, str)]
        paying = [{"payment_id": {"$in": list(documents)}}, {"payment_intent": {"$in": intents}}]
        return list(cls.objects(__raw__={"$or": paying}))
