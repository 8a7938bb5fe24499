"""A credit grant: store credit of a customer. It pays metered usage until it is used up, expires or is voided."""

from typing import Any, ClassVar

from mongoengine import EmbeddedDocumentField, IntField, StringField

from stripe_mongo_sync.models.base.document import SyncedDocument
from stripe_mongo_sync.models.base.resource import Action, Resource, Undo
from stripe_mongo_sync.models.rows.database import Part

SECONDS = "In Unix seconds."


class Monetary(Part):
    """An amount of money."""

    currency: str = StringField()
    value: int = IntField(help_text="In the currency's minor unit.")


class GrantAmount(Part):
    """How much is granted."""

    type: str = StringField()
    monetary: Monetary = EmbeddedDocumentField(Monetary)


def _expired(remote: dict[str, Any], sent: dict[str, Any]) -> bool:
    """Whether the action ended it: Stripe then sets its end to that second, and `updated`, too."""
    return remote.get("expires_at") is not None and remote["expires_at"] <= remote["updated"]


def _voided(remote: dict[str, Any], sent: dict[str, Any]) -> bool:
    return remote.get("voided_at") is not None


class CreditGrant(SyncedDocument):
    says = "Store credit."
    meta: ClassVar = {"collection": "billing_credit_grants"}
    resource: ClassVar = Resource(
        kind="billing.credit_grant",
        path="/v1/billing/credit_grants",
        undo=(Undo.VOID,),
        created_filter=False,
        actions={"expire": Action(done=_expired), "void": Action(done=_voided)},
        usable_if=lambda remote: not (_voided(remote, {}) or _expired(remote, {})),
    )

    customer: str = StringField()
    amount: GrantAmount = EmbeddedDocumentField(GrantAmount)
    category: str | None = StringField()
    name: str | None = StringField()
    priority: int | None = IntField(help_text="0 is used first.")
    effective_at: int | None = IntField(help_text=SECONDS)
    expires_at: int | None = IntField(help_text=SECONDS)
    voided_at: int | None = IntField()
