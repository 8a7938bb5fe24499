"""A tax rate: what is added to, or included in, an amount. It can never be deleted, only archived."""

from typing import ClassVar

from mongoengine import BooleanField, FloatField, StringField

from stripe_mongo_sync.models.base.document import SyncedDocument
from stripe_mongo_sync.models.base.resource import Resource, Undo


class TaxRate(SyncedDocument):
    says = "A percentage of tax."
    meta: ClassVar = {"collection": "tax_rates"}
    resource: ClassVar = Resource(kind="tax_rate", path="/v1/tax_rates", undo=(Undo.ARCHIVE,))

    display_name: str = StringField(max_length=50, required=True, sent="create update")
    percentage: float = FloatField(min_value=0, max_value=100, required=True, sent="create")
    inclusive: bool = BooleanField(required=True, sent="create")
    active: bool = BooleanField(sent="create update")
    country: str | None = StringField(regex=r"[A-Za-z]{2}$", sent="create update")
    state: str | None = StringField(max_length=5000, sent="create update")
    jurisdiction: str | None = StringField(max_length=50, sent="create update")
    description: str | None = StringField(max_length=5000, sent="create update", unfilled=True)
