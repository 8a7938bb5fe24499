"""The picture of the database: one file for each thing that is stored.

A Stripe type is one file here (`customer.py`, `product.py`, …); what has none is a row in `mirrored.py`. Importing this
package registers all of them, and routes, commands, events, reconcile and docs follow from that registry. Named below
is only what others import by name.
"""

from importlib import import_module
from pkgutil import iter_modules

from models.base import SyncedDocument
from models.checkout_session import CheckoutSession
from models.coupon import Coupon
from models.customer import Customer
from models.delivery import Delivery, DeliveryState
from models.erasure import Erasure
from models.event import Event
from models.invoice import Invoice
from models.invoice_item import InvoiceItem
from models.lifecycle import Status
from models.mirrored import mirror_the_rest
from models.order import Order
from models.parts import Operation
from models.payment_intent import PaymentIntent
from models.payment_link import PaymentLink
from models.payment_method import PaymentMethod
from models.price import Price
from models.product import Product
from models.promotion_code import PromotionCode
from models.refund import Refund
from models.registry import created_kinds, kinds, present_kinds
from models.resource import Action, Resource, Undo
from models.setup_intent import SetupIntent
from models.shipping_rate import ShippingRate
from models.state import State
from models.subscription import Subscription
from models.tax_rate import TaxRate

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
    "Operation",
    "Order",
    "PaymentIntent",
    "PaymentLink",
    "PaymentMethod",
    "Price",
    "Product",
    "PromotionCode",
    "Refund",
    "Resource",
    "SetupIntent",
    "ShippingRate",
    "State",
    "Status",
    "Subscription",
    "SyncedDocument",
    "TaxRate",
    "Undo",
    "created_kinds",
    "kinds",
    "present_kinds",
]

for module in iter_modules(__path__):  # a new type needs no line in this file
    import_module(f"{__name__}.{module.name}")
mirror_the_rest()
