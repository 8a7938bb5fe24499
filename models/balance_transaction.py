"""A transaction of a customer's balance: what they have too much, or owe, and their next invoices settle."""

from typing import ClassVar, TypedDict

from mongoengine import IntField, StringField

from stripe_mongo_sync.models.base.document import SyncedDocument
from stripe_mongo_sync.models.base.resource import Resource


class OfCustomer(TypedDict):
    """Whose balance it is: Stripe has it in the path."""

    customer: str
    """
    Whose balance it changes.
    """


class CustomerBalanceTransaction(SyncedDocument):
    """Nothing undoes it: Stripe deletes none, and a second one that gives the amount back would be seen as one."""

    says = "A change of a customer's balance, which their next invoices use up. No event of Stripe's shows it."
    meta: ClassVar = {"collection": "customer_balance_transactions"}
    resource: ClassVar = Resource(
        kind="customer_balance_transaction",
        path="/v1/customers/{customer}/balance_transactions",
        undo=(),
        has_created_event=False,
        listable=False,  # Stripe lists them for one customer at a time
        created_filter=False,
        types={"create": ("CustomerBalanceTransactionCreateParams", OfCustomer)},
        moves_money_if=lambda verb, sent: verb == "create",
    )

    customer: str = StringField()
    amount: int = IntField(help_text="In the currency's minor unit. Below zero, the customer gets credit.")
    currency: str = StringField()
    description: str | None = StringField()
    type: str = StringField()
    ending_balance: int = IntField(help_text="The customer's balance after it, in the currency's minor unit.")
    invoice: str | None = StringField()
    credit_note: str | None = StringField()
