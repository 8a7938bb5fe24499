"""The calls for every type: create, get, find, update, delete and act, by a kind, a class or a document.

A *kind* is Stripe's `object`: "customer", "checkout.session". A *reference* is what the HTTP API takes in an address:
the id of a document, Stripe's id or, of a customer, the username; `lookup` is the one rule for Python and HTTP. An
invalid call raises before anything is written or sent.
"""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, TypeVar, Unpack, overload

from bson import ObjectId

from stripe_mongo_sync.models import Quote, StagedDocument, kinds
from stripe_mongo_sync.models.base.input import Invalid
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.engine import buyer, saga
from stripe_mongo_sync.sync.errors import InProgress, NotFound, NotPossible
from stripe_mongo_sync.sync.shop.lists import Filters, asking, last_seen, pages, selected
from stripe_mongo_sync.sync.stripe.answers import Refusal

SHOWN = 80  # characters of an unknown kind that an error quotes

# The type stubs have a signature for each kind that is meant.
Created = Annotated[str, "a kind that we create"]
Kind = Annotated[str, "any kind"]
Reference = str | ObjectId
Body = Mapping[str, Any] | None
D = TypeVar("D", bound=StagedDocument)


@overload
def create(kind: Created, body: Body = None, /, *, idempotency_key: str | None = None, **fields: Any) -> Any: ...
@overload
def create(kind: type[D], body: Body = None, /, *, idempotency_key: str | None = None, **fields: Any) -> D: ...
def create(kind: Any, body: Body = None, /, *, idempotency_key: str | None = None, **fields: Any) -> Any:
    """Create a document and its object at Stripe, linked to each other, or neither.

    The fields are Stripe's, in a dict or as keywords; what refers to another document takes our id or Stripe's. Return
    the document, `active`, or `pending` where the outcome is not known yet: a webhook or reconcile resolves it. With
    `idempotency_key`, a repetition returns the same document or raises the same refusal. What names a customer takes
    `create_customer_if_missing=True`, too: a customer with this username is then created in the same call.

    Raises NotConnected, Invalid, AlreadyExists, KeyReused, Refused (`.code`, `.decline_code`; if a card was declined,
    the payment still exists), RolledBack, Deleted, or Unavailable with the key to repeat with.

    Example:

        product = create("product", name="Lamp")
        price = create("price", {"product": product.stripe_id, "currency": "eur", "unit_amount": 990})
    """
    model = _model(kind, created=True)
    document, _ = buyer.create(model, _body(body, fields), idempotency_key=idempotency_key)
    return document


@overload
def get(kind: Kind, reference: Reference, /) -> Any: ...
@overload
def get(kind: type[D], reference: Reference, /) -> D: ...
def get(kind: Any, reference: Reference, /) -> Any:
    """Return a document as it is in MongoDB, without a request to Stripe.

    `reference` is its id, Stripe's id or, of a customer, the username, in this order. A rolled-back or deleted document
    is found by its own id only. Raises NotConnected, Invalid, NotFound or Unavailable.

    Example:

        customer = get("customer", "user@here.com")
        print(customer.stripe_id, customer.name)
    """
    return found(_model(kind), reference)


@overload
def find(
    kind: Kind, /, *, starting_after: Any = None, limit: int | None = None, **filters: Unpack[Filters]
) -> Iterator[Any]: ...
@overload
def find(
    kind: type[D], /, *, starting_after: Any = None, limit: int | None = None, **filters: Unpack[Filters]
) -> Iterator[D]: ...
def find(
    kind: Any, /, *, starting_after: Any = None, limit: int | None = None, **filters: Unpack[Filters]
) -> Iterator[Any]:
    """Return an iterator over the documents of a kind, the newest first, each once.

    They are the pending and active documents, or those with the given `status`; they begin after `starting_after`, a
    document or its id; there are at most `limit`, or all. A hundred are read at a time, by an index, when they are
    needed, so they take little memory. A document that is created meanwhile is on no later page.

    Filters, where the type has such a field: `customer` (the document, its id or Stripe's) or `username`,
    `stripe_status`, `payment_status`, `price`, `product`, `subscription`, and `created={"gte": …, "lt": …}`, in dates
    or Unix seconds. A customer goes with any other filter; of the rest, only one at a time, as each has one index: what
    would read every document is refused. Filtered documents are in the order of their objects' creation at Stripe. A
    customer has the lists as methods, too: `customer.invoices(stripe_status="open")`, also in `async for`.

    Raises NotConnected, Invalid or Unavailable (also if an index is not built yet); MongoDB may also become unavailable
    on the way.

    Example:

        for invoice in find("invoice", username="user@here.com", stripe_status="open", limit=20):
            print(invoice.number, invoice.total)
    """
    model = _model(kind)
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise Invalid({"limit": "must be a whole number of 1 or more"})
    return pages(model, selected(model, filters), last_seen(model, starting_after), limit)


@overload
def update(document: D, body: Body = None, /, **fields: Any) -> D: ...
@overload
def update(kind: Created, reference: Reference, body: Body = None, /, **fields: Any) -> Any: ...
@overload
def update(kind: type[D], reference: Reference, body: Body = None, /, **fields: Any) -> D: ...
def update(*of: Any, **fields: Any) -> Any:
    """Change a document here and at Stripe.

    Pass the document, or its kind or class and a reference (see `get`); then the fields to change, in a dict or as
    keywords, where None unsets a field. Return the changed document, with an `operation` while the outcome is unknown.

    Raises NotConnected, Invalid, NotFound, AlreadyExists, InProgress, Refused or Unavailable. If Stripe refuses,
    nothing is changed.

    Example:

        customer = update("customer", "user@here.com", phone="+49 30 1234")
        customer = update(customer, {"phone": None})
    """
    document, rest = _meant("update", of, most=1)
    return saga.update(document, _body(*rest, fields))


@overload
def delete(document: D, /) -> D: ...
@overload
def delete(kind: Created, reference: Reference, /) -> Any: ...
@overload
def delete(kind: type[D], reference: Reference, /) -> D: ...
def delete(*of: Any) -> Any:
    """Delete a document's object at Stripe, and keep the document, as `deleted`.

    Pass it as to `update`. Return the changed document, with an `operation` while the outcome is unknown.

    Raises NotConnected, Invalid, NotFound, NotDeletable (it says what Stripe can do instead), InProgress, Refused (it
    has prices, say) or Unavailable.

    Example:

        gone = delete("product", "prod_123")
    """
    document, _ = _meant("delete", of, most=0)
    return saga.delete(document)


@overload
def act(document: D, action: str, body: Body = None, /, **fields: Any) -> D: ...
@overload
def act(kind: Created, reference: Reference, action: str, body: Body = None, /, **fields: Any) -> Any: ...
@overload
def act(kind: type[D], reference: Reference, action: str, body: Body = None, /, **fields: Any) -> D: ...
def act(*of: Any, **fields: Any) -> Any:
    """Carry out an action of a type: finalize, pay, cancel, confirm, capture, …

    Pass the document as to `update`; then the action and its fields, in a dict or as keywords. Return the changed
    document, with an `operation` while the outcome is unknown. Raises NotConnected, Invalid (also for an action that
    the type does not have), NotFound, InProgress, Refused or Unavailable.

    Example:

        invoice = act("invoice", "in_123", "finalize", auto_advance=False)
        invoice = act(invoice, "pay")
    """
    document, (action, *rest) = _meant("act", of, least=1, most=2)
    return saga.act(document, action, _body(*rest, fields))


# --- queries for Python and HTTP ---


def quote_pdf(quote: Quote | str) -> Iterator[bytes]:
    """Return the PDF of a finalized quote piece by piece, as Stripe makes it now; nothing of it is stored.

    `quote` is the document, our id or Stripe's. Stripe is asked before this returns. Raises NotConnected, Invalid,
    NotFound, InProgress (Stripe does not have it yet), RolledBack, Refused, Deleted, NotPossible (there is no PDF of
    it, as of a draft), Unavailable, or CannotReadStripe, which may also be raised while it is read.

    Example:

        quote = create("quote", customer="user@here.com", line_items=[{"price": "price_123", "quantity": 2}])
        act(quote, "finalize")
        pdf = b"".join(quote_pdf(quote))
    """
    current()
    with asking():
        document = saga.raise_if_ended(quote.fetch_latest() if isinstance(quote, Quote) else found(Quote, quote))
    if document.stripe_id is None:
        raise InProgress
    answer = current().gateway.quote_pdf(document.stripe_id)
    if isinstance(answer, Refusal):
        told = f"Stripe has no PDF of quote {document.id}: {answer.problem['message']}"
        raise NotFound(told) if answer.not_found else NotPossible(told)
    return answer


@asking()
def found(model: type[D], reference: Reference) -> D:
    """Return the document that `get` promises."""
    if not isinstance(reference, str | ObjectId):
        raise Invalid({"reference": "must be the id of a document, Stripe's id or, of a customer, the username"})
    document = model.lookup(str(reference))
    if document is None:
        raise NotFound(f"There is no such {model.resource.kind}.")
    return document


# --- what a caller of Python may give ---


def _model(given: Any, *, created: bool = False, changed: bool = False) -> type[StagedDocument]:
    """Return the model that a kind or a class means. Raises NotConnected or Invalid."""
    current()
    known = kinds()
    if isinstance(given, str):
        model = known.get(given)
        near = get_close_matches(given[:SHOWN], known, 3)
        meant = f": did you mean {' or '.join(near)}?" if near else ""
    else:
        model = given if given in known.values() else None
        meant = ": give a kind, such as 'customer', or the class of one"
    if model is None:
        raise Invalid({"kind": f"there is no {ascii(given)[:SHOWN]} here{meant}"})
    if (created and model.resource.mirrored) or (changed and not model.resource.changeable):
        raise Invalid({"kind": f"{model.resource.kind} is only mirrored: Stripe makes and changes these"})
    return model


def _meant(call: str, of: tuple[Any, ...], *, least: int = 0, most: int) -> tuple[Any, list[Any]]:
    """Return the document of which a call is, and what it is given besides. Raises what `get` does, or TypeError."""
    first, *rest = of or (None,)
    itself = isinstance(first, StagedDocument)
    model = _model(type(first) if itself else first, changed=call != "delete")  # that has an error of its own
    reference = [] if itself else rest[:1]
    rest = rest[len(reference) :]
    if not (itself or reference) or not least <= len(rest) <= most:
        more = {"update": ", then fields", "act": ", then an action and what it takes"}.get(call, "")
        raise TypeError(f"{call}() takes a document, or a kind and a reference{more}")
    return first if itself else found(model, *reference), rest


def _body(*given: Any) -> dict[str, Any]:
    """Return the fields of a dict and of keywords together. Raises Invalid."""
    *body, fields = given
    there = body[0] if body and body[0] is not None else {}
    if not isinstance(there, Mapping):
        raise Invalid({"body": "must be a dict of fields"})
    if twice := there.keys() & fields.keys():
        raise Invalid(dict.fromkeys(sorted(twice), "is given twice"))
    return {**there, **fields}
