"""Builds the OpenAPI document from the routes, the models and the errors.

It reads the routes from Flask, so no path is written down twice. `api/operation_docs.py` describes the operations that
belong to no single type; a route without a description makes `describe` raise.
"""

import re
from collections.abc import Iterable
from typing import Any

from flask import Flask
from werkzeug.routing import Rule

from stripe_mongo_sync.api.auth import PUBLIC_ROUTES, scope_of
from stripe_mongo_sync.api.components import (
    BODY,
    GUARDED,
    HEADERS,
    ONE_INDEX,
    PARAMETERS,
    PROBLEM,
    PROBLEMS,
    REFUSALS,
    answer,
    in_json,
    list_of_customer,
    listing,
    page_of,
    problem,
    ref,
)
from stripe_mongo_sync.api.operation_docs import UNTYPED_OPERATIONS
from stripe_mongo_sync.api.resources import plural_of
from stripe_mongo_sync.api.schemas.documents import PARTS, document_shape, noun, word
from stripe_mongo_sync.api.schemas.requests import Model, RequestSchemas, Schema
from stripe_mongo_sync.models import Customer, Invoice, changed_kinds, kinds
from stripe_mongo_sync.models.base.input import accepted, local_fields
from stripe_mongo_sync.models.rows.sure import Impossible


def describe(app: Flask) -> dict[str, Any]:
    """Return the OpenAPI document of `app`. Raises Impossible if a route has no scope and is not public."""
    requests, shapes = RequestSchemas(), dict[str, Schema]()
    for model in changed_kinds().values():
        shapes |= _shapes(model, requests)
    shapes["InvoiceCreatePreview"] = requests.action(Invoice, "create_preview")
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "stripe-mongo-sync",
            "version": "1",
            "summary": "Stripe and MongoDB, kept as one.",
            "description": (
                "A creation, a change or an action is done (200, 201), refused (4xx, and no usable object is left), or "
                "accepted while its outcome is unknown (202: it will be resolved; GET its Location to see the result)."
            ),
        },
        "security": [{"token": []}],
        "tags": [
            *({"name": plural_of(model), "description": model.says} for model in changed_kinds().values()),
            {"name": "mirrored", "description": "Read-only copies of objects that this service does not create."},
            {"name": "usage", "description": "What customers use, to be billed by meters."},
            {"name": "operator", "description": "What an operator can see and resolve; the commands do the same."},
            {"name": "webhooks", "description": "The endpoint for Stripe's webhooks."},
            {"name": "health", "description": "For probes."},
            {"name": "docs", "description": "This document, and a page on which the API can be tried."},
        ],
        "paths": {},
        "components": {
            "schemas": {"Problem": PROBLEM, **PARTS, **requests.parts},
            "headers": HEADERS,
            "parameters": PARAMETERS,
            "responses": {},
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "One of API_TOKENS, with the scope that the operation names.",
                },
                "signature": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Stripe-Signature",
                    "description": "Stripe's signature of the raw body, made with STRIPE_WEBHOOK_SECRET.",
                },
            },
        },
    }
    document["components"]["schemas"] |= shapes
    document["components"]["schemas"] |= {"Mirrored": _copy(), "MirroredList": page_of(ref("schemas", "Mirrored"))}
    for rule in app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
            document["paths"].setdefault(path, {})[method.lower()] = _operation(
                rule, scope_of(app, rule.endpoint), document["components"]["responses"]
            )
    _link(document["paths"])
    return document


def _shapes(model: Model, requests: RequestSchemas) -> dict[str, Schema]:
    name, changed = model.__name__, requests.change(model)
    return {
        name: document_shape(model),
        **({} if model.resource.mirrored else {f"{name}List": page_of(ref("schemas", name))}),
        **({} if model.resource.mirrored else {f"{name}Creation": requests.creation(model)}),
        **({f"{name}Change": changed} if changed else {}),
        **{_shape_of(model, verb): requests.action(model, verb) for verb in model.resource.actions},
    }


def _mirrored() -> list[Model]:
    return [model for model in kinds().values() if model.resource.mirrored]


def _copy() -> Schema:
    """Return the schema that all mirrored types share: they have no fields of their own."""
    shown = document_shape(_mirrored()[0])
    shown["properties"]["kind"] = {"enum": [model.resource.kind for model in _mirrored()]}
    return shown


def _shape_of(model: Model, verb: str) -> str:
    return str(model.__name__) + "".join(word.capitalize() for word in re.split(r"\W|_", verb))


def _operation(rule: Rule, scope: str | None, parts: dict[str, Schema]) -> Schema:
    told = _route_description(rule)
    is_open = rule.endpoint in PUBLIC_ROUTES
    if not (is_open or scope):
        raise Impossible(f"{rule.endpoint} is not public, and names no scope")
    problems = [*told.get("problems", ()), *(() if is_open else GUARDED)]
    arguments = [_argument(name, converter) for converter, name in re.findall(r"<(?:(\w+):)?(\w+)>", rule.rule)]
    parameters = [*arguments, *told.get("parameters", ())]
    return {
        "security": [] if is_open else [{"token": [str(scope)]}],
        **{name: value for name, value in told.items() if name not in ("answers", "problems")},
        **({"parameters": parameters} if parameters else {}),
        "responses": dict(sorted({**told["answers"], **_problems(problems, parts)}.items())),
    }


def _route_description(rule: Rule) -> Schema:
    """Return the description of a route's operation. Raises KeyError if there is none."""
    given = rule.defaults or {}
    model: Model | None = given.get("model")
    if model is None:
        return UNTYPED_OPERATIONS[rule.endpoint]
    verb = rule.endpoint.rpartition(".")[2]
    if rule.endpoint.startswith("customers.") and model is not Customer:
        return list_of_customer(model)
    told = _action(model, given["action"]) if "action" in given else _of_type(model, verb)
    return {**told, "tags": [plural_of(model)]}


def _argument(name: str, converter: str) -> Schema:
    if converter == "mirrored":
        plurals = [plural_of(model) for model in _mirrored()]
        return {"name": name, "in": "path", "required": True, "schema": {"enum": plurals}}
    anything = "^.+$" if converter.endswith("reference") else "^[^/]+$"
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": "The document's id, or Stripe's. A customer's username wins over an equal custom id at Stripe.",
        "schema": {"type": "string", "minLength": 1, "pattern": anything},
    }


def _of_type(model: Model, verb: str) -> Schema:
    """Return the operation of a type; `verb` is the last word of its endpoint."""
    match verb:
        case "create":
            return {
                "operationId": f"create_{word(model)}",
                "summary": f"Create {noun(model)}",
                "parameters": [ref("parameters", "Idempotency-Key"), ref("parameters", "expand")],
                "requestBody": _body(f"{model.__name__}Creation"),
                "answers": _done(ref("schemas", model.__name__), "201", "Idempotent-Replayed"),
                "problems": [*BODY, "invalid", "already-exists", "key-reused", *REFUSALS, "rolled-back", "deleted"],
            }
        case "list":
            return {
                "operationId": f"list_{model.plural()}",
                "summary": "List the documents of this type, newest first",
                "description": ONE_INDEX,
                "parameters": listing(model.filters().names),
                "answers": {"200": answer("A page.", ref("schemas", f"{model.__name__}List"))},
                "problems": ["invalid"],
            }
        case "show":
            return {
                "operationId": f"show_{word(model)}",
                "summary": f"Show {noun(model)}",
                "parameters": [ref("parameters", "expand")],
                "answers": {"200": answer("The document.", ref("schemas", model.__name__))},
                "problems": ["invalid", "not-found"],
            }
        case "update":
            return _update(model)
        case "delete":
            kept = None if model.resource.deletable else model.resource.instead_of_delete
            return {
                "operationId": f"delete_{word(model)}",
                "summary": f"Delete {noun(model)}",
                **({"description": kept} if kept else {}),
                "parameters": [ref("parameters", "expand")],
                "answers": {} if kept else _done(_changed(model), "200"),
                "problems": ["invalid", "not-found", *(["not-deletable"] if kept else ["in-progress", *REFUSALS])],
            }
    raise KeyError(f"no operation {verb} of a type is described")


def _update(model: Model) -> Schema:
    """Return the operation that changes a document; some types have no field that can be changed."""
    changes, taken = accepted(model, "update"), ["already-exists"] if local_fields(model) else []
    return {
        "operationId": f"update_{word(model)}",
        "summary": f"Change {noun(model)}",
        "description": "A null unsets the field." if changes else "No field of this type can be changed.",
        "parameters": [ref("parameters", "expand")],
        "requestBody": _body(f"{model.__name__}Change")
        if changes
        else {"required": True, **in_json({"type": "object"})},
        "answers": _done(_changed(model), "200") if changes else {},
        "problems": [*BODY, "invalid", "not-found", *([*taken, "in-progress", *REFUSALS] if changes else [])],
    }


def _action(model: Model, verb: str) -> Schema:
    repeats = model.resource.actions[verb].repeatable
    return {
        "operationId": f"{verb}_{word(model)}",
        "summary": f"{verb.replace('_', ' ').capitalize()} {noun(model)}",
        "parameters": [*([ref("parameters", "Idempotency-Key")] if repeats else []), ref("parameters", "expand")],
        "requestBody": {
            **_body(_shape_of(model, verb)),
            "required": any(shape.required for shape in accepted(model, verb).values()),
        },
        "answers": _done(_changed(model), "200"),
        "problems": [
            *BODY,
            "invalid",
            "not-found",
            "in-progress",
            *(("not-possible", "key-reused", "cannot-look") if repeats else ()),
            *REFUSALS,
        ],
    }


def _changed(model: Model) -> Schema:
    """Return the schema of a changed document; a token without the scope `read` may get the brief one."""
    return {"anyOf": [ref("schemas", model.__name__), ref("schemas", "Brief")]}


def _done(shape: Schema, status: str, *headers: str) -> Schema:
    """Return the responses for success, and for an outcome that is not known yet."""
    return {
        status: answer("Done.", shape, "Location", *headers),
        "202": answer("Accepted; the outcome is not known yet.", shape, "Location", "Retry-After", *headers),
    }


def _body(shape: str) -> Schema:
    return {"required": True, **in_json(ref("schemas", shape))}


def _problems(types: Iterable[str], parts: dict[str, Schema]) -> Schema:
    """Return the problem responses by status; each combination of problems becomes a named part of the document."""
    by_status: dict[int, list[str]] = {}
    for type in types:
        by_status.setdefault(PROBLEMS[type][0], []).append(type)
    for status, some in by_status.items():
        parts["-".join(some)] = problem(status, tuple(some))
    return {str(status): ref("responses", "-".join(some)) for status, some in by_status.items()}


def _link(paths: dict[str, Schema]) -> None:
    """Link each creation to the operations that take the id in its response."""
    operations = [operation for path in paths.values() for operation in path.values()]
    for creation in operations:
        if not creation["operationId"].startswith("create_"):
            continue
        links = {
            operation["operationId"]: {
                "operationId": operation["operationId"],
                "parameters": {"reference": "$response.body#/id"},
            }
            for operation in operations
            if operation.get("tags") == creation["tags"] and "reference" in _named(operation)
        }
        for status in ("201", "202"):
            creation["responses"][status]["links"] = links


def _named(operation: Schema) -> set[str]:
    return {parameter.get("name") for parameter in operation.get("parameters", ())}
