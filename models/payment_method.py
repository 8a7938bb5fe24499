"""A payment method: a card that is attached to one customer once. After it is detached, it cannot be attached again.

Browsers create most of them with Stripe's own code, without an event: the first event is about the attachment. Once it
is detached, nobody can use it again.
"""

from typing import ClassVar

from mongoengine import EmbeddedDocumentField, IntField, StringField

from stripe_mongo_sync.models.base.document import SyncedDocument
from stripe_mongo_sync.models.base.resource import Action, Resource, Undo
from stripe_mongo_sync.models.customer import Address, Email
from stripe_mongo_sync.models.rows.database import Part


class Card(Part):
    """A card. Its number never reaches this service: Stripe's code in the browser turns it into a token."""

    meta: ClassVar = {"strict": False}
    token: str | None = StringField(max_length=5000, sent="create")
    exp_month: int | None = IntField(min_value=1, max_value=12)
    exp_year: int | None = IntField(min_value=2000, max_value=2100)
    brand: str | None = StringField(sent="")
    last4: str | None = StringField(sent="")


class BillingDetails(Part):
    """The name and address of the cardholder."""

    meta: ClassVar = {"strict": False}
    name: str | None = StringField(max_length=5000)
    email: str | None = Email(max_length=512)
    phone: str | None = StringField(max_length=20)
    address: Address | None = EmbeddedDocumentField(Address)


class Attachment(Part):
    says = "The customer to attach it to."
    meta: ClassVar = {"strict": False}
    customer: str = StringField(max_length=5000, required=True, references="customer")


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
            "attach": Action(
                done=lambda remote, sent: remote.get("customer") == sent["customer"],
                takes=Attachment,
            ),
            "detach": Action(done=lambda remote, sent: remote.get("customer") is None),
        },
    )

    type: str = StringField(max_length=5000, required=True, sent="create")
    card: Card | None = EmbeddedDocumentField(Card, sent="create update")
    billing_details: BillingDetails | None = EmbeddedDocumentField(BillingDetails, sent="create update")
    allow_redisplay: str | None = StringField(choices=["always", "limited", "unspecified"], sent="create update")
    customer: str | None = StringField(sent="")
