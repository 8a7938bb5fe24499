"""The items that are sold by a checkout session, a payment link, a subscription or an order."""

from typing import ClassVar

from mongoengine import EmbeddedDocumentField, IntField, StringField

from stripe_mongo_sync.models.amounts import LARGEST
from stripe_mongo_sync.models.rows.database import Part


class Period(Part):
    """How often a price that is made for one sale recurs. A metered price needs an object of its own."""

    meta: ClassVar = {"strict": False}
    interval: str = StringField(required=True, choices=["day", "week", "month", "year"])
    interval_count: int | None = IntField(min_value=1)


class NewProduct(Part):
    """A product made for one sale."""

    meta: ClassVar = {"strict": False}
    name: str = StringField(max_length=5000, required=True)
    description: str | None = StringField(max_length=40_000)


class NewPrice(Part):
    """A price made for one sale, in the currency's minor unit."""

    meta: ClassVar = {"strict": False}
    currency: str = StringField(regex=r"[A-Za-z]{3}$", required=True)
    unit_amount: int = IntField(min_value=0, max_value=LARGEST, required=True)
    product: str | None = StringField(max_length=5000, references="product")
    product_data: NewProduct | None = EmbeddedDocumentField(NewProduct)
    recurring: Period | None = EmbeddedDocumentField(Period)


class Item(Part):
    """A quantity of one price."""

    meta: ClassVar = {"strict": False}
    price: str | None = StringField(max_length=5000, references="price")
    price_data: NewPrice | None = EmbeddedDocumentField(NewPrice)
    quantity: int | None = IntField(min_value=0, max_value=999_999)
