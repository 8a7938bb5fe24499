"""An invoice item: an amount that is added to the customer's next invoice, or to a given draft."""

from typing import Any, ClassVar, Self

from mongoengine import EmbeddedDocumentField, IntField, StringField
from pymongo import IndexModel

from stripe_mongo_sync.models.base.document import SyncedDocument
from stripe_mongo_sync.models.base.resource import Resource, Undo
from stripe_mongo_sync.models.rows.database import Part
from stripe_mongo_sync.models.rows.indexes import A_STRING


class Pricing(Part):
    """The price of the item."""

    price: str = StringField()


class InvoiceItem(SyncedDocument):
    says = "A line of an invoice to come. Give `amount` and `currency`, or `pricing` and `quantity`."
    meta: ClassVar = {"collection": "invoiceitems"}
    indexes: ClassVar = [*SyncedDocument.indexes, IndexModel("invoice", partialFilterExpression={"invoice": A_STRING})]
    resource: ClassVar = Resource(
        kind="invoiceitem",
        types={verb: f"InvoiceItem{verb.title()}Params" for verb in ("create", "update")},
        path="/v1/invoiceitems",
        undo=(Undo.DELETE,),  # Stripe refuses once its invoice is no draft: then an operator decides
        deletable=True,
    )

    customer: str = StringField()
    invoice: str | None = StringField()
    amount: int | None = IntField()
    currency: str | None = StringField()
    pricing: Pricing | None = EmbeddedDocumentField(Pricing)
    quantity: int | None = IntField()
    description: str | None = StringField()

    @classmethod
    def about(cls, invoice: str, items: list[str]) -> list[Self]:
        """Return the live documents of these items, and those that are in that invoice as far as we know."""
        named = [{"stripe_id": {"$in": items}}, {"invoice": {"$eq": invoice}}]
        return list(cls.objects(__raw__={"is_current": True, "$or": named}))

    @classmethod
    def in_request_shape(cls, remote: dict[str, Any]) -> dict[str, Any]:
        """Return the item with its price where a request has it: Stripe shows it one level deeper."""
        price = ((remote.get("pricing") or {}).get("price_details") or {}).get("price")
        return {**remote, "pricing": price and {"price": price}}
