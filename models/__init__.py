"""The picture of the database: one file for each thing that is stored.

A Stripe type is one file here (`customer.py`, `product.py`, …). Importing this package registers all of them, and
routes, commands, events, reconcile and docs follow from that registry.
"""

from models.base import SyncedDocument
from models.coupon import Coupon
from models.customer import Customer
from models.event import Event
from models.indexes import build_indexes
from models.lifecycle import Status
from models.parts import Operation
from models.payment_intent import PaymentIntent
from models.price import Price
from models.product import Product
from models.promotion_code import PromotionCode
from models.refund import Refund
from models.resource import Action, Resource, Undo, kinds
from models.setup_intent import SetupIntent
from models.shipping_rate import ShippingRate
from models.state import State
from models.tax_rate import TaxRate

__all__ = [
    "Action",
    "Coupon",
    "Customer",
    "Event",
    "Operation",
    "PaymentIntent",
    "Price",
    "Product",
    "PromotionCode",
    "Refund",
    "Resource",
    "SetupIntent",
    "ShippingRate",
    "State",
    "Status",
    "SyncedDocument",
    "TaxRate",
    "Undo",
    "build_indexes",
    "kinds",
]
