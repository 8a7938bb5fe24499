"""The parts of the OpenAPI document that operations share: headers, parameters, and all problem responses."""

from collections.abc import Iterable

from werkzeug.exceptions import RequestEntityTooLarge

from stripe_mongo_sync.api import errors
from stripe_mongo_sync.api.schemas.documents import DOCUMENT_ID, EVENT_ID, MOMENT
from stripe_mongo_sync.api.schemas.requests import Model, Schema
from stripe_mongo_sync.models import Status
from stripe_mongo_sync.models.base.input import Invalid
from stripe_mongo_sync.models.rows.keys import LONGEST_KEY
from stripe_mongo_sync.sync.errors import Outcome
from stripe_mongo_sync.webhooks.signature import BadSignature

TEXT: Schema = {"type": "string"}
FILTERED: Schema = {"type": "string", "minLength": 1, "maxLength": 255}
LATIN_1 = "!-~¡-¬®-ÿ"  # its printable characters except spaces: a header cannot hold any others

PROBLEMS: dict[str, tuple[int, str | None]] = {  # by the suffix of a problem's type: its status, and when it is sent
    **{kind.type: (status, kind.says) for kind, status in errors.STATUS.items()},
    **{
        kind.type: (kind.status, kind.says)
        for kind in (
            *(errors.NotJson, errors.LengthRequired, errors.WrongContentType),
            *(errors.Unauthorized, errors.MissingScope, errors.RateLimited),
        )
    },
    "too-large": (413, RequestEntityTooLarge.description),
    "too-slow": (408, errors.SLOW),
    "invalid": (422, Invalid.says),
    "declined": (402, "A card was declined. If the `document` is active, its payment can be tried again."),
    "bad-signature": (400, BadSignature.says),
}
CARRY = {401: ("WWW-Authenticate",), **dict.fromkeys((429, 503, 504), ("Retry-After",))}  # more headers, by status
OUTCOMES = {"declined", *(kind.type for kind in errors.STATUS if issubclass(kind, Outcome))}
GUARDED = ("unauthorized", "forbidden", "rate-limited", "unavailable")  # possible wherever a token is required
BODY = ("malformed", "length-required", "too-large", "too-slow", "wrong-content-type")
REFUSALS = ("refused", "declined")

HEADERS: dict[str, Schema] = {
    "X-Request-Id": {"description": "Finds the request in the log.", "required": True, "schema": TEXT},
    "Location": {"description": "The path of the document, or of the page.", "required": True, "schema": TEXT},
    "Retry-After": {"description": "Seconds to wait.", "required": True, "schema": {"type": "integer", "minimum": 1}},
    "WWW-Authenticate": {"description": "How to authenticate.", "required": True, "schema": {"const": "Bearer"}},
    "Idempotent-Replayed": {
        "description": "Present if an earlier request with the same Idempotency-Key did this.",
        "schema": {"const": "true"},
    },
}
PARAMETERS: dict[str, Schema] = {
    "expand": {
        "name": "expand",
        "in": "query",
        "description": "Also return Stripe's object.",
        "schema": {"enum": ["stripe"]},
    },
    "status": {
        "name": "status",
        "in": "query",
        "description": "Only documents of this status. The default is all pending and active documents.",
        "schema": {"enum": list(Status)},
    },
    **{
        name: {"name": name, "in": "query", "description": said, "schema": FILTERED}
        for name, said in {
            "customer": "What this customer has: its id, Stripe's, or the username. It goes with any other filter.",
            "username": "The same, by the username.",
            "stripe_status": "Only objects of this status at Stripe.",
            "payment_status": "Only those of this payment status.",
            "price": "Only those that have this price: its id or Stripe's.",
            "product": "Only those that have this product: its id or Stripe's.",
            "subscription": "Only those of this subscription: its id or Stripe's.",
        }.items()
    },
    **{
        f"created_{name}": {
            "name": f"created[{name}]",
            "in": "query",
            "description": f"Only objects created {said}, in Unix seconds.",
            "schema": {"type": "integer", "minimum": 0, "maximum": 2**35 - 1},
        }
        for name, said in {"gte": "then or later", "lt": "before then"}.items()
    },
    "limit": {
        "name": "limit",
        "in": "query",
        "description": "The maximum number of entries.",
        "schema": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20},
    },
    "starting_after": {
        "name": "starting_after",
        "in": "query",
        "description": "The id of the last document of the previous page.",
        "schema": DOCUMENT_ID,
    },
    "Idempotency-Key": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "A repeated key with the same body returns the same document, as it is then. Kept for 45 days.",
        "schema": {
            "type": "string",
            "minLength": 1,
            "maxLength": LONGEST_KEY,
            "pattern": f"^[{LATIN_1}]([ {LATIN_1}]*[{LATIN_1}])?$",
        },
    },
}
PROBLEM: Schema = {
    "type": "object",
    "description": "What went wrong (RFC 9457). Programs can rely on `type`.",
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": TEXT,
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "For people."},
        "errors": {"type": "object", "additionalProperties": TEXT, "description": "One error per field."},
        "code": {"type": ["string", "null"], "description": "Stripe's error code."},
        "decline_code": {"type": ["string", "null"], "description": "Why the card was declined."},
        "document": {"type": "object", "description": "The document as it is now."},
        "idempotency_key": {"type": "string", "description": "The key to repeat the request with."},
    },
    "required": ["type", "title", "status", "detail"],
}

EVENT: Schema = {
    "type": "object",
    "description": "An event, as Stripe sends it.",
    "properties": {
        "id": EVENT_ID,
        "type": {"type": "string", "pattern": "^[a-z0-9_.]{1,250}$"},
        "data": {"type": "object"},
    },
    "required": ["id", "type"],
    "if": {"properties": {"object": {"const": "event"}}, "required": ["object"]},
    "then": {
        "properties": {"created": {"type": "integer", "minimum": 0, "maximum": 2**53 - 1}},
        "required": ["created"],
    },  # a thin event has another `object`, and a `created` in text
}


ONE_INDEX = (
    "Without filters, in the order of the documents; with one, in that of their objects' creation at Stripe. A "
    "customer goes with any other filter. Of the others, give one at a time: what no index has is refused (422)."
)
_UNTIL: Schema = {"anyOf": [MOMENT, {"type": "null"}]}
_ENTITLED: Schema = {
    "type": "array",
    "description": "Without a query: all of these that the customer is entitled to.",
    "items": {
        "type": "object",
        "properties": {"id": {"type": "string"}, "until": _UNTIL},
        "required": ["id", "until"],
    },
}
ACCESS: Schema = {
    "type": "object",
    "properties": {
        "entitled": {"type": "boolean"},
        "by": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "kind": {"type": "string"},
                    "id": {**DOCUMENT_ID, "description": "The document's id."},
                    "stripe_status": {"type": ["string", "null"], "description": "Of an order, its payment_status."},
                    "until": _UNTIL,
                },
                "required": ["kind", "id", "stripe_status", "until"],
            },
        },
        "until": _UNTIL,
        "certain": {"type": "boolean"},
        **dict.fromkeys(("prices", "products", "features"), _ENTITLED),
    },
    "required": ["entitled", "by", "until", "certain"],
    "additionalProperties": False,
}


def ref(part: str, name: str) -> Schema:
    """Return a reference to a named part of the OpenAPI document."""
    return {"$ref": f"#/components/{part}/{name}"}


def answer(description: str, schema: Schema, *headers: str) -> Schema:
    """Return the description of a JSON response."""
    return {
        "description": description,
        "headers": {name: ref("headers", name) for name in ("X-Request-Id", *headers)},
        "content": {"application/json": {"schema": schema}},
    }


def in_json(schema: Schema) -> Schema:
    """Return the content of a JSON body."""
    return {"content": {"application/json": {"schema": schema}}}


def page_of(items: Schema) -> Schema:
    """Return the schema of one page of a list."""
    return {
        "type": "object",
        "properties": {"data": {"type": "array", "items": items}, "has_more": {"type": "boolean"}},
        "required": ["data", "has_more"],
    }


def problem(status: int, types: tuple[str, ...]) -> Schema:
    """Return the description of the problem responses of one status."""
    headers = ["X-Request-Id", *CARRY.get(status, ())]
    headers += ["Idempotent-Replayed"] if OUTCOMES & set(types) else []
    shape = {"type": {"enum": [errors.TYPES + type for type in types]}, "status": {"const": status}}
    return {
        "description": "\n".join(f"`{type}`: {PROBLEMS[type][1]}" for type in types),
        "headers": {name: ref("headers", name) for name in headers},
        "content": {"application/problem+json": {"schema": {**ref("schemas", "Problem"), "properties": shape}}},
    }


def listing(filters: Iterable[str]) -> list[Schema]:
    """Return the parameters of a list that has these filters."""
    named = [each for name in filters for each in (["created_gte", "created_lt"] if name == "created" else [name])]
    return [ref("parameters", name) for name in (*named, "limit", "starting_after", "expand")]


def list_of_customer(model: Model) -> Schema:
    """Return the operation that lists what a customer has of a type."""
    shape = "Mirrored" if model.resource.mirrored else model.__name__
    return {
        "operationId": f"list_{model.plural()}_of_customer",
        "summary": f"List the {model.plural().replace('_', ' ')} of a customer, newest first",
        "tags": ["customers"],
        "parameters": listing(name for name in model.filters().names if name not in ("customer", "username")),
        "answers": {"200": answer("A page.", ref("schemas", f"{shape}List"))},
        "problems": ["invalid", "not-found"],
    }


QUOTE_PDF: Schema = {
    "operationId": "download_quote",
    "summary": "Download the PDF of a finalized quote, which Stripe makes anew and this service does not store",
    "tags": ["quotes"],
    "answers": {
        "200": {
            "description": "The PDF.",
            "content": {"application/pdf": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
    "problems": ["invalid", "not-found", "in-progress", "rolled-back", "refused", "deleted", "not-possible"]
    + ["cannot-look"],
}
