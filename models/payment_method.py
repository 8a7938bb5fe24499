"""A payment method: a card that is attached to one customer once. After it is detached, it cannot be attached again.

Browsers create most of them with Stripe's own code, without an event: the first event is about the attachment. Once it
is detached, nobody can use it again.
"""

from typing import ClassVar

from mongoengine import EmbeddedDocumentField, IntField, StringField

from stripe_mongo_sync.models.base.document import SyncedDocument
from stripe_mongo_sync.models.base.resource import Action, Resource, Undo
from stripe_mongo_sync.models.customer import Address
from stripe_mongo_sync.models.rows.database import Part


class Card(Part):
    """A card. Its number never reaches this service: Stripe's code in the browser turns it into a token."""

    token: str | None = StringField()
    exp_month: int | None = IntField()
    exp_year: int | None = IntField()
    brand: str | None = StringField()
    last4: str | None = StringField()


class BillingDetails(Part):
    """The name and address of the cardholder."""

    name: str | None = StringField()
    email: str | None = StringField()
    phone: str | None = StringField()
    address: Address | None = EmbeddedDocumentField(Address)


class PaymentMethod(SyncedDocument):
    says = "A way to pay."
    meta: ClassVar = {"collection": "payment_methods"}
    resource: ClassVar = Resource(
        kind="payment_method",
        path="/v1/payment_methods",
        undo=(Undo.DETACH,),
        has_created_event=False,
        listable=False,  # Stripe lists them for one customer at a time
        unlisted="detached ones",  # they cannot be used or attached again
        leaves_out=lambda remote: remote.get("customer") is None,
        removable=True,  # a card of before payment methods, which is one, too: DELETE /v1/customers/…/sources/card_…
        deleted_while=lambda remote: not str(remote.get("id", "pm_")).startswith("pm_"),
        usable_if=lambda remote: remote.get("customer") is not None,
        actions={
            "attach": Action(done=lambda remote, sent: all(remote.get(name) == whom for name, whom in sent.items())),
            "detach": Action(done=lambda remote, sent: remote.get("customer") is None),
        },
    )

    type: str = StringField()
    card: Card | None = EmbeddedDocumentField(Card)
    billing_details: BillingDetails | None = EmbeddedDocumentField(BillingDetails)
    allow_redisplay: str | None = StringField()
    customer: str | None = StringField()
