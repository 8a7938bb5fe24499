"""Tells hooks that a customer was granted access to something, or that it was revoked: once for each change.

The customer's document holds what hooks were told that they are entitled to. Whenever a subscription, an invoice, an
order or Stripe's entitlements may have changed, and when the time comes at which an end was set, what they are entitled
to is computed from the documents; the update that stores the difference writes the notice. So no crash can lose one,
and none is written twice. While no hook listens, nothing is read and nothing stored.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from stripe_mongo_sync.models import (
    Customer,
    Invoice,
    Order,
    StagedDocument,
    State,
    Subscription,
    SyncedDocument,
    kinds,
)
from stripe_mongo_sync.models.base.notice import is_heard
from stripe_mongo_sync.models.base.whose import owners_of_document
from stripe_mongo_sync.models.customer import GRANTED, REVOKED
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.formerly import UPGRADE
from stripe_mongo_sync.models.rows.sure import sure
from stripe_mongo_sync.models.state import ACCESS
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.engine.dependents import Dependent, follows
from stripe_mongo_sync.sync.entitlements.entitlement import answer
from stripe_mongo_sync.sync.entitlements.question import SUMMARY, grounds, read_access, rules_of
from stripe_mongo_sync.sync.errors import NotFound
from stripe_mongo_sync.sync.process.stop import STOP
from stripe_mongo_sync.sync.shop import orders

SOURCES: tuple[type[StagedDocument], ...] = (Subscription, Order, kinds()[SUMMARY])


def listens() -> bool:
    """Whether a hook of this process subscribes to access, and all rows can be read."""
    return (is_heard(GRANTED) or is_heard(REVOKED)) and not UPGRADE


def recompute(customer: Customer) -> None:
    """Store what a customer is entitled to now, with the notice of what is new.

    The customer is read before the documents, and written only if unchanged since: the last writer saw the latest.
    """
    while True:
        wanted, until = _entitled(customer)
        known = customer.entitled
        if known is None and not wanted:
            return
        news = _news(set(known or ()), set(wanted)) if known is not None or _began() else []
        if (known, customer.access_until) == (wanted, until):
            return
        if customer.update_if_unchanged("access", notices=news, entitled=wanted, access_until=until) is not None:
            return
        customer = customer.fetch_latest()


def _news(before: set[str], now: set[str]) -> list[str]:
    return [name for name, changed in ((GRANTED, now - before), (REVOKED, before - now)) if changed]


def _entitled(customer: Customer) -> tuple[list[str], datetime | None]:
    """Return what a customer is entitled to, and when time alone may change that."""
    try:
        read = read_access({"_id": customer.id})
    except NotFound:
        return [], None  # the customer is deleted
    told = answer(grounds(read), {}, rules_of(current().settings), read["now"])
    found = [f"{name[:-1]}:{each['id']}" for name in ("products", "prices", "features") for each in told[name]]
    return found, min((each["until"] for each in told["by"] if each["until"]), default=None)


# --- when it is computed ---


def follow_access() -> int:
    """Compute anew where an end that was set has come; return how many customers that were.

    The first time that a hook listens, what customers have by then is stored without notices: hooks hear of changes.
    """
    if not listens():
        return 0
    _begin()
    due = {"access_until": {"$type": "date", "$lte": clock.now()}}
    customers = list(Customer.objects(__raw__=due))
    for customer in customers:
        STOP.here()
        recompute(customer)
    return len(customers)


def _began() -> bool:
    return State.read(ACCESS) is not None


def _begin() -> None:
    if _began():
        return
    for model in SOURCES:
        for document in model.objects(is_current=True).no_cache():
            STOP.here()
            for customer in _customers([document]):
                if customer.entitled is None:
                    recompute(customer)
    State.set_default(ACCESS, {"began": True})


def _customers(documents: Iterable[StagedDocument]) -> list[Customer]:
    """Return the customers whose these documents are."""
    rows = [(document.resource.kind, {"customer": getattr(document, "customer", None)}) for document in documents]
    ids = set().union(*(owners_of_document(kind, row) for kind, row in rows)) if rows else set()
    return list(Customer.objects(stripe_id__in=sorted(ids)))


def _recompute_owner(document: SyncedDocument) -> None:
    if listens():
        for customer in _customers([document]):
            recompute(customer)


def _recompute_buyers(document: SyncedDocument) -> None:
    if listens():
        for customer in _customers(orders.paid_with(document)):
            recompute(customer)


def _recompute_deleted(document: SyncedDocument) -> None:
    customer = sure(document, Customer)
    if listens() and not customer.is_current and customer.entitled:
        recompute(customer)


def _heard(remotes: Mapping[Any, Mapping[str, Any]]) -> set[Any]:
    """Return the keys of those objects that may change an access: all, while a hook listens."""
    return set(remotes) if listens() else set()


def _of_orders(remotes: Mapping[Any, Mapping[str, Any]]) -> set[Any]:
    return orders.among(remotes) if listens() else set()


follows(Dependent(_recompute_owner, _heard), Subscription.resource.kind, Invoice.resource.kind, SUMMARY)
follows(Dependent(_recompute_deleted, _heard), Customer.resource.kind)
follows(Dependent(_recompute_buyers, _of_orders), "checkout.session", "payment_intent", "refund", "dispute")
