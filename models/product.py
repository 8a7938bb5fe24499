"""A product: what the shop sells. Its prices are documents of their own."""

from typing import Any, ClassVar

from mongoengine import BooleanField, EmbeddedDocumentField, FloatField, StringField

from stripe_mongo_sync.models.base.document import SyncedDocument
from stripe_mongo_sync.models.base.embedded import Plain
from stripe_mongo_sync.models.base.resource import Resource, Undo
from stripe_mongo_sync.models.rows.database import Part


class PackageDimensions(Part):
    """The dimensions of a package, in inches and ounces."""

    height: float = FloatField()
    length: float = FloatField()
    weight: float = FloatField()
    width: float = FloatField()


class Product(SyncedDocument):
    says = "Something that is sold."
    meta: ClassVar = {"collection": "products"}
    resource: ClassVar = Resource(
        kind="product",
        path="/v1/products",
        undo=(Undo.DELETE, Undo.ARCHIVE),  # Stripe refuses to delete a product that has prices
        deletable=True,
        accepts_custom_id=True,
    )

    name: str = StringField()
    active: bool = BooleanField()
    description: str | None = StringField(unfilled=True)
    images: list[str] = Plain(StringField())
    package_dimensions: PackageDimensions | None = EmbeddedDocumentField(PackageDimensions)
    shippable: bool | None = BooleanField()
    statement_descriptor: str | None = StringField()
    tax_code: str | None = StringField()
    unit_label: str | None = StringField()
    url: str | None = StringField()
    default_price: Any = StringField()
