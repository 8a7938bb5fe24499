"""May they come in? Reads all that can entitle a customer in one round trip to MongoDB, and asks Stripe nothing."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId

from stripe_mongo_sync.models import Customer, Invoice, Order, Price, StagedDocument, State, Subscription, kinds
from stripe_mongo_sync.models.base.input import Invalid
from stripe_mongo_sync.models.base.resource import is_id
from stripe_mongo_sync.models.lists.page import CURRENT
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.formerly import UPGRADE
from stripe_mongo_sync.models.rows.marked import ours
from stripe_mongo_sync.models.state import HEARTBEAT, MIGRATIONS
from stripe_mongo_sync.models.username import LONGEST, STRIPE_ID, keys_of
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.entitlements.entitlement import ORDERS, SUBSCRIPTIONS, Ground, Rule, Rules, answer
from stripe_mongo_sync.sync.errors import NotFound, Unavailable
from stripe_mongo_sync.sync.process.starting import PROGRAM
from stripe_mongo_sync.sync.settings import Settings
from stripe_mongo_sync.sync.shop.lists import asking

Json = Mapping[str, Any]
SUMMARY = "entitlements.active_entitlement_summary"
NOTHING: Mapping[str, str] = {}
QUERIES = ("product", "price", "feature")
OPEN = "open"  # the status of an invoice that is to be paid


def access(
    customer: Customer | str, /, *, product: Any = None, price: Any = None, feature: str | None = None
) -> dict[str, Any]:
    """Say whether a customer is entitled to a product, a price or a feature: by a subscription, an order, or Stripe's
    entitlements. MongoDB alone is asked, in one round trip.

    The customer is the document, the username, its id or Stripe's; product and price are a document, its id or
    Stripe's; a feature is named by its lookup key or id. Return {"entitled", "by": [{"kind", "id", "stripe_status",
    "until"}], "until", "certain"}: `until` is the latest end, or None for what does not end; `stripe_status` of an
    order is that of its payment. `certain` is False while an operation on any of it is pending or in review, or the
    last reconcile found events that no webhook had brought. Without a query, it is about everything, and "products",
    "prices" and "features" list what they are entitled to.

    Raises NotConnected, NotFound for an unknown customer, Invalid for two queries, or Unavailable (also until `migrate`
    has upgraded what an older version stored).

    Example:

        if access("user@here.com", product="prod_123")["entitled"]:
            print("come in")
    """
    current()
    given = {name: value for name, value in zip(QUERIES, (product, price, feature), strict=True) if value is not None}
    if len(given) > 1:
        raise Invalid(dict.fromkeys(given, "ask for one of product, price and feature at a time"))
    query = {name: text for name, value in given.items() if (text := _named(value)) is not None}
    if wrong := given.keys() - query.keys():
        raise Invalid(dict.fromkeys(wrong, "must be the id of a document, or Stripe's"))
    read = read_access(_who(customer), query)
    for name in query if "named" in read else ():
        found = next(iter(read["named"]), {"stripe_id": None})["stripe_id"]
        if found is None:
            raise Invalid({name: f"there is no such {name} here"})
        query = {name: found}
    settings, heartbeat = current().settings, read["state"].get(HEARTBEAT, {})
    certain = not (unsure(read["customer"]) or heartbeat.get("missed"))
    return answer(grounds(read), query, rules_of(settings), read["now"], certain=certain)


def rules_of(settings: Settings) -> Rules:
    """Return what the settings say of access."""
    return Rules(settings.access_grace, settings.access_while_paused)


def _named(given: Any) -> str | None:
    if isinstance(given, StagedDocument):
        return given.stripe_id
    text = str(given) if isinstance(given, str | ObjectId) else None
    return text if is_id(text) else None


def _who(customer: Any) -> dict[str, Any]:
    """Return the query of the customers whom this may mean. Raises Invalid."""
    if isinstance(customer, Customer):
        return {"_id": customer.id}
    text = str(customer) if isinstance(customer, str | ObjectId) else ""
    if ObjectId.is_valid(text):
        return {"_id": ObjectId(text)}
    if STRIPE_ID.fullmatch(text):
        return {"stripe_id": text, "is_current": True}
    named = [{"username_key": {"$in": keys}, "is_current": True}] if (keys := keys_of(text)) else []
    chosen = [{"stripe_id": text, "is_current": True}] if is_id(text) else []
    if not named and not chosen:
        raise Invalid({"customer": "must be a customer, a username or an id"})
    return {"$or": [*named, *chosen]}


# --- the question to MongoDB ---


@asking()
def read_access(who: Json, query: Mapping[str, str] = NOTHING) -> dict[str, Any]:
    """Return a customer with all that may entitle, in one answer. Raises NotFound and Unavailable."""
    if UPGRADE:
        raise Unavailable(NOT_MIGRATED)
    rows = list(Customer.own_rows().aggregate(stages(who, query)))
    rows.sort(key=lambda row: not _is_named(row["customer"]))  # a username wins over an equal custom id
    found = next((row for row in rows if row["customer"].get("is_current")), None)
    if found is None:
        raise NotFound("There is no such customer.")
    found["state"] = {row["_id"]: row["value"] for row in found["state"]}
    if "owners" not in found["state"].get(MIGRATIONS, {}).get("done", ()):
        raise Unavailable(NOT_MIGRATED)
    return {**found, "now": found["now"].astimezone(UTC) + clock.TEST_OFFSET}


NOT_MIGRATED = f"Access is known once `{PROGRAM} migrate` has upgraded what an older version stored."


def _is_named(row: Json) -> bool:
    return bool(row.get("username_key")) and len(str(row["username_key"])) <= LONGEST


def stages(who: Json, query: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the aggregation that begins with the customer; each part enters an index by Stripe's id of them."""
    entitling = [status for status, rule in SUBSCRIPTIONS.items() if rule != Rule.NO]
    paid = [status for status, rule in ORDERS.items() if rule != Rule.NO]
    shown = dict.fromkeys(UNSURE, 1)
    price = _part(Price, "prices", {}, {"product": 1, "stripe_id": 1}, "items.price", "stripe_id")
    named = [_of_id(kinds()[name], ObjectId(value)) for name, value in query.items() if _is_ours(name, value)]
    return [
        {"$match": dict(who)},
        {"$limit": 3},
        {
            "$project": {
                "_id": 0,
                "now": "$$NOW",
                "stripe_id": 1,
                "customer": {name.partition(".")[0]: f"${name}" for name in ("username_key", "is_current", *UNSURE)},
            }
        },
        _part(
            Subscription,
            "subscriptions",
            {"status": {"$in": [*CURRENT]}, "$or": [{"stripe_status": {"$in": [*entitling, None]}}, *BUSY]},
            {**shown, **dict.fromkeys(OF_SUBSCRIPTION, 1), "prices": 1},
            more=[price],
        ),
        _part(
            Invoice,
            "invoices",
            {"status": {"$in": [*CURRENT]}, "stripe_status": OPEN, "subscription": {"$gt": ""}},
            {**shown, "subscription": 1, "stripe.created": 1},
        ),
        _part(
            Order,
            "orders",
            {"status": {"$in": [*CURRENT]}, "$or": [{"payment_status": {"$in": paid}}, *BUSY]},
            {**shown, "payment_status": 1, "items.price": 1, "prices": 1},
            more=[price],
        ),
        _part(kinds()[SUMMARY], "summaries", {"status": "active"}, {**shown, "stripe.entitlements": 1}),
        {
            "$lookup": {
                "from": State._get_collection_name(),
                "pipeline": [{"$match": {"_id": {"$in": [HEARTBEAT, MIGRATIONS]}}}],
                "as": "state",
            }
        },
        *named,
    ]


BUSY: list[dict[str, Any]] = [{"operation": {"$ne": None}}, {"review_reason": {"$ne": None}}]
UNSURE = ("status", "operation.verb", "review_reason")
OF_SUBSCRIPTION = (
    *("stripe_id", "stripe_status", "items.price", "pause_collection", "cancel_at", "cancel_at_period_end"),
    *("stripe.items.data.price.product", "stripe.items.data.current_period_start"),
    *("stripe.items.data.current_period_end", "stripe.current_period_start", "stripe.current_period_end"),
)


def _is_ours(name: str, value: str) -> bool:
    return name in ("product", "price") and ObjectId.is_valid(value)


def _of_id(model: type[StagedDocument], id: ObjectId) -> dict[str, Any]:
    where = [{"$match": dict(ours({"_id": id}, model.mark))}, {"$project": {"stripe_id": 1}}]
    return {"$lookup": {"from": model._get_collection_name(), "pipeline": where, "as": "named"}}


def _part(
    model: type[StagedDocument],
    name: str,
    where: Json,
    shown: Json,
    local: str = "stripe_id",
    foreign: str = "owners",
    more: Iterable[dict[str, Any]] = (),
) -> dict[str, Any]:
    """Return the stage that adds the rows of another collection which name this one's field."""
    pipeline = [{"$match": dict(ours(where, model.mark))}, *more, {"$project": dict(shown)}]
    coll = model._get_collection_name()
    return {"$lookup": {"from": coll, "localField": local, "foreignField": foreign, "pipeline": pipeline, "as": name}}


# --- what the rows say ---


def unsure(row: Json) -> bool:
    """Whether an operation on a document is pending, or an operator must decide about it."""
    return row.get("status") == "pending" or bool(row.get("operation")) or row.get("review_reason") is not None


def grounds(read: Json) -> list[Ground]:
    """Return all that may entitle, as the pure function wants to have it."""
    if read.get("stripe_id") is None:
        return []  # else what names nobody would be theirs
    unpaid: dict[str, list[Json]] = {}
    for invoice in read["invoices"]:
        unpaid.setdefault(invoice["subscription"], []).append(invoice)
    return [
        *(_subscribed(row, unpaid.get(str(row.get("stripe_id")), [])) for row in read["subscriptions"]),
        *(_ordered(row) for row in read["orders"]),
        *(_featured(row) for row in read["summaries"]),
    ]


def _subscribed(row: Json, unpaid: list[Json]) -> Ground:
    remote = row.get("stripe") or {}
    items = (remote.get("items") or {}).get("data") or []
    begins = [item.get("current_period_start") for item in [*items, remote]]
    ends = [item.get("current_period_end") for item in [*items, remote]]
    end = row.get("cancel_at") or (max(filter(None, ends), default=None) if row.get("cancel_at_period_end") else None)
    # The oldest unpaid invoice was made when the unpaid period began; later periods may have begun since.
    since = min(filter(None, ((invoice.get("stripe") or {}).get("created") for invoice in unpaid)), default=None)
    return Ground(
        kind="subscription",
        id=str(row["_id"]),
        status=row.get("stripe_status"),
        prices=_ids(item.get("price") for item in row.get("items") or ()),
        products=_ids((item.get("price") or {}).get("product") for item in items) | _products(row),
        ends_at=_moment(end),
        unpaid_since=_moment(since or max(filter(None, begins), default=None)),
        is_paused=row.get("pause_collection") is not None,
        is_unsure=any(map(unsure, [row, *unpaid])),
    )


def _ordered(row: Json) -> Ground:
    return Ground(
        kind="order",
        id=str(row["_id"]),
        status=row.get("payment_status"),
        prices=_ids(item.get("price") for item in row.get("items") or ()),
        products=_products(row),
        is_unsure=unsure(row),
    )


def _featured(row: Json) -> Ground:
    listed = (row.get("stripe") or {}).get("entitlements") or {}
    features = [each.get("feature") for each in listed.get("data") or ()]
    keys = [each.get("lookup_key") for each in listed.get("data") or ()]
    ids = (feature.get("id") if isinstance(feature, dict) else feature for feature in features)
    return Ground(
        kind=SUMMARY,
        id=str(row["_id"]),
        features=_ids([*ids, *keys]),
        is_unsure=unsure(row),
        is_partial=bool(listed.get("has_more")),  # an event shows the first of many only
    )


def _products(row: Json) -> frozenset[str]:
    return _ids(price.get("product") for price in row.get("prices") or ())


def _ids(values: Iterable[Any]) -> frozenset[str]:
    return frozenset(value for value in values if isinstance(value, str))


def _moment(second: int | None) -> datetime | None:
    return None if second is None else datetime.fromtimestamp(second, UTC)
