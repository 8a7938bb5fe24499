"""A tax rate: what is added to, or included in, an amount. It can never be deleted, only archived."""

from typing import ClassVar

from mongoengine import BooleanField, FloatField, StringField

from stripe_mongo_sync.models.base.document import SyncedDocument
from stripe_mongo_sync.models.base.resource import Resource, Undo


class TaxRate(SyncedDocument):
    says = "A percentage of tax."
    meta: ClassVar = {"collection": "tax_rates"}
    resource: ClassVar = Resource(kind="tax_rate", path="/v1/tax_rates", undo=(Undo.ARCHIVE,))

    display_name: str = StringField()
    percentage: float = FloatField()
    inclusive: bool = BooleanField()
    active: bool = BooleanField()
    country: str | None = StringField()
    state: str | None = StringField()
    jurisdiction: str | None = StringField()
    description: str | None = StringField(unfilled=True)
