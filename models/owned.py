"""The lists that Stripe has for one owner at a time, such as the cards of a customer or the persons of an account.

tests/contract/test_owned.py compares them with stripe-python: each kind has a list of all its objects, a list of an
owner here, or no list.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from stripe_mongo_sync.models.base.resource import KINDS

CLOCK = "test_helpers.test_clock"


@dataclass(frozen=True, eq=False)
class Owned:
    """A list that each owner has. Objects of other kinds in it are ignored."""

    owner: str  # the kind of its owners
    kinds: tuple[str, ...]  # the kinds of the objects in it
    path: str  # with {id} in place of the owner's id
    named: str  # the field in which an object names its owner
    query: Mapping[str, str] = field(default_factory=dict)  # parameters, with {id}, too
    shown: str = ""  # the field of the owner that shows the first objects of the list
    of_clocks: bool = False  # read only for owners with a test clock: a list of all objects shows the others

    def params(self, owner: dict[str, Any]) -> dict[str, Any]:
        """Return the query parameters of one owner's list."""
        return {name: value.format(id=owner["id"]) for name, value in self.query.items()}

    def address(self, owner: dict[str, Any]) -> str:
        """Return the path of one owner's list."""
        return self.path.format(id=quote(owner["id"], safe=""))

    @property
    def in_time(self) -> bool:
        """Whether it shows objects of a test clock, while other objects of these kinds are in another list."""
        return self.of_clocks or self.owner == CLOCK

    def is_asked(self, owner: dict[str, Any]) -> bool:
        """Whether this owner's list may show an object that no other list shows."""
        return not self.of_clocks or owner.get("test_clock") is not None


def _below(owner: str, path: str, kinds: str, **more: Any) -> Owned:
    return Owned(owner, tuple(kinds.split()), path, owner.rpartition(".")[2], **more)


def _by(owner: str, path: str, kind: str, named: str, **more: Any) -> Owned:
    return Owned(owner, (kind,), path, named, {named: "{id}", **more.pop("query", {})}, **more)


ACCOUNT = "treasury.financial_account"
# Stripe lists the objects of a test clock separately. Clocks come first, because their customers are owners, too.
OWNED = (
    _by(CLOCK, "/v1/customers", "customer", "test_clock"),
    _by(CLOCK, "/v1/subscriptions", "subscription", "test_clock", query={"status": "all"}),
    _by(CLOCK, "/v1/quotes", "quote", "test_clock"),
    *(
        _by("customer", path, kind, "customer", of_clocks=True)
        for path, kind in (
            ("/v1/invoices", "invoice"),
            ("/v1/invoiceitems", "invoiceitem"),
            ("/v1/subscription_schedules", "subscription_schedule"),
            ("/v1/billing/credit_grants", "billing.credit_grant"),
            ("/v1/payment_intents", "payment_intent"),
            ("/v1/setup_intents", "setup_intent"),
            ("/v1/charges", "charge"),
            ("/v1/checkout/sessions", "checkout.session"),
            ("/v1/credit_notes", "credit_note"),
        )
    ),
    Owned(  # it tells its clock, and not its customer
        "customer",
        ("billing.credit_balance_transaction",),
        "/v1/billing/credit_balance_transactions",
        "test_clock",
        {"customer": "{id}"},
        of_clocks=True,
    ),
    _below("customer", "/v1/customers/{id}/payment_methods", "payment_method"),
    _below("customer", "/v1/customers/{id}/sources", "card bank_account source"),
    _below("customer", "/v1/customers/{id}/tax_ids", "tax_id"),
    _below("customer", "/v1/customers/{id}/balance_transactions", "customer_balance_transaction"),
    _below("customer", "/v1/customers/{id}/cash_balance_transactions", "customer_cash_balance_transaction"),
    _below("account", "/v1/accounts/{id}/persons", "person"),
    _below("account", "/v1/accounts/{id}/external_accounts", "card bank_account"),
    Owned("application_fee", ("fee_refund",), "/v1/application_fees/{id}/refunds", "fee", shown="refunds"),
    _by("issuing.card", "/v1/issuing/tokens", "issuing.token", "card"),
    *(
        _by(ACCOUNT, f"/v1/treasury/{name}s", f"treasury.{name}", "financial_account")
        for name in (
            *("credit_reversal", "debit_reversal", "inbound_transfer", "outbound_payment", "outbound_transfer"),
            *("received_credit", "received_debit"),
        )
    ),
)
OWNERS = tuple(dict.fromkeys(owned.owner for owned in OWNED))
UNLISTED = {
    "application": "no list shows it",
    "billing_portal.session": "no list shows it",
    "capability": "its id is unique within an account only",
    "discount": "no list shows it",
    "entitlements.active_entitlement_summary": "no list shows it",
    "financial_connections.authorization": "no list shows it",
    "mandate": "no list shows it",
    "reporting.report_type": "its list has no pages",
    "reserve.hold": "no list shows it",
    "reserve.plan": "no list shows it",
    "reserve.release": "no list shows it",
    "source_mandate_notification": "no list shows it",
    "source_transaction": "no list shows it",
}


def owned_kinds() -> set[str]:
    """Return the kinds that Stripe lists for one owner at a time only."""
    return {kind for owned in OWNED if not owned.in_time for kind in owned.kinds}


def in_no_list(kind: str) -> str:
    """Return in words which objects of a kind no list shows; "" if lists show all of them."""
    resource = KINDS[kind].resource
    return UNLISTED.get(kind) or (f"no list shows {resource.unlisted}" if resource.unlisted else "")
