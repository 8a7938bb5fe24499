"""The routes of every type: create, show, list, change, delete. They follow from the registry; no type has its own."""

import json
from typing import Any

from bson import ObjectId
from flask import Flask, Response, g, jsonify, request
from pymongo.errors import PyMongoError

from api.errors import NotJson, WrongContentType
from api.representation import as_json
from models import Status, SyncedDocument, kinds
from models.input import Invalid
from sync import create, delete, update
from sync.errors import NotFound, Unavailable

LONGEST_KEY = 255  # characters of an Idempotency-Key, as at Stripe
RETRY_AFTER = "30"  # s: by then a webhook, or the next attempt, has most likely settled it
Model = type[SyncedDocument]


def register(app: Flask) -> None:
    """Give `app` the routes of every type."""
    for model in kinds().values():
        plural = plural_of(model)
        one = f"/{plural}/<reference>"
        for rule, method, view in (
            (f"/{plural}", "POST", _create),
            (f"/{plural}", "GET", _list),
            (one, "GET", _show),
            (one, "PATCH", _update),
            (one, "DELETE", _delete),
        ):
            endpoint = f"{plural}.{view.__name__.strip('_')}"
            app.add_url_rule(rule, endpoint, view, methods=[method], defaults={"model": model})


def plural_of(model: Model) -> str:
    """Return the name of a type in addresses: its collection's, with hyphens."""
    return str(model._get_collection_name()).replace("_", "-")


def _create(model: Model) -> Response:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (1 <= len(key) <= LONGEST_KEY and key.isprintable()):
        raise Invalid({"Idempotency-Key": f"must be 1 to {LONGEST_KEY} printable characters"})
    document, repeated = create(model, body(), idempotency_key=key, token=g.token)
    response = _told(document, done=201)
    if repeated:
        response.headers["Idempotent-Replayed"] = "true"
    return response


def _show(model: Model, reference: str) -> Response:
    document = _found(model, reference)
    return jsonify(as_json(document, expand=_expands()))


def _update(model: Model, reference: str) -> Response:
    changes = body()
    return _told(update(_found(model, reference), changes), done=200)


def _delete(model: Model, reference: str) -> Response:
    return _told(delete(_found(model, reference)), done=200)


def _list(model: Model) -> Response:
    unknown = set(request.args) - {"status", "limit", "starting_after", "expand"}
    if unknown:
        raise Invalid(dict.fromkeys(sorted(unknown), "is not a parameter of this list"))
    limit = request.args.get("limit", "20")
    if not (limit.isascii() and limit.isdecimal() and 1 <= int(limit) <= 100):
        raise Invalid({"limit": "must be a whole number from 1 to 100"})
    status = request.args.get("status")
    if status is not None and status not in list(Status):
        raise Invalid({"status": f"must be one of {', '.join(Status)}"})
    where: dict[str, Any] = {"live": True} if status is None else {"status": status}
    try:
        after = _after(model)
        found = list(model.objects(**where).filter(__raw__=after).order_by("-created_at", "-id").limit(int(limit) + 1))
    except PyMongoError as error:
        raise Unavailable from error
    page = [as_json(document, expand=_expands()) for document in found[: int(limit)]]
    return jsonify({"data": page, "has_more": len(found) > int(limit)})


def _after(model: Model) -> dict[str, Any]:
    """Return the query of what comes after the document that `starting_after` names."""
    given = request.args.get("starting_after")
    if given is None:
        return {}
    last = model.objects(id=ObjectId(given)).first() if ObjectId.is_valid(given) else None
    if last is None:
        raise Invalid({"starting_after": "is not the id of a document"})
    earlier = {"created_at": {"$lt": last.created_at}}
    return {"$or": [earlier, {"created_at": last.created_at, "_id": {"$lt": last.id}}]}


def body() -> dict[str, Any]:
    """Return the JSON object in the request."""
    if request.mimetype != "application/json":
        raise WrongContentType
    try:
        found = json.loads(request.get_data(cache=False), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise NotJson from error
    if not isinstance(found, dict):
        raise NotJson
    return found


def _refuse(constant: str) -> None:
    raise ValueError(constant)  # NaN and Infinity are not JSON


def _found(model: Model, reference: str) -> SyncedDocument:
    try:
        document = model.lookup(reference)
    except PyMongoError as error:
        raise Unavailable from error
    if document is None:
        raise NotFound
    return document


def _expands() -> bool:
    expand = request.args.get("expand")
    if expand not in (None, "stripe"):
        raise Invalid({"expand": "can only be stripe"})
    return expand == "stripe"


def _told(document: SyncedDocument, done: int) -> Response:
    pending = document.operation is not None
    response = jsonify(as_json(document))
    response.status_code = 202 if pending else done
    response.headers["Location"] = f"/{plural_of(type(document))}/{document.id}"
    if pending:
        response.headers["Retry-After"] = RETRY_AFTER
    return response
