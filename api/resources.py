"""The routes of every type, built from the registry: create, show, list, change, delete and the actions.

Mirrored types are shown and listed, and changed if they have parameters. No type has routes of its own.
"""

import json
import re
from typing import Any

from flask import Flask, Response, g, jsonify, request
from werkzeug.routing import BaseConverter, Map, ValidationError

from stripe_mongo_sync.api.auth import requires_scope
from stripe_mongo_sync.api.errors import MissingScope, NotJson, WrongContentType
from stripe_mongo_sync.api.prefix import address
from stripe_mongo_sync.api.schemas.representation import as_caller_sees, caller_has, made_by_caller, plain
from stripe_mongo_sync.models import Customer, Quote, StagedDocument, Status, changed_kinds, kinds
from stripe_mongo_sync.models.base.input import DEEPEST, Invalid
from stripe_mongo_sync.models.customer import check_visit
from stripe_mongo_sync.models.rows.keys import wrong_key
from stripe_mongo_sync.models.rows.sure import sure
from stripe_mongo_sync.sync.engine.buyer import create
from stripe_mongo_sync.sync.engine.refresh import with_links
from stripe_mongo_sync.sync.engine.saga import act, delete, update
from stripe_mongo_sync.sync.entitlements.question import QUERIES
from stripe_mongo_sync.sync.library import access, create_preview, open_portal, quote_pdf
from stripe_mongo_sync.sync.shop.documents import found
from stripe_mongo_sync.sync.shop.lists import last_seen, page, selected
from stripe_mongo_sync.sync.tokens import Scope

RETRY_AFTER = "30"  # s: by then a webhook or the next attempt has probably resolved it
SECONDS = re.compile(r"[0-9]{1,11}", re.ASCII)
LIMIT = re.compile(r"[1-9][0-9]?|100")
Model = type[StagedDocument]


def plural_of(model: Model) -> str:
    """Return the name of a type in paths: its collection's name, with hyphens."""
    return model.plural().replace("_", "-")


# The lists of a customer.
LISTS = ("subscription", "invoice", "order", "quote", "payment_method", "payment_intent", "charge", "refund")
# What is below a document, beside the actions. A path that ends so is that, and no username that ends so.
BELOW = {
    "customer": ("portal", "access", *(plural_of(kinds()[kind]) for kind in LISTS)),
    "quote": ("pdf",),
    "dispute": ("evidence",),
}


class Reference(BaseConverter):
    """Matches any id or username. Both may contain slashes, so the action is the part behind the last slash."""

    regex = ".+"
    part_isolating = False


def _alone(model: Model) -> type[Reference]:
    """Return the converter of the path of one document: it matches no path that is a list's or an action's.

    Whatever the method: to DELETE a list must never delete a customer whose username ends so.
    """
    last = {*model.resource.actions, *BELOW.get(model.resource.kind, ())}

    class Alone(Reference):
        def to_python(self, value: str) -> str:
            if any(value.endswith(f"/{name}") for name in last):
                raise ValidationError
            return value

    return Alone


class Mirrored(BaseConverter):
    """Converts the plural of a mirrored type to its model. Two routes serve all of them, to keep the start fast."""

    def __init__(self, map: Map) -> None:
        super().__init__(map)
        self.models = {plural_of(model): model for model in kinds().values() if model.resource.mirrored}
        self.regex = "|".join(self.models)

    def to_python(self, value: str) -> Model:
        """Return the model with this plural."""
        return self.models[value]


def register(app: Flask) -> None:
    """Add the routes of every type to `app`."""
    app.url_map.converters.update(reference=Reference, mirrored=Mirrored)
    app.url_map.merge_slashes = False
    app.add_url_rule("/customers/<reference:reference>/portal", "customers.portal", _portal, methods=["POST"])
    app.add_url_rule("/customers/<reference:reference>/access", "customers.access", _access, methods=["GET"])
    app.add_url_rule("/invoices/create_preview", "invoices.create_preview", _preview, methods=["POST"])
    app.add_url_rule("/quotes/<reference:reference>/pdf", "quotes.pdf", _quote_pdf, methods=["GET"])
    for kind in LISTS:
        model = kinds()[kind]
        rule, endpoint = f"/customers/<reference:reference>/{plural_of(model)}", f"customers.{model.plural()}"
        app.add_url_rule(rule, endpoint, _list_of_customer, methods=["GET"], defaults={"model": model})
    app.add_url_rule("/<mirrored:model>", "mirrored.list", _list, methods=["GET"])
    app.add_url_rule("/<mirrored:model>/<reference:reference>", "mirrored.show", _show, methods=["GET"])
    for model in changed_kinds().values():
        plural, alone = plural_of(model), f"{model.plural()}_reference"
        app.url_map.converters[alone] = _alone(model)
        one = f"/{plural}/<{alone}:reference>"
        for rule, method, view in (
            (f"/{plural}", "POST", _create),
            (f"/{plural}", "GET", _list),
            (one, "GET", _show),
            (one, "PATCH", _update),
            (one, "DELETE", _delete),
        ):
            if model.resource.mirrored and view is not _update:
                continue
            endpoint = f"{plural}.{view.__name__.strip('_')}"
            app.add_url_rule(rule, endpoint, view, methods=[method], defaults={"model": model})
        for action in model.resource.actions:
            rule, given = f"/{plural}/<reference:reference>/{action}", {"model": model, "action": action}
            app.add_url_rule(rule, f"{plural}.{action}", _act, methods=["POST"], defaults=given)


@requires_scope(Scope.WRITE)
def _create(model: Model) -> Response:
    key, expand = idempotency_key(), expands()
    document, repeated = create(model, body(), idempotency_key=key, token=g.token)
    response = document_response(document, done=201, expand=expand, pending=document.status == Status.PENDING)
    if repeated:
        response.headers["Idempotent-Replayed"] = "true"
    return response


@requires_scope(Scope.READ)
def _show(model: Model, reference: str) -> Response:
    expand = expands()
    document, links = with_links(found(model, reference))
    return jsonify(as_caller_sees(document, expand=expand, links=links))


@requires_scope(Scope.WRITE)
def _update(model: Model, reference: str) -> Response:
    expand, changes = expands(), body()
    document = update(found(model, reference), changes)
    here_only = all(getattr(model._fields.get(name), "local_only", False) for name in changes)
    return document_response(
        document, done=200, expand=expand, pending=document.operation is not None and not here_only
    )


@requires_scope(Scope.WRITE)
def _act(model: Model, action: str, reference: str) -> Response:
    expand = expands()
    given = body() if request.content_length else {}
    key = idempotency_key() if model.resource.actions[action].repeatable else None
    document = act(found(model, reference), action, given, idempotency_key=key, token=g.token)
    return document_response(document, done=200, expand=expand, pending=document.operation is not None)


@requires_scope(Scope.WRITE)
def _portal(reference: str) -> tuple[Response, int]:
    given = body() if request.content_length else {}
    check_visit(given)
    customer = sure(found(Customer, reference), Customer)
    if not (caller_has(Scope.READ) or made_by_caller(customer)):
        raise MissingScope(Scope.READ)  # the portal shows all data of the customer
    return jsonify(open_portal(customer, given.get("return_url"))), 201


@requires_scope(Scope.READ)  # nothing is changed, and much is shown
def _preview() -> Response:
    return jsonify(create_preview(**body()))


@requires_scope(Scope.READ)
def _access(reference: str) -> Response:
    if repeated := [name for name in request.args if len(request.args.getlist(name)) > 1]:
        raise Invalid(dict.fromkeys(repeated, "is given twice"))
    if unknown := [name for name in request.args if name not in QUERIES]:
        raise Invalid(dict.fromkeys(unknown, f"is not a parameter: give one of {', '.join(QUERIES)}, or none"))
    return jsonify(plain(access(reference, **request.args)))


@requires_scope(Scope.READ)
def _quote_pdf(reference: str) -> Response:
    if request.args:
        raise Invalid(dict.fromkeys(request.args, "is not a parameter: there is none"))
    quote = sure(found(Quote, reference), Quote)
    response = Response(quote_pdf(quote), mimetype="application/pdf")
    response.headers["Content-Disposition"] = f'inline; filename="{quote.number or quote.id}.pdf"'
    return response


@requires_scope(Scope.WRITE)
def _delete(model: Model, reference: str) -> Response:
    expand = expands()
    document = delete(found(model, reference))
    return document_response(document, done=200, expand=expand, pending=document.operation is not None)


@requires_scope(Scope.READ)
def _list(model: Model) -> Response:
    return _page(model, {})


@requires_scope(Scope.READ)
def _list_of_customer(model: Model, reference: str) -> Response:
    return _page(model, {"customer": found(Customer, reference)})


def _page(model: Model, given: dict[str, Any]) -> Response:
    if repeated := [name for name in request.args if len(request.args.getlist(name)) > 1]:
        raise Invalid(dict.fromkeys(repeated, "is given twice"))
    filters = {name: value for name, value in request.args.items() if name not in ("limit", "starting_after", "expand")}
    if twice := [name for name in ("customer", "username") if given and name in filters]:
        raise Invalid(dict.fromkeys(twice, "is given by the path"))
    chosen = selected(model, {**with_ranges(filters), **given})
    expand = expands()
    limit = request.args.get("limit", "20")
    if not LIMIT.fullmatch(limit):
        raise Invalid({"limit": "must be a whole number from 1 to 100"})
    last = last_seen(model, request.args.get("starting_after"))
    seen = page(model, chosen, last, int(limit) + 1)
    shown = [as_caller_sees(document, expand=expand) for document in seen[: int(limit)]]
    return jsonify({"data": shown, "has_more": len(seen) > int(limit)})


def with_ranges(given: dict[str, str]) -> dict[str, Any]:
    """Return the filters of a query with `created[gte]` and `created[lt]` in one range, in whole seconds."""
    bounds = {name: given[f"created[{name}]"] for name in ("gte", "lt") if f"created[{name}]" in given}
    rest = {name: value for name, value in given.items() if name not in ("created[gte]", "created[lt]")}
    seconds = {name: int(value) if SECONDS.fullmatch(value) else value for name, value in bounds.items()}
    return {**rest, "created": seconds} if seconds else rest


def idempotency_key() -> str | None:
    """Return the caller's own key, if the request has one. Raises Invalid."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and (wrong := wrong_key(key)):
        raise Invalid({"Idempotency-Key": wrong})
    return key


def body() -> dict[str, Any]:
    """Return the JSON object of the request. Raises WrongContentType, NotJson."""
    if request.mimetype != "application/json":
        raise WrongContentType
    try:
        text = request.get_data(cache=False).decode()  # json.loads would guess other encodings, too
        found = json.loads(text, parse_constant=_refuse, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise NotJson from error
    if not isinstance(found, dict) or _deeper(found, DEEPEST):
        raise NotJson
    return found


def _refuse(constant: str) -> None:
    raise ValueError(constant)  # NaN and Infinity are not JSON


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is given twice, so its value is ambiguous")
    return found


def _deeper(value: Any, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value
    if levels == 0:
        return bool(inner)
    return any(isinstance(each, dict | list) and each and _deeper(each, levels - 1) for each in inner)


def expands() -> bool:
    expand = request.args.get("expand")
    if expand not in (None, "stripe"):
        raise Invalid({"expand": "can only be stripe"})
    return expand == "stripe"


def document_response(document: StagedDocument, *, done: int, expand: bool, pending: bool) -> Response:
    response = jsonify(as_caller_sees(document, expand=expand))
    response.status_code = 202 if pending else done
    response.headers["Location"] = address(f"/{plural_of(type(document))}/{document.id}")
    if pending:
        response.headers["Retry-After"] = RETRY_AFTER
    return response
