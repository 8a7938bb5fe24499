"""What Stripe lists for one owner at a time: the cards of a customer, the persons of an account, a clock's.

Held to stripe-python by tests/contract/test_owned.py: a kind is listed as a whole, listed here, or in no list at all.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from stripe_mongo_sync.models.base.resource import KINDS

CLOCK = "test_helpers.test_clock"


@dataclass(frozen=True, eq=False)
class Owned:
    """A list that one owner has. Objects of other kinds, if it shows any, are passed over."""

    owner: str  # the kind of its owners
    kinds: tuple[str, ...]  # of what it shows
    path: str  # with {id} for the owner's
    named: str  # the field by which an object names its owner
    query: Mapping[str, str] = field(default_factory=dict)  # likewise with {id}
    shown: str = ""  # the field of the owner that shows the beginning of it
    of_clocks: bool = False  # whether only owners of a test clock are asked: else an unfiltered list shows it

    def params(self, owner: dict[str, Any]) -> dict[str, Any]:
        """Return what one owner's list is asked with."""
        return {name: value.format(id=owner["id"]) for name, value in self.query.items()}

    def address(self, owner: dict[str, Any]) -> str:
        """Return where one owner's list is."""
        return self.path.format(id=quote(owner["id"], safe=""))

    @property
    def in_time(self) -> bool:
        """Whether it shows what is of a test clock, and is in another list where there is no clock."""
        return self.of_clocks or self.owner == CLOCK

    def is_asked(self, owner: dict[str, Any]) -> bool:
        """Whether this owner's list can show what no other list does."""
        return not self.of_clocks or owner.get("test_clock") is not None


def _below(owner: str, path: str, kinds: str, **more: Any) -> Owned:
    return Owned(owner, tuple(kinds.split()), path, owner.rpartition(".")[2], **more)


def _by(owner: str, path: str, kind: str, named: str, **more: Any) -> Owned:
    return Owned(owner, (kind,), path, named, {named: "{id}", **more.pop("query", {})}, **more)


ACCOUNT = "treasury.financial_account"
# Stripe dates and lists what is of a test clock apart. Clocks are asked first: what they show are owners, too.
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
    """Return the kinds that are listed for one owner at a time, and in no other list."""
    return {kind for owned in OWNED if not owned.in_time for kind in owned.kinds}


def in_no_list(kind: str) -> str:
    """Return what of a kind no list shows, in words; "" where lists show all of it."""
    resource = KINDS[kind].resource
    return UNLISTED.get(kind) or (f"no list shows {resource.unlisted}" if resource.unlisted else "")
