"""The saga: stage a change in MongoDB, push it to Stripe and link the object (`sync/engine/push.py`), or roll back."""

import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial, singledispatch
from typing import Any, TypeVar

from bson import ObjectId
from pymongo.errors import DuplicateKeyError, PyMongoError

from stripe_mongo_sync.models import StagedDocument, Status
from stripe_mongo_sync.models.base.embedded import Call
from stripe_mongo_sync.models.base.input import (
    IF_MISSING,
    Invalid,
    chosen_id,
    local_fields,
    params,
    require_json,
    stored,
    to_params,
    validate,
)
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.keys import IdempotencyKey, wrong_key
from stripe_mongo_sync.models.rows.sure import sure
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.engine.push import push
from stripe_mongo_sync.sync.engine.references import resolved
from stripe_mongo_sync.sync.errors import (
    AlreadyExists,
    CannotReadStripe,
    Deleted,
    InProgress,
    InReview,
    KeyReused,
    NotDeletable,
    NotFound,
    Outcome,
    Refused,
    RolledBack,
    Unavailable,
)
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.process.deadline import within_lease
from stripe_mongo_sync.sync.stripe.answers import api_version
from stripe_mongo_sync.sync.tokens import IN_PROCESS

UNPAID = ("requires_payment_method", "canceled", "failed")  # the status of an intent or an order after a decline
D = TypeVar("D", bound=StagedDocument)
Values = dict[str, Any]


@singledispatch
def plan(model: Any, id: ObjectId, values: Values, own_id: str | None) -> tuple[Values, Values]:
    """Return the completed values of a document, and the operation that creates its object."""
    values = model.with_derived(values)
    sent = params(model, values, "create") | ({"id": own_id} if own_id else {})
    return stored(model, values), build_operation(model, id, "create", [model.resource.creation(sent)])


@within_lease
def create(
    model: type[D],
    body: dict[str, Any],
    *,
    idempotency_key: str | None = None,
    token: str = IN_PROCESS,  # the name of the caller's token, which is no secret
    id: ObjectId | None = None,  # of the document, if it was chosen before
) -> tuple[D, bool]:
    """Create a document and its Stripe object. Return the document, active or still pending, and whether this call
    repeats an earlier one with the same key.

    Raises Invalid, AlreadyExists, KeyReused, Refused (also to a repeated call, if a card was declined and nothing has
    been paid since), RolledBack, Deleted, or Unavailable with the key to repeat the call with.
    """
    request = _request(model.plural(), body, idempotency_key, token)
    repeated = False
    try:
        document, repeated = _stage(model, body, request, id or ObjectId())
        ended = raise_if_ended(document if repeated else pushed(document))
        declined = ended.error is not None and ended.error.key == ended.creation_key
        if declined and not (repeated and _paid_since(ended)):
            raise Refused(ended)  # although the payment exists
        return ended, repeated
    except Outcome as outcome:
        outcome.repeated = repeated
        raise
    except PyMongoError as error:
        raise Unavailable(idempotency_key=request["key"]) from error


def _request(route: str, body: Values, key: str | None, token: str) -> Values:
    """Return what identifies this call when it is repeated. Raises Invalid."""
    if key is not None and (wrong := wrong_key(key)):
        raise Invalid({"idempotency_key": wrong})
    require_json(body)
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    return {"caller": token, "route": route, "key": key or secrets.token_hex(16), "digest": digest}


def _paid_since(document: StagedDocument) -> bool:
    """Whether a payment or an order whose creation was declined may have been paid since: see decision 0142."""
    state = getattr(document, "payment_status", None) or getattr(document, "stripe_status", None)
    return state not in UNPAID


def was_requested(model: type[D], body: Values, key: str, token: str) -> bool:
    """Whether an earlier request with this key staged a document. Raises Invalid, or KeyReused if its body differs."""
    return of_request(model, _request(model.plural(), body, key, token)) is not None


def planned(model: type[D], body: Values, id: ObjectId) -> tuple[Values, Values]:
    """Return the values of a document that this body would create, and its operation. Raises Invalid."""
    body = dict(body)
    own_id = chosen_id(body.pop("id", None)) if model.resource.accepts_custom_id else None
    given = validate(model, body, "create")
    given.pop(IF_MISSING, None)  # see `sync/engine/buyer.py`
    return plan.dispatch(model)(model, id, resolved(model, given, "create", f"{model.resource.kind}:{id}"), own_id)


def _stage(model: type[D], body: Values, request: Values, id: ObjectId) -> tuple[D, bool]:
    try:
        values, operation = planned(model, body, id)
    except Invalid:
        first = of_request(model, request)  # a repeated call may refer to what was deleted since
        if first is None:
            raise
        return first, True
    try:
        return model.stage(values, operation, id=id, request=request), False
    except DuplicateKeyError as error:
        first = of_request(model, request)
        if first is None:
            raise AlreadyExists from error
        return first, True


def of_request(model: type[D], request: Values) -> D | None:
    """Return the document of an earlier request with this key, if any. Raises KeyReused if its body was another."""
    where = {f"request__{name}": request[name] for name in ("caller", "route", "key")}
    first: D | None = model.objects(**where).first()
    if first is not None and first.request and first.request.digest != request["digest"]:
        raise KeyReused
    return first


def build_operation(model: type[StagedDocument], id: ObjectId, verb: str, calls: list[Call]) -> dict[str, Any]:
    """Return the operation that sends these calls in every attempt. The last call is the operation's own."""
    draw = partial(IdempotencyKey.generate, current().installation, model.resource.kind, id, verb)
    *first, last = [asdict(replace(call, key=str(draw()))) for call in calls]
    if last["method"] == "post" and model.resource.expand:
        last["params"] = {**last["params"], "expand": list(model.resource.expand)}
    return {"verb": verb, "api_version": api_version(), "prerequisites": first, **last}


def raise_if_ended(document: D) -> D:
    """Return the document if it is active or pending; else raise RolledBack, Refused or Deleted."""
    match document.status:
        case Status.ROLLED_BACK:
            given_up = document.error is not None and document.error.type == RolledBack.type
            raise RolledBack(document) if given_up else Refused(document)
        case Status.DELETED:
            raise Deleted(document)
    return document


def update(document: D, body: dict[str, Any]) -> D:
    """Change a document here and at Stripe. Return it, with its operation while the outcome is unknown.

    Raises Invalid, AlreadyExists, InProgress, NotFound, Unavailable, or Refused, in which case nothing was changed.
    """
    model = type(document)
    require_json(body)
    try:
        values = resolved(model, validate(model, body, "update"), "update")
        local = values.keys() & local_fields(model).keys()
        if local and len(local) < len(values):
            raise Invalid(dict.fromkeys(sorted(local), "is stored here only: change it in a request of its own"))
        if local:
            return _rename(document, model.with_derived(values))
        return _run(document, "update", lambda latest: [Call(latest.path, params(model, values, "update"))])
    except PyMongoError as error:
        raise Unavailable from error


def delete(document: D) -> D:
    """Delete a document's object at Stripe. Return the document, with its operation while the outcome is unknown.

    Raises NotDeletable, InProgress, NotFound, Unavailable, or Refused, for example because a product has prices.
    """
    if not document.resource.deletable:
        raise NotDeletable(document.resource.instead_of_delete)
    try:
        return _run(document, "delete", lambda latest: [Call(latest.path, {}, "delete")])
    except PyMongoError as error:
        raise Unavailable from error


@singledispatch
def plan_action(document: Any, name: str, values: Values, request: Values) -> list[Call]:
    """Return the calls of an action; `request` is the caller's, where a repetition is told by its key."""
    calls, sent = document.resource.actions[name].calls, to_params(values, "create")
    return calls(document, sent) if calls else [Call(f"{document.path}/{name}", sent)]


@singledispatch
def is_repeated(document: Any, request: Values) -> bool:
    """Whether an earlier call had the same key and is done, or is pending. Raises KeyReused, or what ended it."""
    return False


def act(
    document: D, name: str, body: dict[str, Any], *, idempotency_key: str | None = None, token: str = IN_PROCESS
) -> D:
    """Do one of the type's actions (confirm, capture, cancel, …). Return the document, with its operation while the
    outcome is unknown. Only an action that may be done again (an order's refund) uses the `idempotency_key`.

    Raises Invalid, InProgress, KeyReused, NotFound, Refused or Unavailable.
    """
    require_json(body)
    model, actions = type(document), document.resource.actions
    if not isinstance(name, str) or name not in actions:
        there = f"must be one of {', '.join(actions)}" if actions else f"{document.resource.kind} has none"
        raise Invalid({"action": there})
    request = _request(f"{model.plural()}/{name}", {"id": str(document.id), **body}, idempotency_key, token)
    again = request if actions[name].repeatable else None
    try:
        values = resolved(model, validate(model, body, name), name)
        return _run(document, name, lambda latest: plan_action(latest, name, values, request), again)
    except PyMongoError as error:
        raise Unavailable(idempotency_key=again["key"] if again else None) from error


def _rename(document: D, values: Values) -> D:
    values = {name: value for name, value in values.items() if name not in document.own_fields()}
    while document.is_current:
        try:
            taken = document.taken_by(values)
            if taken and type(document).objects(__raw__={"$or": taken, "_id": {"$ne": document.id}}).first():
                raise AlreadyExists
            moved = document.update_if_unchanged(**values)
        except DuplicateKeyError as error:
            raise AlreadyExists from error
        if moved is not None:
            return moved
        document = document.fetch_latest()
    raise NotFound


@within_lease
def _run(document: D, verb: str, calls: Callable[[Any], list[Call]], request: Values | None = None) -> D:
    staged, document = None, document.fetch_latest() if request else document  # what was done before decides
    while staged is None:
        if request and is_repeated(document, request):
            return document.fetch_latest()
        require_idle(document, verb)
        staged = document.begin(build_operation(type(document), document.id, verb, calls(document)))
        if staged is None:
            document = document.fetch_latest()
    key = sure(staged.operation).key
    ended = pushed(staged)
    if ended.status == Status.DELETED and verb != "delete":
        raise NotFound
    if ended.error is not None and ended.error.key == key:
        raise Refused(ended)
    return ended


def require_idle(document: StagedDocument, verb: str) -> None:
    """Raise NotFound, InReview or InProgress if this operation cannot begin now.

    A deletion may take the place of a change that nobody is sending: whoever sends it would tell its client that it was
    done if Stripe refused the deletion.
    """
    if not document.is_current:
        raise NotFound
    if document.review_reason is not None:
        raise InReview(f"This document is in review: {document.review_reason}")
    operation, until = document.operation, document.leased_until
    gives_way = operation is not None and (verb, operation.verb) == ("delete", "update")
    if document.status == Status.PENDING or (operation and not (gives_way and (not until or until <= clock.now()))):
        raise InProgress


def pushed(document: D) -> D:
    """Push for a caller. Raises Refused even if an event has ended the operation before Stripe's refusal came."""
    try:
        ended: D
        ended, problem = push(document)
    except CannotReadStripe as error:
        log.error("%s %s stays pending: %s", document.resource.kind, document.id, error)
        return document.fetch_latest()
    if problem is not None and ended.status == Status.ACTIVE:
        raise Refused(ended, problem)
    return ended
