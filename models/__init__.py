"""The picture of the database: one file for each thing that is stored.

A Stripe type is one file here (`customer.py`, `product.py`, …). Importing this package registers all of them, and
routes, commands, events, reconcile and docs follow from that registry.
"""

from models.base import Operation, SyncedDocument, build_indexes
from models.coupon import Coupon
from models.customer import Customer
from models.event import Event
from models.lifecycle import Status
from models.price import Price
from models.product import Product
from models.promotion_code import PromotionCode
from models.resource import Resource, Undo, kinds
from models.state import State

__all__ = [
    "Coupon",
    "Customer",
    "Event",
    "Operation",
    "Price",
    "Product",
    "PromotionCode",
    "Resource",
    "State",
    "Status",
    "SyncedDocument",
    "Undo",
    "build_indexes",
    "kinds",
]
