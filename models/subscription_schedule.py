"""A subscription schedule: the phases that a subscription goes through, such as a trial before the full price."""

from typing import Any, ClassVar

from mongoengine import EmbeddedDocumentField, EmbeddedDocumentListField, IntField, StringField

from stripe_mongo_sync.models.base.document import SyncedDocument
from stripe_mongo_sync.models.base.resource import Action, Resource
from stripe_mongo_sync.models.rows.database import Part

SECONDS = "In Unix seconds."


class PhaseItem(Part):
    """A quantity of one recurring price."""

    price: str | None = StringField()
    quantity: int | None = IntField()


class Phase(Part):
    """What the subscription has from one moment to another."""

    start_date: int | None = IntField(help_text=SECONDS)
    end_date: int | None = IntField(help_text=SECONDS)
    items: list[PhaseItem] = EmbeddedDocumentListField(PhaseItem)
    trial_end: int | None = IntField(help_text=SECONDS)


class CurrentPhase(Part):
    """The phase of now."""

    start_date: int = IntField(help_text=SECONDS)
    end_date: int = IntField(help_text=SECONDS)


def _moves_money(verb: str, sent: dict[str, Any]) -> bool:
    """Whether it may charge the customer. Stripe's cancel makes a last invoice with prorations unless told not to."""
    match verb:
        case "create":
            return "from_subscription" not in sent  # which goes on as it is
        case "update":
            return not sent.keys() <= {"end_behavior", "expand"}
    return verb == "cancel" and (sent.get("invoice_now") is not False or sent.get("prorate") is not False)


class SubscriptionSchedule(SyncedDocument):
    says = "The phases of a subscription."
    meta: ClassVar = {"collection": "subscription_schedules"}
    resource: ClassVar = Resource(
        kind="subscription_schedule",
        path="/v1/subscription_schedules",
        undo=(),  # its subscription has probably charged a customer, or is one that goes on: an operator decides
        moves_money_if=_moves_money,
        actions={
            "cancel": Action(done=lambda remote, sent: remote.get("status") == "canceled"),
            "release": Action(done=lambda remote, sent: remote.get("status") == "released"),
        },
    )

    customer: str = StringField()
    subscription: str | None = StringField(help_text="The subscription that it manages; null before it starts.")
    released_subscription: str | None = StringField(help_text="The subscription that it has left.")
    stripe_status: str = StringField(stripe_name="status")  # not_started, active, completed, released or canceled
    end_behavior: str | None = StringField(help_text="What becomes of the subscription after the last phase.")
    phases: list[Phase] = EmbeddedDocumentListField(Phase)
    current_phase: CurrentPhase | None = EmbeddedDocumentField(CurrentPhase)
    canceled_at: int | None = IntField(help_text=SECONDS)
    completed_at: int | None = IntField(help_text=SECONDS)
    released_at: int | None = IntField(help_text=SECONDS)
