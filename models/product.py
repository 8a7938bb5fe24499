"""A product: what the shop sells. Its prices are documents of their own."""

from typing import Any, ClassVar

from mongoengine import BooleanField, EmbeddedDocumentField, FloatField, StringField

from stripe_mongo_sync.models.base.document import SyncedDocument
from stripe_mongo_sync.models.base.embedded import Plain
from stripe_mongo_sync.models.base.resource import Resource, Undo
from stripe_mongo_sync.models.rows.database import Part


class PackageDimensions(Part):
    """The dimensions of a package, in inches and ounces."""

    meta: ClassVar = {"strict": False}
    height: float = FloatField(required=True, min_value=0)
    length: float = FloatField(required=True, min_value=0)
    weight: float = FloatField(required=True, min_value=0)
    width: float = FloatField(required=True, min_value=0)


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

    name: str = StringField(max_length=5000, required=True, sent="create update")
    active: bool = BooleanField(sent="create update")
    description: str | None = StringField(max_length=40000, sent="create update", unfilled=True)
    images: list[str] = Plain(StringField(max_length=2048), max_length=8, sent="create update")
    package_dimensions: PackageDimensions | None = EmbeddedDocumentField(PackageDimensions, sent="create update")
    shippable: bool | None = BooleanField(sent="create update")
    statement_descriptor: str | None = StringField(max_length=22, sent="create update")
    tax_code: str | None = StringField(max_length=5000, sent="create update")
    unit_label: str | None = StringField(max_length=12, sent="create update")
    url: str | None = StringField(max_length=5000, sent="create update")
    default_price: Any = StringField(max_length=5000, references="price", sent="update")
