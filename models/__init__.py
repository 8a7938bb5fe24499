"""The MongoDB schema: one module for each stored type.

A Stripe type is one file here (`customer.py`, `product.py`, …), or a row in `mirrored.py`. Importing this package
registers all of them, and routes, commands, events, reconcile and docs follow from that registry. Only the names that
other packages import are listed below.
"""

from importlib import import_module
from pkgutil import iter_modules

from stripe_mongo_sync.checkout import alias
from stripe_mongo_sync.models.base.document import SyncedDocument
from stripe_mongo_sync.models.base.embedded import Operation
from stripe_mongo_sync.models.base.facts import Status
from stripe_mongo_sync.models.base.lifecycle import StagedDocument
from stripe_mongo_sync.models.base.registry import (
    changed_kinds,
    created_kinds,
    kinds,
    present_kinds,
    synced_kind,
    synced_kinds,
)
from stripe_mongo_sync.models.base.resource import Action, Resource, Undo
from stripe_mongo_sync.models.checkout_session import CheckoutSession
from stripe_mongo_sync.models.coupon import Coupon
from stripe_mongo_sync.models.customer import Customer
from stripe_mongo_sync.models.delivery import Delivery, DeliveryState
from stripe_mongo_sync.models.erasure import Erasure
from stripe_mongo_sync.models.event import Event
from stripe_mongo_sync.models.invoice import Invoice
from stripe_mongo_sync.models.invoice_item import InvoiceItem
from stripe_mongo_sync.models.meter import Meter
from stripe_mongo_sync.models.mirrored import register_mirrored_types
from stripe_mongo_sync.models.order import Order
from stripe_mongo_sync.models.payment_intent import PaymentIntent
from stripe_mongo_sync.models.payment_link import PaymentLink
from stripe_mongo_sync.models.payment_method import PaymentMethod
from stripe_mongo_sync.models.price import Price
from stripe_mongo_sync.models.product import Product
from stripe_mongo_sync.models.promotion_code import PromotionCode
from stripe_mongo_sync.models.quote import Quote
from stripe_mongo_sync.models.refund import Refund
from stripe_mongo_sync.models.rows.own_rows import OwnRows
from stripe_mongo_sync.models.setup_intent import SetupIntent
from stripe_mongo_sync.models.shipping_rate import ShippingRate
from stripe_mongo_sync.models.state import State
from stripe_mongo_sync.models.subscription import Subscription
from stripe_mongo_sync.models.tax_rate import TaxRate
from stripe_mongo_sync.models.usage import UsageRecord, UsageState

__all__ = [
    "Action",
    "CheckoutSession",
    "Coupon",
    "Customer",
    "Delivery",
    "DeliveryState",
    "Erasure",
    "Event",
    "Invoice",
    "InvoiceItem",
    "Meter",
    "Operation",
    "Order",
    "PaymentIntent",
    "PaymentLink",
    "PaymentMethod",
    "Price",
    "Product",
    "PromotionCode",
    "Quote",
    "Refund",
    "Resource",
    "SetupIntent",
    "ShippingRate",
    "StagedDocument",
    "State",
    "Status",
    "Subscription",
    "SyncedDocument",
    "TaxRate",
    "Undo",
    "UsageRecord",
    "UsageState",
    "changed_kinds",
    "created_kinds",
    "kinds",
    "present_kinds",
    "stored_things",
    "synced_kind",
    "synced_kinds",
]

alias(__name__)
for module in iter_modules(__path__):  # a new type needs no line in this file
    import_module(f"{__name__}.{module.name}")
register_mirrored_types()


def stored_things() -> list[type[OwnRows]]:
    """Return every model that has a collection."""
    return [*kinds().values(), Event, Delivery, UsageRecord, Erasure, State]
