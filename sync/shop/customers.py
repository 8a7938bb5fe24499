"""The calls that name a customer by username: each does on both sides what a shop would need several steps for."""

from typing import Any

from bson import ObjectId
from pymongo.errors import PyMongoError

from stripe_mongo_sync.models import Customer, Invoice, StagedDocument, Status, kinds
from stripe_mongo_sync.models.base.embedded import Call
from stripe_mongo_sync.models.base.input import Invalid, require_json, to_params, validate
from stripe_mongo_sync.models.customer import check_visit
from stripe_mongo_sync.models.params.ours import REFERENCES
from stripe_mongo_sync.models.rows.keys import IdempotencyKey
from stripe_mongo_sync.models.rows.sure import sure
from stripe_mongo_sync.models.username import LONGEST
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.engine.references import resolved
from stripe_mongo_sync.sync.engine.saga import act, create
from stripe_mongo_sync.sync.errors import CannotReadStripe, NotFound, Refused, Unavailable
from stripe_mongo_sync.sync.process.deadline import prompt
from stripe_mongo_sync.sync.shop.lists import asking
from stripe_mongo_sync.sync.stripe.about import an
from stripe_mongo_sync.sync.stripe.answers import Refusal, Reply

PORTAL = "/v1/billing_portal/sessions"
PREVIEW = "/v1/invoices/create_preview"
WHOSE = ("subscription", "schedule", "customer")  # of what a preview may be, that which says most first


def create_customer(username: str, *, idempotency_key: str | None = None, **fields: Any) -> Customer:
    """Create a customer here and at Stripe, linked to each other, or neither. Return it, active or still pending.

    `fields` are Stripe's (email, name, phone, address, …); the e-mail is filled from a username that is one. With
    `idempotency_key`, a repetition returns the same customer or raises the same refusal.

    Raises NotConnected, Invalid, AlreadyExists, KeyReused, Refused (`.code`, `.decline_code`) or Unavailable (which
    carries the key to repeat with). A pending customer is resolved by its webhook or by reconcile.

    Example:

        customer = create_customer("user@here.com", name="A User")
        print(customer.status, customer.stripe_id)
    """
    current()
    customer, _ = create(Customer, {"username": username, **fields}, idempotency_key=idempotency_key)
    return sure(customer, Customer)


def set_payment_method(username: str, payment_method: str) -> Customer:
    """Attach a payment method to a customer, and make it the default for their invoices.

    `payment_method` is Stripe's id (a browser made it) or ours. Return the customer, with an operation while the
    outcome is unknown. Raises NotConnected, NotFound, Invalid, InProgress, Refused (a card that the bank declines) or
    Unavailable; refused, the method they had stays.

    Example:

        card = create("payment_method", type="card", card={"token": "tok_visa"})
        customer = set_payment_method("user@here.com", card.stripe_id)
        print(customer.invoice_settings.default_payment_method == card.stripe_id)
    """
    customer = act(customer_of(username), "payment_method", {"payment_method": payment_method})
    return sure(customer, Customer)


@prompt
def open_portal(customer: Customer | str, return_url: str | None = None) -> dict[str, Any]:
    """Open Stripe's billing portal for a customer, and return {"url", "return_url"}; send them there immediately.

    The customer is the document, or the username of one. Anybody with the address can use it, and it expires within
    minutes, so nothing is stored. Raises NotConnected, Invalid, NotFound, Refused (the portal was never set up in the
    Dashboard), CannotReadStripe (Stripe did not answer) or Unavailable (MongoDB did not).

    Example:

        print(open_portal("user@here.com", "https://shop.example/account")["url"])
    """
    customer = customer if isinstance(customer, Customer) else customer_of(customer)
    check_visit({"return_url": return_url})
    if customer.status != Status.ACTIVE:
        raise NotFound(f"This customer is {customer.status}, not active.")
    key = str(IdempotencyKey.generate(current().installation, "billing_portal.session", ObjectId(), "create"))
    sent = {"customer": customer.stripe_id, **({"return_url": return_url} if return_url else {})}
    try:
        session = an("billing_portal.session", customer=customer.stripe_id)
        answer = current().gateway.write(Call(PORTAL, sent, key=key), session)
    except PyMongoError as error:
        raise Unavailable from error
    match answer:
        case Reply():
            return {name: answer.remote.get(name) for name in ("url", "return_url")}
        case Refusal():
            raise Refused(customer, answer.problem)
    raise CannotReadStripe("Stripe did not answer, so the portal has no address. Try again.")


@prompt
def create_preview(username: str | None = None, **fields: Any) -> dict[str, Any]:
    """Ask Stripe what would be billed, and return its preview of the invoice. Nothing is stored, changed or charged.

    `fields` are Stripe's. Give `subscription` and `subscription_details` for a change of it; the customer (their
    username, or `customer`) and `subscription_details` for a new subscription; one of them, or `schedule`, alone for
    the next invoice. With the same `proration_date`, a change then bills what was previewed.

    Raises NotConnected, Invalid, NotFound, Refused (nothing will be billed: its `code` is `invoice_upcoming_none`),
    CannotReadStripe (Stripe did not answer) or Unavailable (MongoDB did not).

    Example:

        invoice = create_preview(subscription="sub_123", subscription_details={"cancel_at_period_end": False})
        print(invoice["amount_due"], invoice["currency"])
    """
    current()
    given = {**fields, **({} if username is None else {"username": username})}
    require_json(given)
    values = validate(Invoice, given, "create_preview")
    if {"username", "customer"} <= values.keys():
        raise Invalid({"username": "and customer are the same: give one of them"})
    if values.get("username") is not None:
        values["customer"] = str(customer_of(values["username"]).id)
    named = next((name for name in WHOSE if values.get(name)), None)
    if named is None:
        raise Invalid({"username": f"is required, or one of {', '.join(WHOSE)}"})
    values.pop("username", None)
    with asking():
        sent = to_params(resolved(Invoice, values, "create_preview"), "create")
        whose = kinds()[REFERENCES[named]].lookup(values[named])
    key = str(IdempotencyKey.generate(current().installation, "invoice", ObjectId(), "preview"))
    of_customer = {"customer": sent["customer"]} if "customer" in sent else {}
    try:
        answer = current().gateway.write(Call(PREVIEW, sent, key=key), an("invoice", **of_customer))
    except PyMongoError as error:
        raise Unavailable from error
    match answer:
        case Reply():
            return answer.remote
        case Refusal():
            raise Refused(sure(whose, StagedDocument), answer.problem)
    raise CannotReadStripe("Stripe did not answer, so there is no preview. Try again.")


def customer_of(username: str) -> Customer:
    """Return the current customer with this username, our id, or an id of the form cus_….

    An id that its creator chose is not accepted, because it may be another customer's username. Raises Invalid,
    NotFound or Unavailable.
    """
    with asking():
        if not isinstance(username, str):
            raise Invalid({"username": "must be a string"})
        customer = Customer.by_username(username)
    if customer is None:
        raise NotFound(f"There is no customer {username[:LONGEST]!r}.")
    return customer
