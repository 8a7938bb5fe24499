"""The routes of usage records: record what a customer used, see what became of it."""

from flask import Flask, Response, g, jsonify, request

from stripe_mongo_sync.api.auth import requires_scope
from stripe_mongo_sync.api.components import BODY, answer, in_json, page_of, ref
from stripe_mongo_sync.api.prefix import address
from stripe_mongo_sync.api.resources import LIMIT, RETRY_AFTER, body, idempotency_key
from stripe_mongo_sync.api.schemas.documents import DOCUMENT_ID
from stripe_mongo_sync.api.schemas.requests import Schema
from stripe_mongo_sync.models import UsageState
from stripe_mongo_sync.models.base.input import Invalid
from stripe_mongo_sync.sync.shop.usage import as_shown, listed, record_of, recorded
from stripe_mongo_sync.sync.tokens import Scope

PATH = "/meter-events"
PARAMETERS = ("customer", "state", "limit", "starting_after")


def register(app: Flask) -> None:
    """Add the routes of usage records to `app`."""
    app.add_url_rule(PATH, "usage.record", _record, methods=["POST"])
    app.add_url_rule(PATH, "usage.list", _list)
    app.add_url_rule(f"{PATH}/<id>", "usage.show", _show)


@requires_scope(Scope.WRITE)
def _record() -> Response:
    record, repeated = recorded(body(), idempotency_key(), g.token)
    pending = record.state == UsageState.PENDING
    response = jsonify(as_shown(record))
    response.status_code = 202 if pending else 200
    response.headers["Location"] = address(f"{PATH}/{record.id}")
    if pending:
        response.headers["Retry-After"] = RETRY_AFTER
    if repeated:
        response.headers["Idempotent-Replayed"] = "true"
    return response


@requires_scope(Scope.READ)
def _show(id: str) -> Response:
    return jsonify(as_shown(record_of(id)))


@requires_scope(Scope.READ)
def _list() -> Response:
    given = request.args.to_dict()
    wrong = {name: "is not a parameter of this list" for name in given if name not in PARAMETERS}
    wrong |= {name: "is given twice" for name in given if len(request.args.getlist(name)) > 1}
    if given.get("state", UsageState.SENT) not in [*UsageState]:
        wrong["state"] = f"must be {', '.join(UsageState)}"
    if not LIMIT.fullmatch(given.get("limit", "20")):
        wrong["limit"] = "must be a whole number from 1 to 100"
    if wrong:
        raise Invalid(wrong)
    limit = int(given.get("limit", "20"))
    found = listed(given.get("customer"), given.get("state"), given.get("starting_after"), limit + 1)
    return jsonify({"data": [as_shown(record) for record in found[:limit]], "has_more": len(found) > limit})


# --- what the OpenAPI document says of them ---

USAGE: Schema = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("id", "customer"), DOCUMENT_ID),
        **{name: {"type": "string"} for name in ("meter", "value", "identifier")},
        "timestamp": {"type": "integer", "description": "When it was used, in seconds."},
        "state": {"enum": [*UsageState], "description": "`review`: Stripe may have it, and an operator decides."},
        "reason": {"type": ["string", "null"]},
        "attempts": {"type": "integer"},
    },
}
USAGE["required"] = [*USAGE["properties"]]
_VALUE = "A whole number, or a text with a decimal number; 1 if it is left out."
_RECORD: Schema = {
    "type": "object",
    "properties": {
        "username": {"type": "string", "minLength": 1, "description": "The customer's username, or id."},
        "meter": {
            "type": "string",
            "minLength": 1,
            "maxLength": 100,
            "description": "The meter's event name, or id.",
        },
        "value": {"type": ["integer", "string"], "pattern": r"^-?[0-9]{1,15}(\.[0-9]{1,15})?$", "description": _VALUE},
        "timestamp": {
            "type": ["integer", "null"],
            "description": "When it was used, in seconds; now if it is left out. At most 34 days ago.",
        },
    },
    "required": ["username", "meter"],
    "additionalProperties": False,
}
OPERATIONS: dict[str, Schema] = {
    "usage.record": {
        "operationId": "record_usage",
        "summary": "Record what a customer used of something that a meter measures",
        "description": "The record is kept, and a worker sends it to Stripe, once.",
        "tags": ["usage"],
        "parameters": [ref("parameters", "Idempotency-Key")],
        "requestBody": {"required": True, **in_json(_RECORD)},
        "answers": {
            "200": answer("Repeated with the same key; the record is no longer pending.", USAGE, "Location"),
            "202": answer("The record is kept; GET its Location to see what became of it.", USAGE, "Location"),
        },
        "problems": [*BODY, "invalid", "not-found", "in-progress", "key-reused"],
    },
    "usage.list": {
        "operationId": "list_usage",
        "summary": "List usage records, the newest first",
        "tags": ["usage"],
        "parameters": [
            {
                "name": "customer",
                "in": "query",
                "description": "The customer's username, or id.",
                "schema": {"type": "string"},
            },
            {"name": "state", "in": "query", "schema": {"enum": [*UsageState]}},
            ref("parameters", "limit"),
            {
                "name": "starting_after",
                "in": "query",
                "description": "The id of the last record of the previous page.",
                "schema": DOCUMENT_ID,
            },
        ],
        "answers": {"200": answer("A page.", page_of(USAGE))},
        "problems": ["invalid", "not-found"],
    },
    "usage.show": {
        "operationId": "show_usage",
        "summary": "Show a usage record",
        "tags": ["usage"],
        "answers": {"200": answer("The record.", USAGE)},
        "problems": ["not-found"],
    },
}
