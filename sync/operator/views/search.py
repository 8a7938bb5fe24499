"""Search: what an operator may mean by a text, which may be any id, a username or an e-mail address.

Each question is one of an index: a text that is no id is only compared with usernames and addresses.
"""

from typing import Any

from bson import ObjectId

from stripe_mongo_sync.models import Customer, Delivery, Event, StagedDocument, present_kinds
from stripe_mongo_sync.models.base.resource import is_id
from stripe_mongo_sync.models.rows.keys import PREFIX
from stripe_mongo_sync.models.rows.tally import ask_each
from stripe_mongo_sync.sync.inbox.arrival import EVENT_ID
from stripe_mongo_sync.sync.operator import deliveries, operations
from stripe_mongo_sync.sync.shop.lists import asking

MOST = 50  # customers with one address
Json = dict[str, Any]


def search(text: str, *, personal: bool) -> list[Json]:
    """Return the documents, events and deliveries that a text names, as `operations list` shows them.

    Usernames and e-mail addresses are looked up only with `personal`: they tell who is there.
    """
    text = text.strip()
    if EVENT_ID.fullmatch(text):
        found = [operations.dead(row) for row in Event.objects(id=text)]
    elif text.startswith(f"{PREFIX}:"):  # an idempotency key, which names its document
        id = [*text.split(":"), "", "", ""][3]
        found = _documents({"_id": ObjectId(id)}) if ObjectId.is_valid(id) else []
    elif ObjectId.is_valid(text):
        found = _documents({"_id": ObjectId(text)})
    elif is_id(text):
        found = _documents({"stripe_id": text})
        found += [_delivery(row) for row in Delivery.objects(id=text)] if ":" in text else []
    else:
        found = []
    known = {one["id"] for one in found}
    customers = _people(text) if personal else []
    return [*found, *(shown(each) for each in customers if str(each.id) not in known)]


def shown(document: StagedDocument) -> Json:
    """Return the entry of a document; of a customer, with what people call them."""
    name = (document.username or document.email) if isinstance(document, Customer) else None
    return {**operations.shown(document), "name": name}


def _documents(where: Json) -> list[Json]:
    """Return the entries of the documents of all kinds that `where` selects, which an index answers."""
    models = present_kinds().values()
    having = ask_each(models, lambda model: [{"$match": where}, {"$limit": 1}, {"$project": {"_id": 1}}])
    return [shown(document) for model in having for document in model.objects(__raw__=where).limit(MOST)]


def _people(text: str) -> list[Customer]:
    named = Customer.with_username(text, is_current=True)
    return [*{each.id: each for each in (*named, *(_mailed(text) if "@" in text else ()))}.values()]


@asking()
def _mailed(address: str) -> list[Customer]:
    """Return the customers with an address, as it is stored. Where the index is missing, nothing is scanned."""
    found = Customer.objects(email__in=[*{address, address.lower()}]).hint([("email", 1)])
    return list(found.limit(MOST))


def _delivery(row: Delivery) -> Json:
    told = deliveries.summary(row)
    return {**told, "kind": "delivery", "status": row.state, "stripe_id": None, "review": None, "error": row.reason}
