"""A meter: what usage is added up by, so that a price can bill it. It is never deleted, only deactivated."""

from typing import Any, ClassVar, Self

from mongoengine import EmbeddedDocumentField, StringField

from stripe_mongo_sync.models.base.document import SyncedDocument
from stripe_mongo_sync.models.base.facts import Status
from stripe_mongo_sync.models.base.resource import Action, Resource, Undo, is_id
from stripe_mongo_sync.models.rows.database import Part

DEFAULT_NAMES = ("stripe_customer_id", "value")  # under which a payload has the customer and the value


class CustomerMapping(Part):
    """Under which name the payload of a meter event has the customer."""

    type: str = StringField()
    event_payload_key: str = StringField()


class Aggregation(Part):
    """How the values of a period become one."""

    formula: str = StringField(help_text="sum, count or last.")


class ValueSettings(Part):
    """Under which name the payload of a meter event has the value."""

    event_payload_key: str = StringField()


def _is(status: str) -> Any:
    return lambda remote, sent: remote.get("status") == status


class Meter(SyncedDocument):
    says = "What usage is added up by."
    meta: ClassVar = {"collection": "billing_meters"}
    resource: ClassVar = Resource(
        kind="billing.meter",
        path="/v1/billing/meters",
        undo=(Undo.DEACTIVATE,),
        created_filter=False,
        actions={"deactivate": Action(done=_is("inactive")), "reactivate": Action(done=_is("active"))},
        usable_if=lambda remote: remote.get("status") != "inactive",
    )

    display_name: str = StringField()
    event_name: str = StringField(help_text="Usage names the meter by it.")
    event_time_window: str | None = StringField()
    customer_mapping: CustomerMapping = EmbeddedDocumentField(CustomerMapping)
    default_aggregation: Aggregation = EmbeddedDocumentField(Aggregation)
    value_settings: ValueSettings = EmbeddedDocumentField(ValueSettings)
    stripe_status: str = StringField(stripe_name="status")  # active or inactive

    @classmethod
    def named(cls, name: str) -> Self | None:
        """Return the meter with this event name, an active one before others; else the one with this id."""
        by_name = {"$or": [{"stripe.event_name": name}, {"event_name": name, "status": Status.PENDING}]}
        found: Self | None = cls.objects(__raw__=by_name).order_by("-is_current", "status", "stripe.status").first()
        return found or (cls.lookup(name) if is_id(name) else None)

    @property
    def payload_names(self) -> tuple[str, str, str]:
        """Its event name, and the names under which a payload has the customer and the value."""
        shown = self.stripe or {}
        parts = zip(("customer_mapping", "value_settings"), DEFAULT_NAMES, strict=True)
        by, valued = ((shown.get(part) or {}).get("event_payload_key") or name for part, name in parts)
        return shown.get("event_name") or self.event_name, by, valued
