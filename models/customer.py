"""A customer: the username that identifies them here, and their fields at Stripe."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, NotRequired, Self, TypedDict, TypeVar
from urllib.parse import quote

from bson import ObjectId
from mongoengine import BooleanField, DateTimeField, EmbeddedDocumentField, IntField, StringField
from pymongo import IndexModel

from stripe_mongo_sync.models.base.document import SyncedDocument
from stripe_mongo_sync.models.base.embedded import Call, Plain
from stripe_mongo_sync.models.base.input import Invalid, checked
from stripe_mongo_sync.models.base.resource import Action, Linked, Resource, Undo
from stripe_mongo_sync.models.lists.listed import Documents
from stripe_mongo_sync.models.rows.database import Part
from stripe_mongo_sync.models.rows.indexes import A_DATE, A_STRING
from stripe_mongo_sync.models.rows.scrub import ID
from stripe_mongo_sync.models.rows.sure import sure
from stripe_mongo_sync.models.username import (
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

if TYPE_CHECKING:
    from stripe_mongo_sync.models import Invoice, Order, PaymentIntent, PaymentMethod, Quote, Refund, Subscription

GRANTED, REVOKED = "access.granted", "access.revoked"  # notices: see sync/entitlements/changes.py
WEB_ADDRESS = re.compile(rf"https?://[^{CONTROL}]*")
EMAIL = re.compile(rf"[^@\s{UNSEEN}]{{1,64}}@[^@\s.{UNSEEN}]+(\.[^@\s.{UNSEEN}]+)+")


Lists = TypeVar("Lists", bound=Callable[..., Documents[Any]])


class Email(StringField):
    """A text that Stripe may accept as an e-mail address, without invisible characters: people go by what they see."""

    schema_pattern = f"^({EMAIL.pattern})?$"

    def validate(self, value: Any) -> None:
        """Raise ValidationError unless the value has the form of an e-mail address."""
        super().validate(value)
        if not EMAIL.fullmatch(value):
            self.error("is not an e-mail address")


class Address(Part):
    """A postal address, in Stripe's shape."""

    line1: str | None = StringField()
    line2: str | None = StringField()
    city: str | None = StringField()
    state: str | None = StringField()
    postal_code: str | None = StringField()
    country: str | None = StringField(help_text="ISO 3166-1 alpha-2.")


class Shipping(Part):
    """The recipient of goods."""

    name: str = StringField()
    phone: str | None = StringField()
    address: Address = EmbeddedDocumentField(Address)


class ChosenMethod(TypedDict):
    """The customer's default payment method from now on."""

    payment_method: str


class PortalVisit(TypedDict):
    """The address to which the portal sends the customer back."""

    return_url: NotRequired[str]


def check_visit(given: dict[str, Any]) -> dict[str, Any]:
    """Return what a portal visit takes. Raises Invalid, also unless the address is one to go back to in a browser."""
    visit = checked(PortalVisit, given)
    if (address := visit.get("return_url")) is not None and not WEB_ADDRESS.fullmatch(address):
        raise Invalid({"return_url": "must be an http address, without control characters"})
    return visit


class InvoiceSettings(Part):
    """The defaults for paying the customer's invoices."""

    default_payment_method: str | None = StringField()


def _pay_with(document: Linked, given: dict[str, Any]) -> list[Call]:
    """Return the calls that attach a payment method, even if it is attached already, and make it the default."""
    method = given["payment_method"]
    return [
        Call(f"/v1/payment_methods/{quote(method, safe='')}/attach", {"customer": document.stripe_id}),
        Call(document.path, {"invoice_settings": {"default_payment_method": method}}),
    ]


_lists: Callable[["Customer", str, Mapping[str, Any]], Documents[Any]] | None = None


def of_customers(lists: Lists) -> Lists:
    """Register the function that returns what a customer has of a kind, which is above this room."""
    global _lists
    _lists = lists
    return lists


class Customer(SyncedDocument):
    says = "A customer of the shop."
    meta: ClassVar = {"collection": "customers"}
    indexes: ClassVar = [
        *SyncedDocument.indexes,
        IndexModel(
            "username_key",
            name="username_key_1_is_current",  # beside that of an older version, until its rows are upgraded
            unique=True,
            partialFilterExpression={"is_current": True, "username_key": A_STRING},
        ),
        IndexModel("email", partialFilterExpression={"email": A_STRING}),  # an operator's search
        # Each creation of a customer queries this. With `_id`, `unique` forbids nothing, but a start then requires it.
        IndexModel("access_until", partialFilterExpression={"access_until": A_DATE}),
        IndexModel("made_for", partialFilterExpression={"made_for": A_STRING}),
        IndexModel([("id_key", 1), ("_id", 1)], unique=True, partialFilterExpression={"id_key": A_STRING}),
    ]
    resource: ClassVar = Resource(
        kind="customer",
        path="/v1/customers",
        undo=(Undo.DELETE,),
        deletable=True,
        # What the customer owes changes by `balance`, and a repeated update would take back what happened since.
        moves_money_if=lambda verb, sent: "balance" in sent,
        types={"payment_method": ChosenMethod},
        actions={
            "payment_method": Action(
                done=lambda remote, sent: (
                    remote.get("invoice_settings", {}).get("default_payment_method")
                    == sent["invoice_settings"]["default_payment_method"]
                ),
                calls=_pay_with,
            )
        },
        # Deleting a customer cancels their subscriptions and cannot be taken back.
        notices=(GRANTED, REVOKED),
        undo_blockers=("/v1/subscriptions", "/v1/payment_intents", "/v1/charges", "/v1/invoices"),
    )

    username: str | None = StringField(
        min_length=1,
        max_length=LONGEST,
        validation=check_username,
        schema_pattern=FORM,
        local_only=True,
        required=True,
        help_text="Unique without regard to case. It has no invisible characters, and does not look like a document's "
        "id or Stripe's. An adopted customer has none.",
    )
    entitled: list[str] | None = Plain(StringField(), default=None, internal=True)  # to what, as hooks were told
    access_until: datetime | None = DateTimeField(internal=True)  # when time alone may change that
    made_for: str | None = StringField(internal=True)  # kind:id of what they are provisional for: sync/engine/buyer.py
    username_key: str | None = StringField(internal=True)  # see `fold`: unique among current customers
    id_key: str | None = StringField(internal=True)  # the same of a custom id: no other's username may look like it

    email: str | None = Email(unfilled=True)
    name: str | None = StringField(unfilled=True)
    phone: str | None = StringField(unfilled=True)
    description: str | None = StringField(unfilled=True)
    address: Address | None = EmbeddedDocumentField(Address)
    shipping: Shipping | None = EmbeddedDocumentField(Shipping)
    preferred_locales: list[str] = Plain(StringField())
    invoice_settings: InvoiceSettings | None = EmbeddedDocumentField(InvoiceSettings)
    tax_exempt: str = StringField()
    invoice_prefix: str | None = StringField()
    balance: int = IntField(help_text="In the currency's minor unit; below zero, credit.")
    currency: str | None = StringField()
    delinquent: bool | None = BooleanField()

    def begin(self, operation: dict[str, Any], **changes: Any) -> Self | None:
        """Stage an operation. Who is changed or deleted is no longer provisional."""
        return super().begin(operation, made_for=None, **changes)

    def keep(self) -> bool:
        """Let a provisional customer stay; return whether they do."""
        while self.is_idle and self.is_current and self.made_for is not None:
            self = self.update_if_unchanged(made_for=None) or self.fetch_latest()
        return self.is_idle and self.is_current

    def identity(self) -> dict[str, Any]:
        """Return the fields that identify them in logs. A custom id is left out, because it may be a person's name."""
        given = self.stripe_id if ID.fullmatch(self.stripe_id or "") else None
        return {**super().identity(), "stripe_id": given}

    def subscriptions(self, **filters: Any) -> "Documents[Subscription]":
        """Return an iterator over their subscriptions, as `find("subscription", customer=…)` does."""
        return sure(_lists)(self, "subscription", filters)

    def invoices(self, **filters: Any) -> "Documents[Invoice]":
        """Return the same of their invoices."""
        return sure(_lists)(self, "invoice", filters)

    def orders(self, **filters: Any) -> "Documents[Order]":
        """Return the same of their orders."""
        return sure(_lists)(self, "order", filters)

    def payment_methods(self, **filters: Any) -> "Documents[PaymentMethod]":
        """Return the same of their payment methods."""
        return sure(_lists)(self, "payment_method", filters)

    def payment_intents(self, **filters: Any) -> "Documents[PaymentIntent]":
        """Return the same of their payment intents."""
        return sure(_lists)(self, "payment_intent", filters)

    def charges(self, **filters: Any) -> Documents[SyncedDocument]:
        """Return the same of their charges."""
        return sure(_lists)(self, "charge", filters)

    def quotes(self, **filters: Any) -> "Documents[Quote]":
        """Return the same of the quotes that were made to them."""
        return sure(_lists)(self, "quote", filters)

    def refunds(self, **filters: Any) -> "Documents[Refund]":
        """Return the same of the refunds of their payments."""
        return sure(_lists)(self, "refund", filters)

    @classmethod
    def lookup(cls, reference: str) -> Self | None:
        """Return the customer with this document id, `cus_…` id, username or custom id, in this order, or None."""
        return cls.by_username(reference) or super().lookup(reference)

    @classmethod
    def by_username(cls, username: str) -> Self | None:
        """Return the current customer with this username, or None.

        A document's id and an id of the form `cus_…` are accepted, too, because no username can look like them. An
        adopted customer has no other name.
        """
        if ObjectId.is_valid(username):
            found: Self | None = cls.objects(id=ObjectId(username)).first()
        elif len(username) <= LONGEST and STRIPE_ID.fullmatch(username):
            found = cls.objects(stripe_id=username, is_current=True).first()
        else:
            found = next(iter(cls.with_username(username, is_current=True)), None)
        return found

    @classmethod
    def with_username(cls, username: str, *, is_current: bool) -> list[Self]:
        """Return the customers with this username or one that looks the same: exact matches first, then the newest."""
        keys = keys_of(username)
        found = cls.objects(username_key__in=keys, is_current=is_current).order_by("-created_at") if keys else ()
        return sorted(found, key=lambda customer: keys.index(str(customer.username_key)))

    @classmethod
    def taken_by(cls, values: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the query for a customer whose custom id at Stripe looks like this username."""
        key = values.get("username_key")
        return [] if key is None else [{"id_key": {"$eq": key}, "is_current": True}]

    @classmethod
    def fields_from(cls, remote: dict[str, Any]) -> dict[str, Any]:
        """Return the fields with the values that Stripe shows, and the id's key, so that no username looks like it."""
        return {**super().fields_from(remote), "id_key": key_of_id(remote["id"])}

    @classmethod
    def with_derived(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Return the values with the username's key; a username that is an e-mail address fills that field, too."""
        username = values.get("username")
        if username is None:
            return values
        derived = {"username_key": fold(username)}
        if "email" not in values and EMAIL.fullmatch(username) and len(username) <= 512:
            derived["email"] = username
        return {**values, **derived}

    @classmethod
    def misderived(cls, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the key of the username if it is none that any version has written; the key names who has no username.

        In review an operator decides, as another customer may have that key.
        """
        username, key = row.get("username"), row.get("username_key")
        if row.get("erased_at") is not None or row.get("review_reason") is not None:
            return {}
        if isinstance(username, str) and (keys := keys_of(username)):
            return {} if key in keys else {"username_key": keys[-1]}
        if isinstance(key, str) and key:
            return {"username": key} if keys_of(key) == [key] else {"username": None, "username_key": None}
        return {name: None for name in ("username", "username_key") if row.get(name) is not None}
