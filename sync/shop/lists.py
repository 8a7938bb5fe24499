"""Lists of documents: what a caller may filter by, and the pages of what that selects, each by an index.

A combination of filters that no index has is refused, as it would read every document of the type.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Generic, TypedDict, TypeVar

from bson import ObjectId
from pymongo.errors import OperationFailure, PyMongoError

from stripe_mongo_sync.models import Customer, Order, PaymentIntent, Price, Refund, StagedDocument, Status, kinds
from stripe_mongo_sync.models.base.input import Invalid
from stripe_mongo_sync.models.base.resource import is_id
from stripe_mongo_sync.models.customer import of_customers
from stripe_mongo_sync.models.lists.filters import CUSTOMER, LEADING
from stripe_mongo_sync.models.lists.listed import Documents
from stripe_mongo_sync.models.lists.page import NOBODY, Selection, moment_of, queries
from stripe_mongo_sync.models.order import PaymentStatus
from stripe_mongo_sync.models.username import STRIPE_ID
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.errors import Unavailable
from stripe_mongo_sync.sync.process.starting import PROGRAM
from stripe_mongo_sync.sync.shop.in_threads import async_iterator

PAGE = 100  # documents that one query returns
MOST_PRICES = 100  # of one product, whose orders are then found by each of them
NO_INDEX = 2  # MongoDB's code of a hint that names no index
NOT_HERE = "there is no such customer here"
NO_ANSWER = "MongoDB did not answer: repeat the call."  # a read has no outcome, and no key
D = TypeVar("D", bound=StagedDocument)


class Created(TypedDict, total=False):
    """A range of moments: dates, or Unix seconds."""

    gte: datetime | int
    lt: datetime | int


class Filters(TypedDict, total=False):
    """What a list can be filtered by. A type has some of them; a document or its id may be given for another one."""

    customer: Any  # the document, its id or Stripe's
    username: str
    status: str  # of the document: pending, active, rolled_back or deleted
    stripe_status: str
    payment_status: str  # of orders and checkout sessions
    price: Any  # of subscriptions and orders
    product: Any  # of prices, subscriptions and orders
    subscription: Any  # of invoices and checkout sessions
    created: Created  # when the object was created at Stripe; of orders, here


class Listing(Documents[D], Generic[D]):
    """The documents of a list, one after the other; in `async for`, the event loop does not wait for MongoDB."""

    def __init__(self, found: Iterator[D]) -> None:
        self._found = found

    def __next__(self) -> D:
        return next(self._found)

    def __aiter__(self) -> AsyncIterator[D]:
        return async_iterator(lambda: self._found)()


@contextmanager
def asking() -> Iterator[None]:
    """Query MongoDB for a caller. Raises NotConnected, and Unavailable when MongoDB does not answer."""
    current()
    try:
        yield
    except OperationFailure as error:
        if error.code == NO_INDEX:
            told = f"An index of this list is missing: run `{PROGRAM} indexes`."
            raise Unavailable(told) from error
        raise Unavailable(NO_ANSWER) from error
    except PyMongoError as error:
        raise Unavailable(NO_ANSWER) from error


def selected(model: type[StagedDocument], given: Mapping[str, Any]) -> Selection:
    """Return what these filters select. Raises Invalid, with an error for each wrong one; NotConnected; Unavailable."""
    has = model.filters()
    given = {name: value for name, value in given.items() if value is not None}
    wrong = {name: f"is not a filter of this list, which has {', '.join(has.names)}" for name in given}
    wrong = {name: why for name, why in wrong.items() if name not in has.names}
    if CUSTOMER in given and "username" in given:
        wrong["username"] = "names the customer a second time"
    for name, known in (("status", Status), ("payment_status", PaymentStatus)):
        if name in given and given[name] not in [*known] and (model is Order or name == "status"):
            wrong[name] = f"must be one of {', '.join(known)}"
    equal = {name: _stripe_id(name, given[name]) for name in LEADING if name in given}
    wrong |= {name: "must be a text, or the id of a document here" for name, value in equal.items() if not is_id(value)}
    since, before = _range(model, given.get("created"), wrong)
    if wrong:
        raise Invalid(wrong)
    chosen = Selection(
        status=given.get("status"), customer=_owner(given), equal=_by_prices(model, equal), since=since, before=before
    )
    if has.index_of(chosen.filters) is None:
        rest = " or ".join(name for name in LEADING if name in has.fields)
        why = f"would read every document beside another filter: give one of {rest}, or customer beside any"
        raise Invalid(dict.fromkeys(equal, why))
    if model is Refund and chosen.customer:  # a refund names a payment, and that the customer
        return Selection(**{**vars(chosen), "payments": _payments_of(chosen.customer)})
    return chosen


@asking()
def _stripe_id(name: str, given: Any) -> Any:
    """Return what the stored field of a filter has: Stripe's id where a document, or the id of one, is given."""
    found = given
    if name in kinds() and isinstance(given, str | ObjectId) and ObjectId.is_valid(given):
        found = kinds()[name].objects(id=ObjectId(given)).first()
    return found.stripe_id if isinstance(found, StagedDocument) else found


def _owner(given: Mapping[str, Any]) -> str | None:
    """Return Stripe's id of the customer that the filters name; None if they name none."""
    name = next((name for name in (CUSTOMER, "username") if name in given), None)
    if name is None:
        return None
    value = given[name]
    if isinstance(value, Customer):
        return value.stripe_id or NOBODY  # who is pending there has nothing yet
    text = str(value) if isinstance(value, str | ObjectId) else ""
    with asking():
        found = Customer.by_username(text) if name == "username" else Customer.lookup(text)
    if found is not None:
        return found.stripe_id or NOBODY
    if name == CUSTOMER and STRIPE_ID.fullmatch(text):
        return text  # with ADOPT=no, what a customer has may be here without the customer
    raise Invalid({name: NOT_HERE})


@asking()
def _by_prices(model: type[StagedDocument], equal: dict[str, Any]) -> dict[str, Any]:
    """Return the filters of an order with its product's prices in place of the product. Raises Invalid."""
    if model is not Order or "product" not in equal:
        return equal
    prices = Price.objects(product=equal["product"]).only("stripe_id", "revision").limit(MOST_PRICES + 1)
    found = [price.stripe_id for price in prices if price.stripe_id]
    if len(found) > MOST_PRICES:
        raise Invalid({"product": f"has more than {MOST_PRICES} prices: give one of them as price"})
    return {**equal, "product": found}


@asking()
def _payments_of(customer: str) -> list[str]:
    """Return Stripe's ids of all payments of a customer."""
    models = (PaymentIntent, kinds()["charge"])
    rows = (model.own_rows().find({"owners": customer}, {"stripe_id": 1, "_id": 0}) for model in models)
    return sorted({row["stripe_id"] for found in rows for row in found if row.get("stripe_id")})


def _range(model: type[StagedDocument], given: Any, wrong: dict[str, str]) -> tuple[Any, Any]:
    """Return the first moment of a range, and the one behind it; add what is wrong with them."""
    if given is None or "created" in wrong:
        return None, None
    if not isinstance(given, Mapping) or not given or not given.keys() <= {"gte", "lt"}:
        wrong["created"] = "must be a range: gte, lt or both"
        return None, None
    found: dict[str, Any] = {}
    for name, value in given.items():
        at = _moment(value)
        if at is None:
            wrong[f"created[{name}]"] = "must be a moment: Unix seconds, in Python also a date with a time zone"
        else:
            found[name] = moment_of(model.filters(), at)
    return found.get("gte"), found.get("lt")


def _moment(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value if value.tzinfo is not None else None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**35:
        return None
    return datetime.fromtimestamp(value, UTC)


@asking()
def last_seen(model: type[D], given: Any) -> D | None:
    """Return the document after which a list continues; None for its beginning. Raises Invalid."""
    if given is None:
        return None
    id = given.id if isinstance(given, model) else given
    last: D | None = model.objects(id=ObjectId(id)).first() if ObjectId.is_valid(id) else None
    if last is None:
        raise Invalid({"starting_after": "is not the id of a document"})
    return last


@asking()
def page(model: type[D], chosen: Selection, last: D | None, limit: int) -> list[D]:
    """Return the selected documents, the newest first, after the `last` one.

    An index has this order and is entered at the last document, so a later page costs as little as the first. The hint
    makes sure of that one: where it is missing, nothing is scanned in its place.
    """
    if chosen.is_empty:
        return []
    at = None if last is None else {"_id": last.id, "created_at": last.created_at, "stripe": last.stripe}
    wheres, index = queries(model.filters(), chosen, at)
    found = list[D]()
    for where, order in wheres:
        names = [f"-{'id' if name == '_id' else name}" for name, _ in order]
        rest = model.objects(__raw__=where).order_by(*names).limit(limit - len(found))
        found += rest.hint(index) if chosen.filters else rest
        if len(found) == limit:
            break
    return found


def pages(model: type[D], chosen: Selection, last: D | None, limit: int | None) -> Iterator[D]:
    """Yield the selected documents, the newest first, a hundred at a time; at most `limit`, or all."""
    left = limit
    while left is None or left > 0:
        wanted = PAGE if left is None else min(PAGE, left)
        found = page(model, chosen, last, wanted)
        yield from found
        if len(found) < wanted:
            return
        last, left = found[-1], left and left - len(found)


@of_customers
def lists_of(customer: Customer, kind: str, filters: Mapping[str, Any]) -> Listing[Any]:
    """Return what a customer has of a kind. Raises NotConnected, Invalid or Unavailable."""
    current()
    model = kinds()[kind]
    return Listing(pages(model, selected(model, {**filters, CUSTOMER: customer}), None, None))
