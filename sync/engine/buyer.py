"""A creation that makes its customer first, unless there is one: `create_customer_if_missing`, as one saga.

MongoDB writes one document at a time. So the customer is created first, and says for which document, whose id is chosen
before: `made_for`. Until that document stays, the customer is provisional: if its creation fails for good, they are
deleted again, unless anything else uses them. Whatever else names them lets them stay, by a conditional update of the
row on which the deletion is staged, so only one of the two happens. A process that dies in between leaves `made_for`,
and a run settles it.
"""

import secrets
from collections import Counter
from typing import Any, TypeVar

from bson import ObjectId
from pymongo.errors import DuplicateKeyError, PyMongoError

from stripe_mongo_sync.models import Customer, StagedDocument, Status, created_kinds
from stripe_mongo_sync.models.base.embedded import Call
from stripe_mongo_sync.models.base.facts import IN_FLIGHT_LIMIT
from stripe_mongo_sync.models.base.input import IF_MISSING, Invalid, buyer_of, require_json, validate
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.indexes import A_STRING
from stripe_mongo_sync.models.rows.sure import sure
from stripe_mongo_sync.sync.engine import saga
from stripe_mongo_sync.sync.engine.undo import use_of
from stripe_mongo_sync.sync.errors import CannotReadStripe, Outcome, Unavailable
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.process.deadline import within_lease
from stripe_mongo_sync.sync.process.isolation import isolated
from stripe_mongo_sync.sync.process.stop import STOP
from stripe_mongo_sync.sync.tokens import IN_PROCESS

D = TypeVar("D", bound=StagedDocument)


@within_lease
def create(
    model: type[D], body: dict[str, Any], *, idempotency_key: str | None = None, token: str = IN_PROCESS
) -> tuple[D, bool]:
    """Create a document as `saga.create` does, and before that its customer, if the body wants it and there is none.

    Raises what `saga.create` does: Refused also for the customer, and Unavailable while it is not known whether Stripe
    has the customer; repeated with the same key, the call then goes on.
    """
    require_json(body)
    if body.get(IF_MISSING) is not True:
        return saga.create(model, body, idempotency_key=idempotency_key, token=token)
    key, id = idempotency_key or secrets.token_hex(16), ObjectId()
    try:
        known = saga.was_requested(model, body, key, token)
        customer = None if known else _customer_for(model, body, id, key)
    except PyMongoError as error:
        raise Unavailable(idempotency_key=key) from error
    try:
        created = saga.create(model, body, idempotency_key=key, token=token, id=id)
    except Exception as error:
        _settle_now(customer, is_over=not isinstance(error, Unavailable))  # else MongoDB may store it yet
        raise
    _settle_now(customer)
    return created


def _customer_for(model: type[D], body: dict[str, Any], id: ObjectId, key: str) -> Customer | None:
    """Return the customer who was created for this document; None if there is one. All else is checked before."""
    name = buyer_of(model)
    wanted = validate(model, body, "create").get(name or "")
    if name is None or not wanted:
        raise Invalid({IF_MISSING: f"needs a {name}" if name else "this type names no customer"})
    customer = Customer.lookup(wanted)
    if customer is None:
        saga.planned(model, {given: value for given, value in body.items() if given != name}, id)
        try:
            customer = _made(wanted, f"{model.resource.kind}:{id}")
        except Invalid as invalid:
            raise Invalid(dict.fromkeys([name], "; ".join(invalid.errors.values()))) from invalid
        except DuplicateKeyError:  # another call created them meanwhile
            customer = sure(Customer.lookup(wanted))
    if customer.status == Status.PENDING:
        raise Unavailable(idempotency_key=key)
    return customer if customer.made_for == f"{model.resource.kind}:{id}" else None


def _made(username: str, document: str) -> Customer:
    """Create a customer for a document. Raises Invalid, DuplicateKeyError or Refused."""
    id = ObjectId()
    values, operation = saga.planned(Customer, {"username": username}, id)
    staged = Customer.stage({**values, "made_for": document}, operation, id=id, request=None)
    return saga.raise_if_ended(saga.pushed(staged))


# --- what becomes of them ---


def settle_customers(counts: Counter[str]) -> None:
    """Settle the customers who were created for documents, as far as these are decided."""
    for customer in Customer.objects(__raw__={"made_for": A_STRING}):  # few, by their own index
        STOP.here()
        with isolated(counts, f"customer {customer.id}"):
            # Nobody creates that document any more: the deadline of the process that meant to has passed.
            if (became := settle(customer, is_over=clock.now() - customer.created_at >= IN_FLIGHT_LIMIT)) is not None:
                counts[f"customer_{became}"] += 1


def _settle_now(customer: Customer | None, *, is_over: bool = True) -> None:
    """Settle a customer for the caller that created them; what cannot be done now, a run does."""
    try:
        if customer is not None:
            settle(customer, is_over=is_over)
    except (PyMongoError, CannotReadStripe, Outcome) as error:
        log.warning("customer %s stays provisional: %s", customer and customer.id, error)


@within_lease
def settle(customer: Customer, *, is_over: bool) -> str | None:
    """Let a customer stay, or delete them if what they were created for failed for good: return `kept`, `undone` or
    None, if that is not decided. A document that does not exist is decided if `is_over`. Raises CannotReadStripe.
    """
    customer = customer.fetch_latest()
    if customer.made_for is None or customer.status != Status.ACTIVE or not customer.is_idle:
        return None
    kind, _, id = customer.made_for.partition(":")
    document = created_kinds()[kind].objects(id=ObjectId(id)).first()
    if document is not None and document.status == Status.PENDING:
        return None
    if document is None and not is_over:
        return None
    stays = document is not None and document.status != Status.ROLLED_BACK
    if stays or (why := _use_of(customer)) is not None:
        log.info("customer %s stays%s", customer.id, "" if stays else f", although {kind} {id} failed: {why}")
        return "kept" if customer.keep() else None
    deletion = saga.build_operation(Customer, customer.id, "delete", [Call(customer.path, {}, "delete")])
    staged = customer.begin(deletion)
    if staged is None:  # something uses them now
        return None
    log.info("customer %s is deleted, as %s %s failed", customer.id, kind, id)
    saga.pushed(staged)
    return "undone"


def _use_of(customer: Customer) -> str | None:
    """Return what uses a customer, here or at Stripe; None if nothing does. Raises CannotReadStripe."""
    theirs = {"owners": customer.stripe_id, "is_current": True}
    for model in created_kinds().values():
        if model is not Customer and model.own_rows().find_one(theirs, {"_id": 1}) is not None:
            return f"a {model.resource.kind} is theirs"
    return use_of(customer.resource, sure(customer.stripe_id))
