"""The schemas of what an operator sees: the health, an unfinished document, all that decides about it, and a plan."""

from stripe_mongo_sync.api.schemas.requests import Schema

NULLABLE = {"type": ["string", "null"]}
UNFINISHED: Schema = {
    "type": "object",
    "properties": {
        **{name: {"type": "string"} for name in ("kind", "id", "status")},
        **dict.fromkeys(("stripe_id", "verb", "since", "due", "due_reason", "error", "review"), NULLABLE),
        **dict.fromkeys(("decision", "decided_by", "decided_at"), NULLABLE),
        "attempts": {"type": ["integer", "null"]},
        "orphans": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["kind", "id", "status", "stripe_id", "orphans", "error", "review"],
}
LINKED: Schema = {
    **UNFINISHED,
    "properties": {
        **UNFINISHED["properties"],
        "differs": {
            "type": "array",
            "items": {"type": "string"},
            "description": "The fields of the object that differ from the staged ones.",
        },
        "removed": {**NULLABLE, "description": "The id of the adopted document that had the object, and was removed."},
    },
    "required": [*UNFINISHED["required"], "differs", "removed"],
}
HEALTH: Schema = {
    "type": "object",
    "properties": {
        **{name: {"type": "array", "items": {"type": "string"}} for name in ("problems", "warnings")},
        "exit_code": {"enum": [0, 1], "description": "0 is healthy, 1 needs an operator."},
    },
    "required": ["problems", "warnings", "exit_code"],
}
_TEXTS: Schema = {"type": "array", "items": {"type": "string"}}
_CALL: Schema = {
    "type": "object",
    "properties": {"method": {"type": "string"}, "path": {"type": "string"}, "params": {"type": "object"}},
    "required": ["method", "path", "params"],
}
_WRITE: Schema = {
    "type": "object",
    "properties": {
        **{name: {"type": "string"} for name in ("kind", "id")},
        "act": {"enum": ["insert", "change", "delete"]},
        "fields": {
            "type": "object",
            "description": "The state before and after, by field.",
            "additionalProperties": {},
        },
        "content": {**_TEXTS, "description": "The other fields that change, without values."},
    },
    "required": ["kind", "id", "act", "fields", "content"],
}
_WOULD: Schema = {
    "would": {**_TEXTS, "description": "What would be done, in words."},
    "writes": {"type": "array", "items": _WRITE},
    "sends": {"type": "array", "items": _CALL, "description": "What would be sent; Stripe's answer decides the rest."},
}
DRY_RUN: Schema = {"type": "boolean", "default": False, "description": "Only say what would be done, in a plan."}
PLAN: Schema = {
    "type": "object",
    "properties": {"dry_run": {"const": True}, **_WOULD},
    "required": ["dry_run", *_WOULD],
}
_OR_NULL: Schema = {"type": "null"}
_AMOUNT: Schema = {
    "type": "object",
    "properties": {
        "amount": {"type": "integer", "description": "In the currency's minor unit."},
        "currency": {"type": "string"},
        "text": {"type": "string", "description": "As a person reads it: 12.34 EUR."},
    },
    "required": ["amount", "currency", "text"],
}
_CUSTOMER: Schema = {
    "type": "object",
    "properties": dict.fromkeys(("id", "username", "stripe_id", "link"), NULLABLE),
    "required": ["id", "username", "stripe_id", "link"],
}
_STAGED: Schema = {
    "type": "object",
    "properties": {
        **{name: {"type": "string"} for name in ("verb", "since")},
        **dict.fromkeys(("sent_at", "saved_error_at", "api_version"), NULLABLE),
        "attempts": {"type": "integer"},
        "outcome_unknown": {"type": ["boolean", "null"]},
        "moves_money": {"type": "boolean"},
        "calls": {"type": "array", "items": _CALL},
    },
    "required": ["verb", "since", "attempts", "calls"],
}
_SEEN: dict[str, Schema] = {
    "found": {"type": ["boolean", "null"], "description": "Null if it was not read; `error` says why."},
    "error": NULLABLE,
    "amount": {"anyOf": [_AMOUNT, _OR_NULL]},
    "object": {"type": ["object", "null"]},
    "agrees": {**_TEXTS, "description": "The fields that are as they were staged."},
    "differs": {
        "type": "array",
        "items": {"type": "object", "properties": {"name": {"type": "string"}, "staged": {}, "at_stripe": {}}},
    },
}
_CANDIDATE: Schema = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "as": {"enum": ["candidate", "orphan", "given"]},
        "link": NULLABLE,
        **_SEEN,
    },
    "required": ["id", "as", "link", "found", "error", "object", "agrees", "differs"],
}
_CANDIDATES: Schema = {
    "type": "object",
    "properties": {"error": NULLABLE, "data": {"type": "array", "items": _CANDIDATE}},
    "required": ["error", "data"],
}
_REMEDY: Schema = {
    "type": "object",
    "properties": {
        "act": {"type": "string"},
        "command": {"type": "string", "description": "The command of `stripe-mongo-sync` that does it."},
        "given": {"type": "object", "description": "What the action takes beside the id: `stripe_id` and `force`."},
        "possible": {"type": ["boolean", "null"], "description": "Null if Stripe could not be read."},
        "why_not": NULLABLE,
        **_WOULD,
    },
    "required": ["act", "command", "given", "possible", "why_not", *_WOULD],
}
OPERATION: Schema = {
    **UNFINISHED,
    "properties": {
        **UNFINISHED["properties"],
        "link": {**NULLABLE, "description": "The page of its object in Stripe's Dashboard."},
        "customer": {"anyOf": [_CUSTOMER, _OR_NULL]},
        "amount": {"anyOf": [_AMOUNT, _OR_NULL]},
        "staged": {"anyOf": [_STAGED, _OR_NULL]},
        "at_stripe": {"anyOf": [{"type": "object", "properties": _SEEN}, _OR_NULL]},
        "candidates": {"anyOf": [_CANDIDATES, _OR_NULL]},
        "remedies": {"type": "array", "items": _REMEDY},
    },
    "required": [
        *UNFINISHED["required"],
        *("link", "customer", "amount", "staged", "at_stripe", "candidates", "remedies"),
    ],
}
