# Made from the code: `make types` writes it anew.

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any, BinaryIO, Literal, Unpack, overload

from bson import ObjectId
from pymongo.monitoring import CommandListener
from stripe import HTTPClient
from werkzeug.datastructures import FileStorage

from stripe_mongo_sync.api.access import requires_access as requires_access
from stripe_mongo_sync.api.app import create_app as create_app
from stripe_mongo_sync.api.app import init_app as init_app
from stripe_mongo_sync.models import StagedDocument, SyncedDocument
from stripe_mongo_sync.models.balance_transaction import CustomerBalanceTransaction
from stripe_mongo_sync.models.base.input import Invalid as Invalid
from stripe_mongo_sync.models.checkout_session import CheckoutSession
from stripe_mongo_sync.models.coupon import Coupon
from stripe_mongo_sync.models.credit_grant import CreditGrant
from stripe_mongo_sync.models.credit_note import CreditNote
from stripe_mongo_sync.models.customer import Customer
from stripe_mongo_sync.models.invoice import Invoice
from stripe_mongo_sync.models.invoice_item import InvoiceItem
from stripe_mongo_sync.models.meter import Meter
from stripe_mongo_sync.models.order import Order
from stripe_mongo_sync.models.payment_intent import PaymentIntent
from stripe_mongo_sync.models.payment_link import PaymentLink
from stripe_mongo_sync.models.payment_method import PaymentMethod
from stripe_mongo_sync.models.price import Price
from stripe_mongo_sync.models.product import Product
from stripe_mongo_sync.models.promotion_code import PromotionCode
from stripe_mongo_sync.models.quote import Quote
from stripe_mongo_sync.models.refund import Refund
from stripe_mongo_sync.models.rows.own_rows import ReadOnly as ReadOnly
from stripe_mongo_sync.models.setup_intent import SetupIntent
from stripe_mongo_sync.models.shipping_rate import ShippingRate
from stripe_mongo_sync.models.subscription import Subscription
from stripe_mongo_sync.models.subscription_schedule import SubscriptionSchedule
from stripe_mongo_sync.models.tax_rate import TaxRate
from stripe_mongo_sync.models.usage import UsageRecord
from stripe_mongo_sync.sync.connection import Connection
from stripe_mongo_sync.sync.connection import current as current
from stripe_mongo_sync.sync.errors import AlreadyConnected as AlreadyConnected
from stripe_mongo_sync.sync.errors import AlreadyExists as AlreadyExists
from stripe_mongo_sync.sync.errors import BadSettings as BadSettings
from stripe_mongo_sync.sync.errors import CannotReadStripe as CannotReadStripe
from stripe_mongo_sync.sync.errors import Deleted as Deleted
from stripe_mongo_sync.sync.errors import InProgress as InProgress
from stripe_mongo_sync.sync.errors import KeyReused as KeyReused
from stripe_mongo_sync.sync.errors import NotConnected as NotConnected
from stripe_mongo_sync.sync.errors import NotDeletable as NotDeletable
from stripe_mongo_sync.sync.errors import NotFound as NotFound
from stripe_mongo_sync.sync.errors import NotPossible as NotPossible
from stripe_mongo_sync.sync.errors import Refused as Refused
from stripe_mongo_sync.sync.errors import RolledBack as RolledBack
from stripe_mongo_sync.sync.errors import SyncError as SyncError
from stripe_mongo_sync.sync.errors import Unavailable as Unavailable
from stripe_mongo_sync.sync.notices.hooks import Notice as Notice
from stripe_mongo_sync.sync.notices.hooks import on as on
from stripe_mongo_sync.sync.settings import Settings
from stripe_mongo_sync.sync.shop.documents import Body, D, Reference
from stripe_mongo_sync.sync.shop.lists import Filters

PLAIN: frozenset[str]
CannotLook = CannotReadStripe
__all__ = [
    "AlreadyConnected",
    "AlreadyExists",
    "BadSettings",
    "CannotReadStripe",
    "Deleted",
    "InProgress",
    "Invalid",
    "KeyReused",
    "NotConnected",
    "NotDeletable",
    "NotFound",
    "NotPossible",
    "Notice",
    "ReadOnly",
    "Refused",
    "RolledBack",
    "SyncError",
    "Unavailable",
    "access",
    "act",
    "attach_evidence",
    "connect",
    "create",
    "create_app",
    "create_customer",
    "create_order",
    "create_preview",
    "current",
    "delete",
    "disconnect",
    "find",
    "get",
    "init_app",
    "on",
    "open_portal",
    "quote_pdf",
    "record_usage",
    "refund_order",
    "requires_access",
    "set_payment_method",
    "update",
]

OnlyRead = Literal[
    "account",
    "apple_pay_domain",
    "application",
    "application_fee",
    "apps.install",
    "balance_transaction",
    "bank_account",
    "billing.alert",
    "billing.credit_balance_transaction",
    "billing.feedback_option",
    "billing_portal.configuration",
    "capability",
    "card",
    "charge",
    "climate.order",
    "climate.product",
    "customer_cash_balance_transaction",
    "discount",
    "dispute",
    "entitlements.active_entitlement_summary",
    "entitlements.feature",
    "fee_refund",
    "file",
    "file_link",
    "financial_connections.account",
    "financial_connections.authorization",
    "forwarding.request",
    "identity.verification_report",
    "identity.verification_session",
    "invoice_payment",
    "invoice_rendering_template",
    "issuing.authorization",
    "issuing.card",
    "issuing.cardholder",
    "issuing.dispute",
    "issuing.personalization_design",
    "issuing.physical_bundle",
    "issuing.token",
    "issuing.transaction",
    "mandate",
    "payment_method_configuration",
    "payment_method_domain",
    "payment_record",
    "payout",
    "person",
    "plan",
    "product_catalog.trial_offer",
    "radar.early_fraud_warning",
    "radar.value_list",
    "reporting.report_run",
    "reporting.report_type",
    "reserve.hold",
    "reserve.plan",
    "reserve.release",
    "review",
    "scheduled_query_run",
    "source",
    "source_mandate_notification",
    "source_transaction",
    "tax.registration",
    "tax_id",
    "terminal.configuration",
    "terminal.location",
    "terminal.reader",
    "test_helpers.test_clock",
    "three_d_secure.authentication",
    "topup",
    "transfer",
    "treasury.credit_reversal",
    "treasury.debit_reversal",
    "treasury.financial_account",
    "treasury.inbound_transfer",
    "treasury.outbound_payment",
    "treasury.outbound_transfer",
    "treasury.received_credit",
    "treasury.received_debit",
]

async def access(
    customer: Customer | str, /, *, product: Any = None, price: Any = None, feature: str | None = None
) -> dict[str, Any]: ...
@overload
async def act(document: D, action: str, body: Body = None, /, **fields: Any) -> D: ...
@overload
async def act(
    kind: Literal["checkout.session"], reference: Reference, action: str, body: Body = None, /, **fields: Any
) -> CheckoutSession: ...
@overload
async def act(
    kind: Literal["coupon"], reference: Reference, action: str, body: Body = None, /, **fields: Any
) -> Coupon: ...
@overload
async def act(
    kind: Literal["customer"], reference: Reference, action: str, body: Body = None, /, **fields: Any
) -> Customer: ...
@overload
async def act(
    kind: Literal["invoice"], reference: Reference, action: str, body: Body = None, /, **fields: Any
) -> Invoice: ...
@overload
async def act(
    kind: Literal["invoiceitem"], reference: Reference, action: str, body: Body = None, /, **fields: Any
) -> InvoiceItem: ...
@overload
async def act(
    kind: Literal["billing.meter"], reference: Reference, action: str, body: Body = None, /, **fields: Any
) -> Meter: ...
@overload
async def act(
    kind: Literal["order"], reference: Reference, action: str, body: Body = None, /, **fields: Any
) -> Order: ...
@overload
async def act(
    kind: Literal["payment_intent"], reference: Reference, action: str, body: Body = None, /, **fields: Any
) -> PaymentIntent: ...
@overload
async def act(
    kind: Literal["payment_link"], reference: Reference, action: str, body: Body = None, /, **fields: Any
) -> PaymentLink: ...
@overload
async def act(
    kind: Literal["payment_method"], reference: Reference, action: str, body: Body = None, /, **fields: Any
) -> PaymentMethod: ...
@overload
async def act(
    kind: Literal["price"], reference: Reference, action: str, body: Body = None, /, **fields: Any
) -> Price: ...
@overload
async def act(
    kind: Literal["product"], reference: Reference, action: str, body: Body = None, /, **fields: Any
) -> Product: ...
@overload
async def act(
    kind: Literal["promotion_code"], reference: Reference, action: str, body: Body = None, /, **fields: Any
) -> PromotionCode: ...
@overload
async def act(
    kind: Literal["quote"], reference: Reference, action: str, body: Body = None, /, **fields: Any
) -> Quote: ...
@overload
async def act(
    kind: Literal["refund"], reference: Reference, action: str, body: Body = None, /, **fields: Any
) -> Refund: ...
@overload
async def act(
    kind: Literal["setup_intent"], reference: Reference, action: str, body: Body = None, /, **fields: Any
) -> SetupIntent: ...
@overload
async def act(
    kind: Literal["shipping_rate"], reference: Reference, action: str, body: Body = None, /, **fields: Any
) -> ShippingRate: ...
@overload
async def act(
    kind: Literal["subscription"], reference: Reference, action: str, body: Body = None, /, **fields: Any
) -> Subscription: ...
@overload
async def act(
    kind: Literal["tax_rate"], reference: Reference, action: str, body: Body = None, /, **fields: Any
) -> TaxRate: ...
@overload
async def act(
    kind: Literal["customer_balance_transaction"],
    reference: Reference,
    action: str,
    body: Body = None,
    /,
    **fields: Any,
) -> CustomerBalanceTransaction: ...
@overload
async def act(
    kind: Literal["billing.credit_grant"], reference: Reference, action: str, body: Body = None, /, **fields: Any
) -> CreditGrant: ...
@overload
async def act(
    kind: Literal["credit_note"], reference: Reference, action: str, body: Body = None, /, **fields: Any
) -> CreditNote: ...
@overload
async def act(
    kind: Literal["subscription_schedule"], reference: Reference, action: str, body: Body = None, /, **fields: Any
) -> SubscriptionSchedule: ...
@overload
async def act(
    kind: Literal["dispute"], reference: Reference, action: str, body: Body = None, /, **fields: Any
) -> SyncedDocument: ...
@overload
async def act(kind: type[D], reference: Reference, action: str, body: Body = None, /, **fields: Any) -> D: ...
async def attach_evidence(
    dispute: StagedDocument | str, /, **files: tuple[str, bytes] | BinaryIO | FileStorage
) -> StagedDocument: ...
async def connect(
    settings: Settings | None = None,
    *,
    http_client: HTTPClient | None = None,
    listeners: tuple[CommandListener, ...] = (),
) -> Connection: ...
@overload
async def create(
    kind: Literal["checkout.session"], body: Body = None, /, *, idempotency_key: str | None = None, **fields: Any
) -> CheckoutSession: ...
@overload
async def create(
    kind: Literal["coupon"], body: Body = None, /, *, idempotency_key: str | None = None, **fields: Any
) -> Coupon: ...
@overload
async def create(
    kind: Literal["customer"], body: Body = None, /, *, idempotency_key: str | None = None, **fields: Any
) -> Customer: ...
@overload
async def create(
    kind: Literal["invoice"], body: Body = None, /, *, idempotency_key: str | None = None, **fields: Any
) -> Invoice: ...
@overload
async def create(
    kind: Literal["invoiceitem"], body: Body = None, /, *, idempotency_key: str | None = None, **fields: Any
) -> InvoiceItem: ...
@overload
async def create(
    kind: Literal["billing.meter"], body: Body = None, /, *, idempotency_key: str | None = None, **fields: Any
) -> Meter: ...
@overload
async def create(
    kind: Literal["order"], body: Body = None, /, *, idempotency_key: str | None = None, **fields: Any
) -> Order: ...
@overload
async def create(
    kind: Literal["payment_intent"], body: Body = None, /, *, idempotency_key: str | None = None, **fields: Any
) -> PaymentIntent: ...
@overload
async def create(
    kind: Literal["payment_link"], body: Body = None, /, *, idempotency_key: str | None = None, **fields: Any
) -> PaymentLink: ...
@overload
async def create(
    kind: Literal["payment_method"], body: Body = None, /, *, idempotency_key: str | None = None, **fields: Any
) -> PaymentMethod: ...
@overload
async def create(
    kind: Literal["price"], body: Body = None, /, *, idempotency_key: str | None = None, **fields: Any
) -> Price: ...
@overload
async def create(
    kind: Literal["product"], body: Body = None, /, *, idempotency_key: str | None = None, **fields: Any
) -> Product: ...
@overload
async def create(
    kind: Literal["promotion_code"], body: Body = None, /, *, idempotency_key: str | None = None, **fields: Any
) -> PromotionCode: ...
@overload
async def create(
    kind: Literal["quote"], body: Body = None, /, *, idempotency_key: str | None = None, **fields: Any
) -> Quote: ...
@overload
async def create(
    kind: Literal["refund"], body: Body = None, /, *, idempotency_key: str | None = None, **fields: Any
) -> Refund: ...
@overload
async def create(
    kind: Literal["setup_intent"], body: Body = None, /, *, idempotency_key: str | None = None, **fields: Any
) -> SetupIntent: ...
@overload
async def create(
    kind: Literal["shipping_rate"], body: Body = None, /, *, idempotency_key: str | None = None, **fields: Any
) -> ShippingRate: ...
@overload
async def create(
    kind: Literal["subscription"], body: Body = None, /, *, idempotency_key: str | None = None, **fields: Any
) -> Subscription: ...
@overload
async def create(
    kind: Literal["tax_rate"], body: Body = None, /, *, idempotency_key: str | None = None, **fields: Any
) -> TaxRate: ...
@overload
async def create(
    kind: Literal["customer_balance_transaction"],
    body: Body = None,
    /,
    *,
    idempotency_key: str | None = None,
    **fields: Any,
) -> CustomerBalanceTransaction: ...
@overload
async def create(
    kind: Literal["billing.credit_grant"], body: Body = None, /, *, idempotency_key: str | None = None, **fields: Any
) -> CreditGrant: ...
@overload
async def create(
    kind: Literal["credit_note"], body: Body = None, /, *, idempotency_key: str | None = None, **fields: Any
) -> CreditNote: ...
@overload
async def create(
    kind: Literal["subscription_schedule"], body: Body = None, /, *, idempotency_key: str | None = None, **fields: Any
) -> SubscriptionSchedule: ...
@overload
async def create(kind: type[D], body: Body = None, /, *, idempotency_key: str | None = None, **fields: Any) -> D: ...
async def create_customer(username: str, *, idempotency_key: str | None = None, **fields: Any) -> Customer: ...
async def create_order(
    username: str | None,
    items: list[dict[str, Any]],
    payment: str,
    *,
    idempotency_key: str | None = None,
    **fields: Any,
) -> Order: ...
async def create_preview(username: str | None = None, **fields: Any) -> dict[str, Any]: ...
@overload
async def delete(document: D, /) -> D: ...
@overload
async def delete(kind: Literal["checkout.session"], reference: Reference, /) -> CheckoutSession: ...
@overload
async def delete(kind: Literal["coupon"], reference: Reference, /) -> Coupon: ...
@overload
async def delete(kind: Literal["customer"], reference: Reference, /) -> Customer: ...
@overload
async def delete(kind: Literal["invoice"], reference: Reference, /) -> Invoice: ...
@overload
async def delete(kind: Literal["invoiceitem"], reference: Reference, /) -> InvoiceItem: ...
@overload
async def delete(kind: Literal["billing.meter"], reference: Reference, /) -> Meter: ...
@overload
async def delete(kind: Literal["order"], reference: Reference, /) -> Order: ...
@overload
async def delete(kind: Literal["payment_intent"], reference: Reference, /) -> PaymentIntent: ...
@overload
async def delete(kind: Literal["payment_link"], reference: Reference, /) -> PaymentLink: ...
@overload
async def delete(kind: Literal["payment_method"], reference: Reference, /) -> PaymentMethod: ...
@overload
async def delete(kind: Literal["price"], reference: Reference, /) -> Price: ...
@overload
async def delete(kind: Literal["product"], reference: Reference, /) -> Product: ...
@overload
async def delete(kind: Literal["promotion_code"], reference: Reference, /) -> PromotionCode: ...
@overload
async def delete(kind: Literal["quote"], reference: Reference, /) -> Quote: ...
@overload
async def delete(kind: Literal["refund"], reference: Reference, /) -> Refund: ...
@overload
async def delete(kind: Literal["setup_intent"], reference: Reference, /) -> SetupIntent: ...
@overload
async def delete(kind: Literal["shipping_rate"], reference: Reference, /) -> ShippingRate: ...
@overload
async def delete(kind: Literal["subscription"], reference: Reference, /) -> Subscription: ...
@overload
async def delete(kind: Literal["tax_rate"], reference: Reference, /) -> TaxRate: ...
@overload
async def delete(
    kind: Literal["customer_balance_transaction"], reference: Reference, /
) -> CustomerBalanceTransaction: ...
@overload
async def delete(kind: Literal["billing.credit_grant"], reference: Reference, /) -> CreditGrant: ...
@overload
async def delete(kind: Literal["credit_note"], reference: Reference, /) -> CreditNote: ...
@overload
async def delete(kind: Literal["subscription_schedule"], reference: Reference, /) -> SubscriptionSchedule: ...
@overload
async def delete(kind: type[D], reference: Reference, /) -> D: ...
async def disconnect() -> None: ...
@overload
def find(
    kind: Literal["checkout.session"],
    /,
    *,
    starting_after: Any = None,
    limit: int | None = None,
    **filters: Unpack[Filters],
) -> AsyncIterator[CheckoutSession]: ...
@overload
def find(
    kind: Literal["coupon"], /, *, starting_after: Any = None, limit: int | None = None, **filters: Unpack[Filters]
) -> AsyncIterator[Coupon]: ...
@overload
def find(
    kind: Literal["customer"], /, *, starting_after: Any = None, limit: int | None = None, **filters: Unpack[Filters]
) -> AsyncIterator[Customer]: ...
@overload
def find(
    kind: Literal["invoice"], /, *, starting_after: Any = None, limit: int | None = None, **filters: Unpack[Filters]
) -> AsyncIterator[Invoice]: ...
@overload
def find(
    kind: Literal["invoiceitem"], /, *, starting_after: Any = None, limit: int | None = None, **filters: Unpack[Filters]
) -> AsyncIterator[InvoiceItem]: ...
@overload
def find(
    kind: Literal["billing.meter"],
    /,
    *,
    starting_after: Any = None,
    limit: int | None = None,
    **filters: Unpack[Filters],
) -> AsyncIterator[Meter]: ...
@overload
def find(
    kind: Literal["order"], /, *, starting_after: Any = None, limit: int | None = None, **filters: Unpack[Filters]
) -> AsyncIterator[Order]: ...
@overload
def find(
    kind: Literal["payment_intent"],
    /,
    *,
    starting_after: Any = None,
    limit: int | None = None,
    **filters: Unpack[Filters],
) -> AsyncIterator[PaymentIntent]: ...
@overload
def find(
    kind: Literal["payment_link"],
    /,
    *,
    starting_after: Any = None,
    limit: int | None = None,
    **filters: Unpack[Filters],
) -> AsyncIterator[PaymentLink]: ...
@overload
def find(
    kind: Literal["payment_method"],
    /,
    *,
    starting_after: Any = None,
    limit: int | None = None,
    **filters: Unpack[Filters],
) -> AsyncIterator[PaymentMethod]: ...
@overload
def find(
    kind: Literal["price"], /, *, starting_after: Any = None, limit: int | None = None, **filters: Unpack[Filters]
) -> AsyncIterator[Price]: ...
@overload
def find(
    kind: Literal["product"], /, *, starting_after: Any = None, limit: int | None = None, **filters: Unpack[Filters]
) -> AsyncIterator[Product]: ...
@overload
def find(
    kind: Literal["promotion_code"],
    /,
    *,
    starting_after: Any = None,
    limit: int | None = None,
    **filters: Unpack[Filters],
) -> AsyncIterator[PromotionCode]: ...
@overload
def find(
    kind: Literal["quote"], /, *, starting_after: Any = None, limit: int | None = None, **filters: Unpack[Filters]
) -> AsyncIterator[Quote]: ...
@overload
def find(
    kind: Literal["refund"], /, *, starting_after: Any = None, limit: int | None = None, **filters: Unpack[Filters]
) -> AsyncIterator[Refund]: ...
@overload
def find(
    kind: Literal["setup_intent"],
    /,
    *,
    starting_after: Any = None,
    limit: int | None = None,
    **filters: Unpack[Filters],
) -> AsyncIterator[SetupIntent]: ...
@overload
def find(
    kind: Literal["shipping_rate"],
    /,
    *,
    starting_after: Any = None,
    limit: int | None = None,
    **filters: Unpack[Filters],
) -> AsyncIterator[ShippingRate]: ...
@overload
def find(
    kind: Literal["subscription"],
    /,
    *,
    starting_after: Any = None,
    limit: int | None = None,
    **filters: Unpack[Filters],
) -> AsyncIterator[Subscription]: ...
@overload
def find(
    kind: Literal["tax_rate"], /, *, starting_after: Any = None, limit: int | None = None, **filters: Unpack[Filters]
) -> AsyncIterator[TaxRate]: ...
@overload
def find(
    kind: Literal["customer_balance_transaction"],
    /,
    *,
    starting_after: Any = None,
    limit: int | None = None,
    **filters: Unpack[Filters],
) -> AsyncIterator[CustomerBalanceTransaction]: ...
@overload
def find(
    kind: Literal["billing.credit_grant"],
    /,
    *,
    starting_after: Any = None,
    limit: int | None = None,
    **filters: Unpack[Filters],
) -> AsyncIterator[CreditGrant]: ...
@overload
def find(
    kind: Literal["credit_note"], /, *, starting_after: Any = None, limit: int | None = None, **filters: Unpack[Filters]
) -> AsyncIterator[CreditNote]: ...
@overload
def find(
    kind: Literal["subscription_schedule"],
    /,
    *,
    starting_after: Any = None,
    limit: int | None = None,
    **filters: Unpack[Filters],
) -> AsyncIterator[SubscriptionSchedule]: ...
@overload
def find(
    kind: OnlyRead, /, *, starting_after: Any = None, limit: int | None = None, **filters: Unpack[Filters]
) -> AsyncIterator[SyncedDocument]: ...
@overload
def find(
    kind: type[D], /, *, starting_after: Any = None, limit: int | None = None, **filters: Unpack[Filters]
) -> AsyncIterator[D]: ...
@overload
async def get(kind: Literal["checkout.session"], reference: Reference, /) -> CheckoutSession: ...
@overload
async def get(kind: Literal["coupon"], reference: Reference, /) -> Coupon: ...
@overload
async def get(kind: Literal["customer"], reference: Reference, /) -> Customer: ...
@overload
async def get(kind: Literal["invoice"], reference: Reference, /) -> Invoice: ...
@overload
async def get(kind: Literal["invoiceitem"], reference: Reference, /) -> InvoiceItem: ...
@overload
async def get(kind: Literal["billing.meter"], reference: Reference, /) -> Meter: ...
@overload
async def get(kind: Literal["order"], reference: Reference, /) -> Order: ...
@overload
async def get(kind: Literal["payment_intent"], reference: Reference, /) -> PaymentIntent: ...
@overload
async def get(kind: Literal["payment_link"], reference: Reference, /) -> PaymentLink: ...
@overload
async def get(kind: Literal["payment_method"], reference: Reference, /) -> PaymentMethod: ...
@overload
async def get(kind: Literal["price"], reference: Reference, /) -> Price: ...
@overload
async def get(kind: Literal["product"], reference: Reference, /) -> Product: ...
@overload
async def get(kind: Literal["promotion_code"], reference: Reference, /) -> PromotionCode: ...
@overload
async def get(kind: Literal["quote"], reference: Reference, /) -> Quote: ...
@overload
async def get(kind: Literal["refund"], reference: Reference, /) -> Refund: ...
@overload
async def get(kind: Literal["setup_intent"], reference: Reference, /) -> SetupIntent: ...
@overload
async def get(kind: Literal["shipping_rate"], reference: Reference, /) -> ShippingRate: ...
@overload
async def get(kind: Literal["subscription"], reference: Reference, /) -> Subscription: ...
@overload
async def get(kind: Literal["tax_rate"], reference: Reference, /) -> TaxRate: ...
@overload
async def get(kind: Literal["customer_balance_transaction"], reference: Reference, /) -> CustomerBalanceTransaction: ...
@overload
async def get(kind: Literal["billing.credit_grant"], reference: Reference, /) -> CreditGrant: ...
@overload
async def get(kind: Literal["credit_note"], reference: Reference, /) -> CreditNote: ...
@overload
async def get(kind: Literal["subscription_schedule"], reference: Reference, /) -> SubscriptionSchedule: ...
@overload
async def get(kind: OnlyRead, reference: Reference, /) -> SyncedDocument: ...
@overload
async def get(kind: type[D], reference: Reference, /) -> D: ...
async def open_portal(customer: Customer | str, return_url: str | None = None) -> dict[str, Any]: ...
def quote_pdf(quote: Quote | str) -> AsyncIterator[bytes]: ...
async def record_usage(
    username: str,
    meter: str,
    value: int | str | Decimal = 1,
    *,
    timestamp: int | None = None,
    idempotency_key: str | None = None,
) -> UsageRecord: ...
async def refund_order(
    order: Order | ObjectId | str,
    lines: list[dict[str, Any]] | None = None,
    *,
    reason: str | None = None,
    idempotency_key: str | None = None,
) -> Order: ...
async def set_payment_method(username: str, payment_method: str) -> Customer: ...
@overload
async def update(document: D, body: Body = None, /, **fields: Any) -> D: ...
@overload
async def update(
    kind: Literal["checkout.session"], reference: Reference, body: Body = None, /, **fields: Any
) -> CheckoutSession: ...
@overload
async def update(kind: Literal["coupon"], reference: Reference, body: Body = None, /, **fields: Any) -> Coupon: ...
@overload
async def update(kind: Literal["customer"], reference: Reference, body: Body = None, /, **fields: Any) -> Customer: ...
@overload
async def update(kind: Literal["invoice"], reference: Reference, body: Body = None, /, **fields: Any) -> Invoice: ...
@overload
async def update(
    kind: Literal["invoiceitem"], reference: Reference, body: Body = None, /, **fields: Any
) -> InvoiceItem: ...
@overload
async def update(
    kind: Literal["billing.meter"], reference: Reference, body: Body = None, /, **fields: Any
) -> Meter: ...
@overload
async def update(kind: Literal["order"], reference: Reference, body: Body = None, /, **fields: Any) -> Order: ...
@overload
async def update(
    kind: Literal["payment_intent"], reference: Reference, body: Body = None, /, **fields: Any
) -> PaymentIntent: ...
@overload
async def update(
    kind: Literal["payment_link"], reference: Reference, body: Body = None, /, **fields: Any
) -> PaymentLink: ...
@overload
async def update(
    kind: Literal["payment_method"], reference: Reference, body: Body = None, /, **fields: Any
) -> PaymentMethod: ...
@overload
async def update(kind: Literal["price"], reference: Reference, body: Body = None, /, **fields: Any) -> Price: ...
@overload
async def update(kind: Literal["product"], reference: Reference, body: Body = None, /, **fields: Any) -> Product: ...
@overload
async def update(
    kind: Literal["promotion_code"], reference: Reference, body: Body = None, /, **fields: Any
) -> PromotionCode: ...
@overload
async def update(kind: Literal["quote"], reference: Reference, body: Body = None, /, **fields: Any) -> Quote: ...
@overload
async def update(kind: Literal["refund"], reference: Reference, body: Body = None, /, **fields: Any) -> Refund: ...
@overload
async def update(
    kind: Literal["setup_intent"], reference: Reference, body: Body = None, /, **fields: Any
) -> SetupIntent: ...
@overload
async def update(
    kind: Literal["shipping_rate"], reference: Reference, body: Body = None, /, **fields: Any
) -> ShippingRate: ...
@overload
async def update(
    kind: Literal["subscription"], reference: Reference, body: Body = None, /, **fields: Any
) -> Subscription: ...
@overload
async def update(kind: Literal["tax_rate"], reference: Reference, body: Body = None, /, **fields: Any) -> TaxRate: ...
@overload
async def update(
    kind: Literal["customer_balance_transaction"], reference: Reference, body: Body = None, /, **fields: Any
) -> CustomerBalanceTransaction: ...
@overload
async def update(
    kind: Literal["billing.credit_grant"], reference: Reference, body: Body = None, /, **fields: Any
) -> CreditGrant: ...
@overload
async def update(
    kind: Literal["credit_note"], reference: Reference, body: Body = None, /, **fields: Any
) -> CreditNote: ...
@overload
async def update(
    kind: Literal["subscription_schedule"], reference: Reference, body: Body = None, /, **fields: Any
) -> SubscriptionSchedule: ...
@overload
async def update(
    kind: Literal["dispute"], reference: Reference, body: Body = None, /, **fields: Any
) -> SyncedDocument: ...
@overload
async def update(kind: type[D], reference: Reference, body: Body = None, /, **fields: Any) -> D: ...
