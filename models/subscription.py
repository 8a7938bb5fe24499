"""A subscription: a customer pays for recurring prices, period after period, until it is canceled."""

from typing import Any, ClassVar

from mongoengine import (
    BooleanField,
    EmbeddedDocumentField,
    EmbeddedDocumentListField,
    IntField,
    StringField,
)

from stripe_mongo_sync.models.amounts import LARGEST
from stripe_mongo_sync.models.base.document import SyncedDocument
from stripe_mongo_sync.models.base.embedded import Call
from stripe_mongo_sync.models.base.resource import Action, Linked, Resource
from stripe_mongo_sync.models.line_items import Period
from stripe_mongo_sync.models.rows.database import Part


class OwnPrice(Part):
    """A price made for one subscription, in the currency's minor unit; the product must exist."""

    meta: ClassVar = {"strict": False}
    currency: str = StringField(regex=r"[A-Za-z]{3}$", required=True)
    unit_amount: int = IntField(min_value=0, max_value=LARGEST, required=True)
    product: str = StringField(max_length=5000, references="product", required=True)
    recurring: Period = EmbeddedDocumentField(Period, required=True)


class SubscriptionItem(Part):
    """A quantity of one recurring price. In an update, `id` names the item to change, and `deleted` removes it."""

    meta: ClassVar = {"strict": False}
    price: str | None = StringField(max_length=5000, references="price")
    price_data: OwnPrice | None = EmbeddedDocumentField(OwnPrice)
    quantity: int | None = IntField(min_value=0, max_value=999_999)
    id: str | None = StringField(max_length=5000, sent="update")
    deleted: bool | None = BooleanField(sent="update")


class CancellationDetails(Part):
    """Why it ends."""

    meta: ClassVar = {"strict": False}
    comment: str | None = StringField(max_length=5000)
    feedback: str | None = StringField(
        choices=[
            *("customer_service", "low_quality", "missing_features", "other"),
            *("switched_service", "too_complex", "too_expensive", "unused"),
        ]
    )


class Pause(Part):
    says = "What happens to invoices during the pause, and when it ends."
    meta: ClassVar = {"strict": False}
    behavior: str = StringField(choices=["keep_as_draft", "mark_uncollectible", "void"], required=True)
    resumes_at: int | None = IntField(min_value=0)  # in seconds


class Cancellation(Part):
    says = "Immediately, or at the end of the paid period."
    meta: ClassVar = {"strict": False}
    at_period_end: bool | None = BooleanField()
    cancellation_details: CancellationDetails | None = EmbeddedDocumentField(CancellationDetails)


def _pause(document: Linked, given: dict[str, Any]) -> list[Call]:
    return [Call(document.path, {"pause_collection": given})]


def _resume(document: Linked, given: dict[str, Any]) -> list[Call]:
    """Return the call that resumes it: if Stripe paused it after a trial without a card, a POST of its own."""
    if (document.stripe or {}).get("status") == "paused":
        return [Call(f"{document.path}/resume", {})]
    return [Call(document.path, {"pause_collection": ""})]


def _cancel(document: Linked, given: dict[str, Any]) -> list[Call]:
    details = {name: value for name, value in given.items() if name != "at_period_end"}
    if given.get("at_period_end"):
        return [Call(document.path, {**details, "cancel_at_period_end": True})]
    return [Call(document.path, details, "delete")]


def _is_ended(remote: dict[str, Any], sent: dict[str, Any]) -> bool:
    return remote.get("status") == "canceled" or bool(
        sent.get("cancel_at_period_end") and remote.get("cancel_at_period_end")
    )


class Subscription(SyncedDocument):
    says = "A payment that recurs."
    meta: ClassVar = {"collection": "subscriptions"}
    resource: ClassVar = Resource(
        kind="subscription",
        path="/v1/subscriptions",
        event_prefixes=("customer.subscription",),
        readable_after_delete=True,
        parts={"items": "/v1/subscription_items?subscription={id}"},
        list_params=({"status": "all"},),  # else the canceled ones are not listed
        undo=(),  # it has probably charged a customer, so an operator decides
        moves_money_if=lambda verb, sent: verb == "create" or "items" in sent,
        actions={
            "pause": Action(
                done=lambda remote, sent: remote.get("pause_collection") is not None, takes=Pause, calls=_pause
            ),
            "resume": Action(
                done=lambda remote, sent: remote.get("pause_collection") is None and remote.get("status") != "paused",
                moves_money=True,
                calls=_resume,
            ),
            "cancel": Action(done=_is_ended, takes=Cancellation, calls=_cancel),
        },
    )

    customer: str = StringField(max_length=5000, required=True, references="customer", sent="create")
    items: list[SubscriptionItem] = EmbeddedDocumentListField(
        SubscriptionItem, max_length=20, required=True, sent="create update"
    )
    cancel_at_period_end: bool | None = BooleanField(sent="create update")
    collection_method: str | None = StringField(choices=["charge_automatically", "send_invoice"], sent="create update")
    days_until_due: int | None = IntField(min_value=0, sent="create update")
    default_payment_method: str | None = StringField(
        max_length=5000, references="payment_method", allow_unknown=True, sent="create update"
    )
    description: str | None = StringField(max_length=500, sent="create update", unfilled=True)
    trial_end: int | None = IntField(min_value=0, sent="create")  # in seconds
    trial_period_days: int | None = IntField(min_value=1, max_value=730, sent="create", write_only=True)
    payment_behavior: str | None = StringField(
        choices=["allow_incomplete", "default_incomplete", "error_if_incomplete", "pending_if_incomplete"],
        sent="create update",
        write_only=True,
    )
    proration_behavior: str | None = StringField(
        choices=["always_invoice", "create_prorations", "none"], sent="create update", write_only=True
    )
    stripe_status: str = StringField(sent="", stripe_name="status")
    pause_collection: Pause | None = EmbeddedDocumentField(Pause, sent="")
    cancel_at: int | None = IntField(sent="")
    canceled_at: int | None = IntField(sent="")
    ended_at: int | None = IntField(sent="")
    latest_invoice: str | None = StringField(sent="")
    currency: str | None = StringField(sent="")

    @classmethod
    def in_request_shape(cls, remote: dict[str, Any]) -> dict[str, Any]:
        """Return the subscription with its items as in a request: Stripe shows a list object with whole prices."""
        listed = remote.get("items")
        found = listed.get("data", []) if isinstance(listed, dict) else []
        return {**remote, "items": [{**item, "price": (item.get("price") or {}).get("id")} for item in found]}
