"""A subscription: a customer pays for recurring prices, period after period, until it is canceled."""

from typing import Any, ClassVar, NotRequired, TypedDict

from mongoengine import BooleanField, EmbeddedDocumentField, EmbeddedDocumentListField, IntField, StringField

from stripe_mongo_sync.models.base.document import SyncedDocument
from stripe_mongo_sync.models.base.embedded import Call, JsonField
from stripe_mongo_sync.models.base.resource import Action, Linked, Resource
from stripe_mongo_sync.models.rows.database import Part


class SubscriptionItem(Part):
    """A quantity of one recurring price. In an update, `id` names the item to change, and `deleted` removes it."""

    price: str | None = StringField()
    price_data: dict[str, Any] | None = JsonField()
    quantity: int | None = IntField()
    id: str | None = StringField()
    deleted: bool | None = BooleanField()


class Pause(Part):
    """What happens to invoices during the pause, and when it ends."""

    behavior: str = StringField()
    resumes_at: int | None = IntField()  # in seconds


class Cancellation(TypedDict):
    """Immediately, or at the end of the paid period."""

    at_period_end: NotRequired[bool]


# An update of anything else may charge the customer, or change what they will pay.
HARMLESS = frozenset(
    {
        *("cancel_at_period_end", "cancellation_details", "collection_method", "days_until_due", "description"),
        *("default_payment_method", "default_source", "invoice_settings", "payment_behavior", "payment_settings"),
        *("proration_behavior", "expand"),
    }
)


def _moves_money(verb: str, sent: dict[str, Any]) -> bool:
    match verb:
        case "create":
            return True
        case "update":
            return not HARMLESS.issuperset(sent)
    return bool(verb == "cancel" and (sent.get("invoice_now") or sent.get("prorate")))


def _pause(document: Linked, given: dict[str, Any]) -> list[Call]:
    return [Call(document.path, {"pause_collection": given})]


def _resume(document: Linked, given: dict[str, Any]) -> list[Call]:
    """Return the call that resumes it: if Stripe paused it after a trial without a card, a POST of its own."""
    if (document.stripe or {}).get("status") == "paused":
        return [Call(f"{document.path}/resume", given)]
    return [Call(document.path, {**given, "pause_collection": ""})]


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
        moves_money_if=_moves_money,
        types={
            "pause": "SubscriptionUpdateParamsPauseCollection",
            "cancel": (Cancellation, "SubscriptionCancelParams"),
        },
        actions={
            "pause": Action(done=lambda remote, sent: remote.get("pause_collection") is not None, calls=_pause),
            "resume": Action(
                done=lambda remote, sent: remote.get("pause_collection") is None and remote.get("status") != "paused",
                moves_money=True,
                calls=_resume,
            ),
            "cancel": Action(done=_is_ended, calls=_cancel),
        },
    )

    customer: str = StringField()
    items: list[SubscriptionItem] = EmbeddedDocumentListField(SubscriptionItem)
    cancel_at_period_end: bool | None = BooleanField()
    collection_method: str | None = StringField()
    days_until_due: int | None = IntField()
    default_payment_method: str | None = StringField()
    description: str | None = StringField(unfilled=True)
    trial_end: int | None = IntField()  # in seconds
    stripe_status: str = StringField(stripe_name="status")
    pause_collection: Pause | None = EmbeddedDocumentField(Pause)
    cancel_at: int | None = IntField()
    canceled_at: int | None = IntField()
    ended_at: int | None = IntField()
    latest_invoice: str | None = StringField()
    currency: str | None = StringField()

    @classmethod
    def in_request_shape(cls, remote: dict[str, Any]) -> dict[str, Any]:
        """Return the subscription with its items as in a request: Stripe shows a list object with whole prices."""
        listed = remote.get("items")
        found = listed.get("data", []) if isinstance(listed, dict) else []
        return {**remote, "items": [{**item, "price": (item.get("price") or {}).get("id")} for item in found]}
