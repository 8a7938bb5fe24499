"""The mirrored types: a row for each Stripe type that has no file of its own, from which its model is made.

A row says where objects of the type are read. If a type gets a file of its own, its row is ignored. A type is mirrored
if its objects have an id, and are shown by an event or by a list; `NOT_MIRRORED` gives the reasons for all others.
tests/contract/test_mirrored.py compares the rows with stripe-python, and fails when a new version adds a type.
"""

import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, ClassVar, NamedTuple, Self

from pymongo import IndexModel

from stripe_mongo_sync.models.base.document import SyncedDocument
from stripe_mongo_sync.models.base.input import Invalid
from stripe_mongo_sync.models.base.lifecycle import STAGED_INDEX
from stripe_mongo_sync.models.base.resource import KINDS, Action, Resource
from stripe_mongo_sync.models.rows.content import KEY_KINDS
from stripe_mongo_sync.models.rows.indexes import A_DATE, A_STRING


class Mirrored(SyncedDocument):
    """A copy of an object that Stripe creates. We never create one, so it is never pending, and never an orphan.

    If its row has `types`, we may change the object, by an operation on its document like that of any other.
    """

    says = "A copy of one of Stripe's objects; the object is shown with `expand=stripe`."
    meta: ClassVar[dict[str, Any]] = {"abstract": True}
    instead = "It is a copy of an object that Stripe creates and changes; `update` is for types that you create."

    @classmethod
    def wanted(cls, keep: timedelta) -> list[IndexModel]:
        """Return its few indexes. None lets it expire: a deleted document stays, so that no other can be inserted for
        the same object. If callers choose the ids, another object may get the id later, and then a document of its own.
        """
        life = ["stripe.created"] if cls.resource.accepts_custom_id else []
        return [
            IndexModel([(name, 1) for name in ("stripe_id", *life)], unique=True),
            IndexModel("due_at", partialFilterExpression={"due_at": A_DATE}),
            IndexModel("review_reason", partialFilterExpression={"review_reason": {"$type": "string"}}),
            cls.notice_index,
            *([STAGED_INDEX] if cls.resource.changeable else []),
            *cls.filters().indexes,
            *(
                IndexModel(f"stripe.{name}", partialFilterExpression={f"stripe.{name}": A_STRING})
                for name in cls.resource.sought
            ),
        ]

    @property
    def amount(self) -> Any:
        """Stripe's amount, in the currency's minor unit; of some kinds, an object with several."""
        return self._shown("amount")

    @property
    def currency(self) -> str | None:
        """Stripe's currency."""
        return self._shown("currency")

    @property
    def stripe_status(self) -> str | None:
        """Stripe's status."""
        return self._shown("status")

    @property
    def customer(self) -> str | None:
        """The id of the customer at Stripe."""
        found = self._shown("customer")
        return found.get("id") if isinstance(found, dict) else found

    def _shown(self, name: str) -> Any:
        return (self.stripe or {}).get(name)

    @property
    def path(self) -> str:
        """The path of its object; "" if Stripe shows that in events only, or under an owner that we do not know."""
        return self.resource.read_path({**(self.stripe or {}), "id": self.stripe_id}) or ""

    @classmethod
    def stage(cls, *args: Any, **kwargs: Any) -> Self:
        """Raise Invalid: only Stripe creates these."""
        raise Invalid({"kind": f"{cls.resource.kind} is only mirrored"})

    def begin(self, operation: dict[str, Any], **changes: Any) -> Self | None:
        """Stage a change of the object, as of any other. Raises Invalid unless its row says with what."""
        if not self.resource.changeable:
            raise Invalid({"kind": f"{self.resource.kind} is only mirrored"})
        return super().begin(operation, **changes)

    @classmethod
    def with_orphans(cls, *stripe_ids: str) -> list[Self]:
        """Return nothing: no key of ours creates these."""
        return []

    @classmethod
    def rivals(cls, stripe_ids: Iterable[str]) -> tuple[set[str], bool]:
        """Return nothing, for both reasons."""
        return set(), False

    @classmethod
    def in_doubt_documents(
        cls, remote: dict[str, Any] | None = None, among: Iterable[Any] | None = None
    ) -> Iterable[Self]:
        """Return nothing: no copy is in doubt."""
        return []


def row(kind: str, path: str | None = None, **facts: Any) -> Resource:
    """Return the resource of a type that is only mirrored; its path follows from its kind, as in stripe-python."""
    usual = f"/v1/{kind.replace('.', '/')}s"
    return Resource(
        kind, path=usual if path is None else path, undo=(), mirrored=True, has_created_event=False, **facts
    )


ACCEPTED = ("lost", "warning_closed")  # the statuses of a dispute that was closed, or was lost anyway


def _is_submitted(dispute: dict[str, Any]) -> bool:
    return bool((dispute.get("evidence_details") or {}).get("submission_count"))


NO_GET = ""  # no GET shows it by its id: only its events do
SOURCES = "/v1/customers/{customer}/sources"
EXTERNAL = "/v1/accounts/{account}/external_accounts"

ROWS = (
    row("account", removable=True),
    row("apple_pay_domain", "/v1/apple_pay/domains", created_filter=False, removable=True),
    row("application", NO_GET, event_prefixes=("account.application",), listable=False),
    row("application_fee", parts={"refunds": "/v1/application_fees/{id}/refunds"}),
    row("apps.install"),
    row("balance_transaction"),
    row(
        "bank_account",
        f"{SOURCES} {EXTERNAL}",
        event_prefixes=("customer.source", "account.external_account"),
        listable=False,
        removable=True,
    ),
    row("billing.alert", created_filter=False),
    row("billing.credit_balance_transaction", created_filter=False),
    row("billing.feedback_option", created_filter=False),
    row("billing_portal.configuration", created_filter=False),
    row("capability", "/v1/accounts/{account}/capabilities", listable=False),
    row(
        "card",
        f"{SOURCES} {EXTERNAL}",
        event_prefixes=("customer.source", "account.external_account"),
        listable=False,
        removable=True,
    ),
    row("charge"),
    row("climate.order", created_filter=False),
    row("climate.product", created_filter=False),
    row("customer_cash_balance_transaction", "/v1/customers/{customer}/cash_balance_transactions", listable=False),
    row("discount", NO_GET, event_prefixes=("customer.discount",), listable=False),
    row(
        "dispute",
        event_prefixes=("charge.dispute",),
        sought=("payment_intent",),
        types={"update": "DisputeUpdateParams", "close": "DisputeCloseParams"},
        shown_if={"submit": lambda remote, given: given is False or _is_submitted(remote)},  # Stripe's default: true
        moves_money_if=lambda verb, sent: verb == "update" and sent.get("submit") is not False,
        actions={"close": Action(done=lambda remote, sent: remote.get("status") in ACCEPTED, moves_money=True)},
    ),
    row("entitlements.active_entitlement_summary", NO_GET, listable=False),  # its id here is that of its customer
    row("entitlements.feature", created_filter=False),
    row("fee_refund", "/v1/application_fees/{fee}/refunds", event_prefixes=("application_fee.refund",), listable=False),
    row("file"),
    row("file_link"),
    row("financial_connections.account", created_filter=False),
    row("financial_connections.authorization", NO_GET, listable=False),
    row("forwarding.request"),
    row("identity.verification_report"),
    row("identity.verification_session"),
    row("invoice_payment"),
    row("invoice_rendering_template", created_filter=False),
    row("issuing.authorization", event_prefixes=("issuing_authorization",)),
    row("issuing.card", event_prefixes=("issuing_card",)),
    row("issuing.cardholder", event_prefixes=("issuing_cardholder",)),
    row("issuing.dispute", event_prefixes=("issuing_dispute",)),
    row("issuing.personalization_design", event_prefixes=("issuing_personalization_design",), created_filter=False),
    row("issuing.physical_bundle", created_filter=False),
    row("issuing.token", event_prefixes=("issuing_token",), listable=False),
    row("issuing.transaction", event_prefixes=("issuing_transaction",)),
    row("mandate", listable=False),
    row("payment_method_configuration", created_filter=False),
    row("payment_method_domain", created_filter=False),
    row("payment_record", created_filter=False),
    row("payout"),
    row("person", "/v1/accounts/{account}/persons", listable=False, removable=True),
    row("plan", accepts_custom_id=True, removable=True),
    row("product_catalog.trial_offer"),
    row("radar.early_fraud_warning"),
    row("radar.value_list", removable=True),
    row("reporting.report_run"),
    row("reporting.report_type", listable=False),  # it has a list, but without pages
    row("reserve.hold", NO_GET, listable=False),
    row("reserve.plan", NO_GET, listable=False),
    row("reserve.release", NO_GET, listable=False),
    row("review", unlisted="closed ones", leaves_out=lambda remote: remote.get("open") is False),
    row(
        "scheduled_query_run",
        "/v1/sigma/scheduled_query_runs",
        event_prefixes=("sigma.scheduled_query_run",),
        created_filter=False,
    ),
    row("source", event_prefixes=("source", "customer.source"), listable=False),
    row("source_mandate_notification", NO_GET, event_prefixes=("source.mandate_notification",), listable=False),
    row("source_transaction", NO_GET, event_prefixes=("source.transaction",), listable=False),
    row("tax.registration", created_filter=False),
    row(
        "tax_id", event_prefixes=("customer.tax_id",), listable=False, removable=True
    ),  # Stripe lists them for one owner at a time
    row("terminal.configuration", created_filter=False, removable=True),
    row("terminal.location", created_filter=False, removable=True),
    row("terminal.reader", created_filter=False, removable=True),
    row("test_helpers.test_clock", created_filter=False, removable=True),
    row("three_d_secure.authentication"),
    row("topup"),
    row("transfer", parts={"reversals": "/v1/transfers/{id}/reversals"}),
    row("treasury.credit_reversal", listable=False),
    row("treasury.debit_reversal", listable=False),
    row("treasury.financial_account"),
    row("treasury.inbound_transfer", listable=False),
    row("treasury.outbound_payment", listable=False),
    row("treasury.outbound_transfer", listable=False),
    row("treasury.received_credit", listable=False),
    row("treasury.received_debit", listable=False),
)


# Events to which Stripe expects a decision within seconds, in the body of the response. A response that it cannot read
# declines a payment (docs.stripe.com/issuing/controls/real-time-authorizations, …/real-time-authentications).
QUESTIONS = frozenset({"issuing_authorization.request", "issuing_authentication.decision"})


class Exclusion(NamedTuple):
    """Objects that get no document, or events that create none, and why."""

    why: str
    names: str  # their kinds, or the types of such events


NOT_MIRRORED = (
    Exclusion(
        "it has no id",
        "balance balance_settings billing.alert_triggered billing.alert.triggered billing.credit_balance_summary "
        "cash_balance funding_instructions tax.settings "
        "treasury.financial_account_features",
    ),
    Exclusion("it is a preview of what may come", "invoice.upcoming"),
    Exclusion("it is a question: the response would decide about a payment", "issuing_authorization.request"),
    Exclusion(
        "it is a part of another object, which shows it",
        "credit_note_line_item financial_connections.account_owner financial_connections.account_ownership item "
        "line_item list payment_intent_amount_details_line_item search_result subscription_item "
        "tax.calculation_line_item tax.transaction_line_item",
    ),
    Exclusion(
        "no event shows it, and Stripe lists it at most within another object",
        "apps.secret billing.meter_event billing.meter_event_adjustment billing.meter_event_summary "
        "connect_collection_transfer entitlements.active_entitlement "
        "financial_connections.transaction payment_attempt_record product_feature radar.payment_evaluation "
        "radar.value_list_item reserve_transaction setup_attempt tax.association tax.calculation "
        "tax.location tax.transaction tax_deducted_at_source transfer_reversal treasury.transaction "
        "treasury.transaction_entry",
    ),
    Exclusion("it is valid for minutes, and grants access to whoever has it", " ".join(sorted(KEY_KINDS))),
    Exclusion("it is the same for all accounts", "climate.supplier country_spec exchange_rate tax_code"),
    Exclusion("it says how Stripe reaches this service", "event webhook_endpoint"),
)
REASONS = {name: why_not_mirrored.why for why_not_mirrored in NOT_MIRRORED for name in why_not_mirrored.names.split()}


def collection_of(kind: str) -> str:
    """Return the name of a kind's collection: its plural, with underscores."""
    plural = f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"
    return plural.replace(".", "_")


def register_mirrored_types() -> None:
    """Create a model for each row whose kind has no file of its own."""
    for resource in ROWS:
        if resource.kind not in KINDS:
            name = "".join(part.capitalize() for part in re.split(r"[._]", resource.kind))
            own = {"__module__": __name__, "meta": {"collection": collection_of(resource.kind)}, "resource": resource}
            type(name, (Mirrored,), own)
