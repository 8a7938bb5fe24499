"""The filters of each type's lists, the stored field of each, and their indexes.

A filter reads a field that every document of the type has had since its first write, so a new filter needs an index
and no migration. Filtered documents are in the order in which their objects were created at Stripe, the newest first:
where an account was copied, all documents are of one hour. An index has the field of one filter, and then that order.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from pymongo import IndexModel

from stripe_mongo_sync.models.rows.indexes import A_STRING

Order = list[tuple[str, int]]


def _kinds(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


# Of the mirrored types, those whose objects have a customer, a status, and no second of their creation. A test compares
# them with stripe-python.
WITH_CUSTOMER = _kinds(
    """
    bank_account card charge customer_cash_balance_transaction discount entitlements.active_entitlement_summary
    source tax_id treasury.outbound_payment
    """
)
WITH_STATUS = _kinds(
    """
    apps.install balance_transaction bank_account billing.alert billing.feedback_option capability card
    charge climate.order dispute financial_connections.account financial_connections.authorization
    identity.verification_session invoice_payment invoice_rendering_template issuing.authorization issuing.card
    issuing.cardholder issuing.dispute issuing.personalization_design issuing.physical_bundle issuing.token mandate
    payout reporting.report_run reserve.plan scheduled_query_run source source_mandate_notification
    source_transaction tax.registration terminal.reader test_helpers.test_clock
    three_d_secure.authentication topup treasury.credit_reversal treasury.debit_reversal treasury.financial_account
    treasury.inbound_transfer treasury.outbound_payment treasury.outbound_transfer treasury.received_credit
    treasury.received_debit
    """
)
UNDATED = _kinds(
    """
    application bank_account billing.alert billing.feedback_option capability card discount
    entitlements.active_entitlement_summary entitlements.feature
    financial_connections.authorization invoiceitem issuing.physical_bundle mandate payment_link
    payment_method_configuration product_catalog.trial_offer reporting.report_type terminal.configuration
    terminal.location terminal.reader
    """
)

CUSTOMER = "customer"
LEADING = (
    "stripe_status",
    "payment_status",
    "price",
    "product",
    "subscription",
)  # each has an index
MAIN = ("amount", "currency", "stripe_status", "customer")  # what a copy shows of its snapshot
OTHER_FIELDS = {  # where a filter reads no field of its own name; the product of an order becomes its prices
    "order": {"price": "items.price", "product": "items.price"},
    "refund": {"customer": "stripe.customer"},
    "subscription": {"price": "items.price", "product": "stripe.items.data.price.product"},
}


@dataclass(frozen=True)
class Filters:
    """The filters of one type: for each, the stored field that it reads."""

    fields: Mapping[str, str]
    born: str  # the field by which filtered documents are in order
    is_dated: bool  # whether `created` is a filter, too
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        also = ("username",) if CUSTOMER in self.fields else ()
        dated = ("created",) if self.is_dated else ()
        object.__setattr__(self, "names", (*self.fields, *also, "status", *dated))

    @cached_property
    def order(self) -> Order:
        """The order of filtered documents, behind their status."""
        return [("status", 1), (self.born, -1), ("_id", -1)]

    def index_of(self, given: Collection[str]) -> Order | None:
        """Return the index for these filters together; None if they would have to scan.

        A customer's documents are few, so any filter may stand beside that one. Of the others, one index has one.
        """
        if CUSTOMER in given:
            return [("owners", 1), *self.order]
        leading = [name for name in LEADING if name in given]
        if len(leading) > 1:
            return None
        return [*((self.fields[name], 1) for name in leading), *self.order]

    @cached_property
    def indexes(self) -> list[IndexModel]:
        """The indexes of the type's lists: unfiltered, by status, by owner (for an erasure, too), by each filter."""
        new = [("created_at", -1), ("_id", -1)]
        led = dict.fromkeys(path for name, path in self.fields.items() if name in LEADING)
        return [
            IndexModel([("is_current", 1), *new]),
            IndexModel([("status", 1), *new]),
            *([IndexModel(self.order)] if self.is_dated and self.born != "created_at" else []),
            IndexModel([("owners", 1), *(self.order if CUSTOMER in self.fields else [])]),
            *(IndexModel([(path, 1), *self.order], partialFilterExpression={path: A_STRING}) for path in led),
        ]


def filters_of(kind: str, own: Collection[str], *, mirrored: bool) -> Filters:
    """Return the filters of a type whose model has these fields of its own."""
    if mirrored:
        names = [("customer", WITH_CUSTOMER), ("stripe_status", WITH_STATUS)]
        fields = {name: f"stripe.{name.removeprefix('stripe_')}" for name, having in names if kind in having}
    else:
        fields = {name: name for name in (CUSTOMER, *LEADING) if name in own} | OTHER_FIELDS.get(kind, {})
    synced = kind != "order"
    born = "stripe.created" if synced and kind not in UNDATED else "created_at"
    return Filters(fields, born, is_dated=not synced or kind not in UNDATED)
