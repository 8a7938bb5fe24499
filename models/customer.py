"""A customer: the username that identifies them here, and what Stripe keeps of them."""

import re
from typing import Any, ClassVar, Self
from urllib.parse import quote

from bson import ObjectId
from mongoengine import (
    BooleanField,
    EmbeddedDocumentField,
    IntField,
    StringField,
)
from pymongo import IndexModel

from stripe_mongo_sync.models.base.document import SyncedDocument
from stripe_mongo_sync.models.base.embedded import Call, Plain
from stripe_mongo_sync.models.base.resource import Action, Linked, Resource, Undo
from stripe_mongo_sync.models.rows.database import Part
from stripe_mongo_sync.models.rows.indexes import A_STRING
from stripe_mongo_sync.models.rows.scrub import ID
from stripe_mongo_sync.models.rows.username import (
    CONTROL,
    FORM,
    LONGEST,
    STRIPE_ID,
    UNSEEN,
    check_username,
    fold,
    key_of_id,
    keys_of,
)

WEB_ADDRESS = re.compile(rf"https?://[^{CONTROL}]*")
EMAIL = re.compile(rf"[^@\s{UNSEEN}]{{1,64}}@[^@\s.{UNSEEN}]+(\.[^@\s.{UNSEEN}]+)+")


class Email(StringField):
    """What Stripe could take for an e-mail address."""

    schema_pattern = f"^{EMAIL.pattern}$"

    def validate(self, value: Any) -> None:
        """Raise ValidationError unless it is one."""
        super().validate(value)
        if not EMAIL.fullmatch(value):
            self.error("is not an e-mail address")


class WebAddress(StringField):
    """Where a browser can be led to."""

    schema_pattern = f"^{WEB_ADDRESS.pattern}$"

    def validate(self, value: Any) -> None:
        """Raise ValidationError unless it is an http address."""
        super().validate(value)
        if not WEB_ADDRESS.fullmatch(value):
            self.error("must be an http address, without control characters")


class Address(Part):
    """A postal address, in Stripe's shape."""

    meta: ClassVar = {"strict": False}
    line1: str | None = StringField(max_length=5000)
    line2: str | None = StringField(max_length=5000)
    city: str | None = StringField(max_length=5000)
    state: str | None = StringField(max_length=5000)
    postal_code: str | None = StringField(max_length=5000)
    country: str | None = StringField(max_length=5000, help_text="ISO 3166-1 alpha-2.")


class Shipping(Part):
    """Where goods are sent to."""

    meta: ClassVar = {"strict": False}
    name: str = StringField(max_length=5000, required=True)
    phone: str | None = StringField(max_length=5000)
    address: Address = EmbeddedDocumentField(Address, required=True)


class InvoiceSettings(Part):
    """How the customer's invoices are paid, unless they say otherwise."""

    meta: ClassVar = {"strict": False}
    default_payment_method: str | None = StringField(max_length=5000, references="payment_method", allow_unknown=True)


class ChosenMethod(Part):
    says = "The payment method from now on."
    meta: ClassVar = {"strict": False}
    payment_method: str = StringField(max_length=5000, required=True, references="payment_method", allow_unknown=True)


class PortalVisit(Part):
    says = "Where the portal leads the customer back to."
    meta: ClassVar = {"strict": False}
    return_url: str | None = WebAddress(max_length=5000)


def _pay_with(document: Linked, given: dict[str, Any]) -> list[Call]:
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
        # Unique, which with the `_id` everything is, so that no start goes on without it: each sign-up asks it.
        IndexModel([("id_key", 1), ("_id", 1)], unique=True, partialFilterExpression={"id_key": A_STRING}),
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
        undo_blockers=("/v1/subscriptions", "/v1/payment_intents", "/v1/charges", "/v1/invoices"),
    )

    username: str | None = StringField(
        min_length=1,
        max_length=LONGEST,
        validation=check_username,
        schema_pattern=FORM,
        local_only=True,
        required=True,
        help_text="Unique without regard to case. Nothing in it is invisible, and it is not shaped like an id, ours or "
        "Stripe's. Adopted, there is none.",
    )
    username_key: str | None = StringField()  # folded: unique among live customers
    id_key: str | None = StringField()  # of an id that somebody chose, folded: nobody else's username may be that

    email: str | None = Email(max_length=512, sent="create update", unfilled=True)
    name: str | None = StringField(max_length=256, sent="create update", unfilled=True)
    phone: str | None = StringField(max_length=20, sent="create update", unfilled=True)
    description: str | None = StringField(max_length=5000, sent="create update", unfilled=True)
    address: Address | None = EmbeddedDocumentField(Address, sent="create update")
    shipping: Shipping | None = EmbeddedDocumentField(Shipping, sent="create update")
    preferred_locales: list[str] = Plain(StringField(max_length=5000), max_length=50, sent="create update")
    invoice_settings: InvoiceSettings | None = EmbeddedDocumentField(InvoiceSettings, sent="update")
    tax_exempt: str = StringField(choices=["none", "exempt", "reverse"], sent="create update")
    invoice_prefix: str | None = StringField(regex=r"[A-Z0-9]{1,12}\Z", sent="create update")
    balance: int = IntField(sent="", help_text="In the currency's minor unit; below zero, credit.")
    currency: str | None = StringField(sent="")
    delinquent: bool | None = BooleanField(sent="")

    def identity(self) -> dict[str, Any]:
        """Return the fields that identify them in logs; a chosen id may be a person's name."""
        given = self.stripe_id if ID.fullmatch(self.stripe_id or "") else None
        return {**super().identity(), "stripe_id": given}

    @classmethod
    def lookup(cls, reference: str) -> Self | None:
        """Return the customer of our id, of an id that Stripe gives, of a username, or of an id that somebody chose,
        looked for in that order: see `meant`.
        """
        return cls.meant(reference) or super().lookup(reference)

    @classmethod
    def meant(cls, username: str) -> Self | None:
        """Return the live customer of a username. Beside it, only what no username looks like names one: our id, and an
        id of the form that Stripe gives, which an adopted customer has for a name.
        """
        if ObjectId.is_valid(username):
            found: Self | None = cls.objects(id=ObjectId(username)).first()
        elif len(username) <= LONGEST and STRIPE_ID.fullmatch(username):
            found = cls.objects(stripe_id=username, live=True).first()
        else:
            found = next(iter(cls.named(username, live=True)), None)
        return found

    @classmethod
    def named(cls, username: str, *, live: bool) -> list[Self]:
        """Return the customers of a username, the newest first; one of this very name before what looks like it."""
        keys = keys_of(username)
        found = cls.objects(username_key__in=keys, live=live).order_by("-created_at") if keys else ()
        return sorted(found, key=lambda customer: keys.index(str(customer.username_key)))

    @classmethod
    def taken_by(cls, values: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the queries of the customer whose id at Stripe the username is, and who would be taken for this one.

        Rows that no run has migrated have no `id_key` yet.
        """
        if (key := values.get("username_key")) is None:
            return []
        same = ({"id_key": {"$eq": key}}, {"stripe_id": {"$eq": values["username"]}})
        return [{**each, "live": True} for each in same]

    @classmethod
    def fields_from(cls, remote: dict[str, Any]) -> dict[str, Any]:
        """Return the own fields as Stripe has them, and what keeps the id from being somebody's name."""
        return {**super().fields_from(remote), "id_key": key_of_id(remote["id"])}

    @classmethod
    def with_derived(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Fold the username, and fill the e-mail address from a username that is one."""
        username = values.get("username")
        if username is None:
            return values
        derived = {"username_key": fold(username)}
        if "email" not in values and EMAIL.fullmatch(username) and len(username) <= 512:
            derived["email"] = username
        return {**values, **derived}
