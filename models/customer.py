"""A customer: the username that identifies them here, and what Stripe keeps of them."""

import re
import unicodedata
from typing import Any, ClassVar, Self
from urllib.parse import quote

from bson import ObjectId
from mongoengine import (
    BooleanField,
    EmbeddedDocument,
    EmbeddedDocumentField,
    IntField,
    ListField,
    StringField,
    ValidationError,
)
from pymongo import IndexModel

from models.base import SyncedDocument
from models.indexes import A_STRING
from models.parts import Call
from models.resource import Action, Resource, Undo

CONTROL = r"\x00-\x1f\x7f-\x9f"
EMAIL = re.compile(rf"[^@\s{CONTROL}]{{1,64}}@[^@\s.{CONTROL}]+(\.[^@\s.{CONTROL}]+)+")
STRIPE_ID = re.compile(r"cus_\w+")


def fold(username: str) -> str:
    """Return what makes two usernames the same: NFKC, without regard to case."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", username).casefold())


def check_username(username: str) -> None:
    """Raise ValidationError unless this may name a customer."""
    if not username.strip():
        raise ValidationError("is empty")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in username):
        raise ValidationError("has control characters")
    if ObjectId.is_valid(fold(username)) or STRIPE_ID.fullmatch(fold(username)):
        raise ValidationError("looks like an id; choose another name, such as an e-mail address")
    if len(fold(username)) > 1024:
        raise ValidationError("is too long")


class Email(StringField):
    """What Stripe could take for an e-mail address."""

    form = f"^{EMAIL.pattern}$"

    def validate(self, value: Any) -> None:
        """Raise ValidationError unless it is one."""
        super().validate(value)
        if not EMAIL.fullmatch(value):
            self.error("is not an e-mail address")


class Address(EmbeddedDocument):
    """A postal address, in Stripe's shape."""

    meta: ClassVar = {"strict": False}
    line1: str | None = StringField(max_length=5000)
    line2: str | None = StringField(max_length=5000)
    city: str | None = StringField(max_length=5000)
    state: str | None = StringField(max_length=5000)
    postal_code: str | None = StringField(max_length=5000)
    country: str | None = StringField(max_length=5000, help_text="ISO 3166-1 alpha-2.")


class Shipping(EmbeddedDocument):
    """Where goods are sent to."""

    meta: ClassVar = {"strict": False}
    name: str = StringField(max_length=5000, required=True)
    phone: str | None = StringField(max_length=5000)
    address: Address = EmbeddedDocumentField(Address, required=True)


class InvoiceSettings(EmbeddedDocument):
    """How the customer's invoices are paid, unless they say otherwise."""

    meta: ClassVar = {"strict": False}
    default_payment_method: str | None = StringField(max_length=5000, refers="payment_method", unheard=True)


class ChosenMethod(EmbeddedDocument):
    says = "The payment method from now on."
    meta: ClassVar = {"strict": False}
    payment_method: str = StringField(max_length=5000, required=True, refers="payment_method", unheard=True)


def _pay_with(document: SyncedDocument, given: dict[str, Any]) -> list[Call]:
    """Attach it, which is no change where that was done before; then make it the default."""
    method = given["payment_method"]
    return [
        Call(f"/v1/payment_methods/{quote(method, safe='')}/attach", {"customer": document.stripe_id}),
        Call(document.path, {"invoice_settings": {"default_payment_method": method}}),
    ]


class Customer(SyncedDocument):
    says = "Somebody who buys."
    meta: ClassVar = {
        "collection": "customers",
    }
    indexes: ClassVar = [
        *SyncedDocument.indexes,
        IndexModel("username_key", unique=True, partialFilterExpression={"live": True, "username_key": A_STRING}),
    ]
    resource: ClassVar = Resource(
        kind="customer",
        prefix="cus_",
        path="/v1/customers",
        undo=(Undo.DELETE,),
        deletable=True,
        actions={
            "payment_method": Action(
                done=lambda remote, sent: (
                    remote.get("invoice_settings", {}).get("default_payment_method")
                    == sent["invoice_settings"]["default_payment_method"]
                ),
                takes=ChosenMethod,
                calls=_pay_with,
            )
        },
        # Deleting a customer cancels their subscriptions and cannot be taken back.
        holds=("/v1/subscriptions", "/v1/payment_intents", "/v1/charges", "/v1/invoices"),
    )

    username: str | None = StringField(
        min_length=1,
        max_length=255,
        validation=check_username,
        form=rf"^[^{CONTROL}]*[^\s{CONTROL}][^{CONTROL}]*$",
        local=True,
        required=True,
        help_text="Unique without regard to case, and not shaped like an id, ours or Stripe's. Adopted, there is none.",
    )
    username_key: str | None = StringField()  # folded: unique among live customers

    email: str | None = Email(max_length=512, sent="create update")
    name: str | None = StringField(max_length=256, sent="create update")
    phone: str | None = StringField(max_length=20, sent="create update")
    description: str | None = StringField(max_length=5000, sent="create update")
    address: Address | None = EmbeddedDocumentField(Address, sent="create update")
    shipping: Shipping | None = EmbeddedDocumentField(Shipping, sent="create update")
    preferred_locales: list[str] = ListField(StringField(max_length=5000), max_length=50, sent="create update")
    invoice_settings: InvoiceSettings | None = EmbeddedDocumentField(InvoiceSettings, sent="update")
    tax_exempt: str = StringField(choices=["none", "exempt", "reverse"], sent="create update")
    invoice_prefix: str | None = StringField(regex=r"[A-Z0-9]{1,12}\Z", sent="create update")
    balance: int = IntField(sent="", help_text="In the currency's minor unit; below zero, credit.")
    currency: str | None = StringField(sent="")
    delinquent: bool | None = BooleanField(sent="")

    @classmethod
    def lookup(cls, reference: str) -> Self | None:
        """Return the customer of our id, Stripe's id, or a username, looked for in that order."""
        return super().lookup(reference) or cls.objects(username_key=fold(reference), live=True).first()

    @classmethod
    def prepared(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Fold the username, and fill the e-mail address from a username that is one."""
        username = values.get("username")
        if username is None:
            return values
        derived = {"username_key": fold(username)}
        if "email" not in values and EMAIL.fullmatch(username) and len(username) <= 512:
            derived["email"] = username
        return {**values, **derived}
