"""The descriptions of the operations that belong to no single type, by endpoint."""

from stripe_mongo_sync.api import evidence, operator, usage
from stripe_mongo_sync.api.components import (
    ACCESS,
    BODY,
    EVENT,
    FILTERED,
    ONE_INDEX,
    QUOTE_PDF,
    REFUSALS,
    answer,
    in_json,
    listing,
    page_of,
    ref,
)
from stripe_mongo_sync.api.schemas.documents import DOCUMENT_ID, EVENT_ID
from stripe_mongo_sync.api.schemas.operator import DRY_RUN, HEALTH, LINKED, NULLABLE, OPERATION, PLAN, UNFINISHED
from stripe_mongo_sync.api.schemas.requests import Schema
from stripe_mongo_sync.models import kinds
from stripe_mongo_sync.models.base.input import LONGEST_TEXT
from stripe_mongo_sync.models.customer import WEB_ADDRESS
from stripe_mongo_sync.models.event import EventState


def _state(*states: str) -> Schema:
    return {"type": "object", "properties": {"state": {"enum": list(states)}}, "required": ["state"]}


def _status(text: str) -> Schema:
    return {"type": "object", "properties": {"status": {"const": text}}, "required": ["status"]}


_READY: Schema = _status("ready")
_READY["properties"]["settings"] = {"type": "string"}
_REASON: Schema = {"type": "object", "properties": {"status": {"type": "string"}}, "required": ["status"]}


PORTAL_VISIT: Schema = {
    "type": "object",
    "properties": {"return_url": {**NULLABLE, "pattern": f"^{WEB_ADDRESS.pattern}$", "maxLength": LONGEST_TEXT}},
    "additionalProperties": False,
}
PORTAL_SESSION: Schema = {
    "type": "object",
    "properties": {"url": {"type": "string"}, "return_url": {"type": ["string", "null"]}},
    "required": ["url", "return_url"],
}
_MINOR = {"type": "integer", "description": "In the currency's minor unit."}
_SUMS = {name: {"type": "integer"} for name in ("count", "amount", "fee", "net")}
_LINE: Schema = {
    "type": "object",
    "properties": {
        **{name: {"type": "string"} for name in ("balance_transaction", "type", "currency")},
        **dict.fromkeys(("amount", "fee", "net"), _MINOR),
        "created": {"type": "integer", "description": "In seconds, as Stripe tells it."},
        **dict.fromkeys(("reporting_category", "source", "payment_intent", "order", "username"), NULLABLE),
        "problem": {**NULLABLE, "description": "What does not add up."},
    },
}
_LINE["required"] = [*_LINE["properties"]]
PAYOUT_REPORT: Schema = {
    "type": "object",
    "properties": {
        **{name: {"type": "string"} for name in ("payout", "status", "currency")},
        "amount": _MINOR,
        "arrival_date": {"type": "integer", "description": "In seconds, as Stripe tells it."},
        "lines": {"type": "array", "items": _LINE},
        "totals": {
            "type": "object",
            "additionalProperties": {"type": "object", "properties": _SUMS, "required": [*_SUMS]},
            "description": "The sums by Stripe's reporting category.",
        },
        "problems": {"type": "array", "items": {"type": "string"}},
        "adds_up": {"type": "boolean"},
    },
}
PAYOUT_REPORT["required"] = [*PAYOUT_REPORT["properties"]]


def _operator_action(
    verb: str, summary: str, given: Schema, needed: tuple[str, ...] = (), told: Schema | None = None
) -> Schema:
    """Return the operation by which an operator resolves one document."""
    given = {**given, "dry_run": DRY_RUN}
    shape: Schema = {"type": "object", "properties": given, "required": list(needed), "additionalProperties": False}
    return {
        "operationId": f"{verb}_operation",
        "summary": summary,
        "tags": ["operator"],
        "requestBody": {"required": bool(needed), **in_json(shape)},
        "answers": {"200": answer("The document after the action, or a plan.", {"anyOf": [told or UNFINISHED, PLAN]})},
        "problems": [*BODY, "invalid", "not-found", "not-possible", "cannot-look"],
    }


def _report_answer() -> Schema:
    told = answer("The report.", PAYOUT_REPORT)
    return {**told, "content": {**told["content"], "text/csv": {"schema": {"type": "string"}}}}


UNTYPED_OPERATIONS: dict[str, Schema] = {  # by endpoint
    **usage.OPERATIONS,
    **evidence.operations(),
    **operator.OPERATIONS,
    "mirrored.list": {
        "operationId": "list_mirrored",
        "summary": "List the documents of one mirrored type, newest first",
        "description": f"{ONE_INDEX} A type whose objects lack such a field refuses the filter.",
        "tags": ["mirrored"],
        "parameters": listing(("customer", "username", "stripe_status", "status", "created")),
        "answers": {"200": answer("A page.", ref("schemas", "MirroredList"))},
        "problems": ["invalid", "not-found"],
    },
    "mirrored.show": {
        "operationId": "show_mirrored",
        "summary": "Show a document of a mirrored type",
        "tags": ["mirrored"],
        "parameters": [ref("parameters", "expand")],
        "answers": {"200": answer("The document.", ref("schemas", "Mirrored"))},
        "problems": ["invalid", "not-found"],
    },
    "webhooks.stripe_event": {
        "operationId": "receive_event",
        "summary": "Receive one event from Stripe",
        "tags": ["webhooks"],
        "security": [{"signature": []}],
        "requestBody": {"required": True, **in_json(EVENT)},
        "answers": {"200": answer("Stored; `state` says what was done with it.", _state(*EventState, "duplicate"))},
        "problems": ["bad-signature", "malformed", "length-required", "too-large", "too-slow", "unavailable"],
    },
    "customers.portal": {
        "operationId": "open_portal",
        "summary": "Open Stripe's billing portal for a customer",
        "description": "Send the customer to the URL immediately: it expires within minutes, and is not stored.",
        "tags": ["customers"],
        "requestBody": {"required": True, **in_json(PORTAL_VISIT)},
        "answers": {"201": answer("The URL of the portal.", PORTAL_SESSION)},
        "problems": [*BODY, "invalid", "not-found", "cannot-look", *REFUSALS],
    },
    "customers.access": {
        "operationId": "show_access",
        "summary": "Show whether a customer is entitled to a product, a price or a feature, or to what at all",
        "description": "By subscriptions, orders and Stripe's entitlements, from MongoDB alone. `until` is null for "
        "what does not end. `certain` is false while an operation on any of it is pending or in review, or while "
        "webhooks are known not to arrive.",
        "tags": ["customers"],
        "parameters": [
            {"name": name, "in": "query", "description": said, "schema": FILTERED}
            for name, said in {
                "product": "A product's id, or Stripe's. Give one of the three, or none.",
                "price": "A price's id, or Stripe's.",
                "feature": "The lookup key of a feature, or its id at Stripe.",
            }.items()
        ],
        "answers": {"200": answer("The answer.", ACCESS)},
        "problems": ["invalid", "not-found"],
    },
    "invoices.create_preview": {
        "operationId": "preview_invoice",
        "summary": "Show what a change, a new subscription or the next renewal would bill; nothing is changed",
        "tags": ["invoices"],
        "requestBody": {"required": True, **in_json(ref("schemas", "InvoiceCreatePreview"))},
        "answers": {"200": answer("Stripe's preview of the invoice.", {"type": "object"})},
        "problems": [*BODY, "invalid", "not-found", "cannot-look", *REFUSALS],
    },
    "operator.status": {
        "operationId": "show_status",
        "summary": "Show what needs an operator, as `stripe-mongo-sync status --json` prints it",
        "tags": ["operator"],
        "answers": {"200": answer("The problems and warnings of this installation.", HEALTH)},
    },
    "operator.list": {
        "operationId": "list_operations",
        "summary": "List what is unfinished, in review or dead, as `stripe-mongo-sync operations list --json` does",
        "tags": ["operator"],
        "parameters": [
            {"name": "kind", "in": "query", "schema": {"enum": [*kinds(), "event"]}},
            {"name": "verb", "in": "query", "schema": {"type": "string"}},
            {"name": "review", "in": "query", "schema": {"type": "boolean"}},
            ref("parameters", "limit"),
            {
                "name": "starting_after",
                "in": "query",
                "description": "The id of the last entry of the previous page: a document's or an event's.",
                "schema": {"anyOf": [DOCUMENT_ID, EVENT_ID]},
            },
        ],
        "answers": {"200": answer("A page, sorted by kind and id, with events last.", page_of(UNFINISHED))},
        "problems": ["invalid"],
    },
    "operator.show": {
        "operationId": "show_operation",
        "summary": "Show what was staged, what Stripe has, and what each remedy would do, as `operations show --json`",
        "description": "It takes every id that the list shows, and reads Stripe. A token without `read` sees of values "
        "only ids, amounts and states.",
        "tags": ["operator"],
        "answers": {"200": answer("Everything that decides about it.", OPERATION)},
        "problems": ["invalid", "not-found", "cannot-look"],
    },
    "quotes.pdf": QUOTE_PDF,
    "operator.payout_report": {
        "operationId": "report_payout",
        "summary": "Compare what an automatic payout pays out with the orders, payments, refunds and disputes here",
        "tags": ["mirrored"],
        "parameters": [
            {
                "name": "format",
                "in": "query",
                "description": "`csv` has one line for each balance transaction.",
                "schema": {"type": "string", "enum": ["json", "csv"]},
            }
        ],
        "answers": {"200": _report_answer()},
        "problems": ["invalid", "not-found", "not-possible", "cannot-look"],
    },
    "operator.retry": _operator_action(
        "retry", "Read the object at Stripe again, and resend the operation only if that is safe", {}
    ),
    "operator.roll_back": _operator_action("roll_back", "Roll back a pending document", {}),
    "operator.link": _operator_action(
        "link",
        "Link a Stripe object to this document; an object that differs from the staged fields needs `force`",
        {
            "stripe_id": {"type": "string", "minLength": 1},
            "force": {"type": "boolean", "default": False, "description": "Link the object although it differs."},
        },
        ("stripe_id",),
        LINKED,
    ),
    "health.alive": {
        "operationId": "is_alive",
        "summary": "Check that the process is alive",
        "tags": ["health"],
        "answers": {"200": answer("The process is alive.", _status("alive"))},
    },
    "health.ready": {
        "operationId": "is_ready",
        "summary": "Check that MongoDB answers",
        "tags": ["health"],
        "answers": {
            "200": answer("MongoDB answers. `settings` names new settings that were refused.", _READY),
            "503": answer("MongoDB does not answer, or this process is not connected: `status` says why.", _REASON),
        },
    },
    "docs.home": {
        "operationId": "show_home",
        "summary": "Redirect to the page on which the API can be tried",
        "tags": ["docs"],
        "answers": {
            "302": {
                "description": "The path of the page is in Location.",
                "headers": {name: ref("headers", name) for name in ("X-Request-Id", "Location")},
            }
        },
    },
    "docs.document": {
        "operationId": "show_openapi",
        "summary": "Show this document",
        "tags": ["docs"],
        "answers": {"200": answer("The OpenAPI document.", {"type": "object"})},
    },
    "docs.page": {
        "operationId": "show_docs",
        "summary": "Show the page on which the API can be tried",
        "tags": ["docs"],
        "answers": {
            "200": {
                "description": "The page.",
                "headers": {"X-Request-Id": ref("headers", "X-Request-Id")},
                "content": {"text/html": {"schema": {"type": "string"}}},
            }
        },
    },
}
