"""The operator's routes: the status, metrics, unfinished documents, the actions that resolve them, payout reports."""

import logging
from functools import partial
from typing import Any

from flask import Flask, Response, g, request

from stripe_mongo_sync.api.auth import requires_scope
from stripe_mongo_sync.api.components import answer
from stripe_mongo_sync.api.resources import LIMIT, body
from stripe_mongo_sync.api.schemas.representation import caller_has
from stripe_mongo_sync.api.schemas.requests import Schema
from stripe_mongo_sync.models import kinds
from stripe_mongo_sync.models.base.input import Invalid
from stripe_mongo_sync.sync.logs import nameless
from stripe_mongo_sync.sync.operator import operations
from stripe_mongo_sync.sync.operator.link import acting_as
from stripe_mongo_sync.sync.operator.plan import plan
from stripe_mongo_sync.sync.operator.status import status
from stripe_mongo_sync.sync.operator.views.gauges import exposition
from stripe_mongo_sync.sync.operator.views.show import everything
from stripe_mongo_sync.sync.process.screen import in_json
from stripe_mongo_sync.sync.shop.documents import found
from stripe_mongo_sync.sync.shop.payouts import as_csv, payout_report
from stripe_mongo_sync.sync.tokens import Scope

log = logging.getLogger("stripe_mongo_sync.api")

WORDS = {"true": True, "false": False}
METRICS = "text/plain; version=0.0.4; charset=utf-8"  # Prometheus's text format
PARAMETERS = ("kind", "verb", "review", "limit", "starting_after")


def register(app: Flask) -> None:
    """Add the operator's routes to `app`."""
    app.after_request(_name_nobody)
    app.add_url_rule("/status", "operator.status", _status)
    app.add_url_rule("/metrics", "operator.metrics", _metrics)
    app.add_url_rule("/operations", "operator.list", _list)
    app.add_url_rule("/operations/<id>", "operator.show", _show)
    app.add_url_rule("/payouts/<reference:reference>/report", "operator.payout_report", _payout_report)
    for action in operations.ACTIONS:
        rule, name = f"/operations/<id>/{action}", action.replace("-", "_")
        app.add_url_rule(rule, f"operator.{name}", _act, methods=["POST"], defaults={"action": action})


@requires_scope(Scope.OPERATE)
def _status() -> Response:
    return _said(status().as_json())


@requires_scope(Scope.METRICS)
def _metrics() -> Response:
    return Response(exposition(), content_type=METRICS)


@requires_scope(Scope.OPERATE)
def _list() -> Response:
    given = request.args.to_dict()
    wrong = {name: "is not a parameter of this list" for name in given if name not in PARAMETERS}
    wrong |= {name: "is given twice" for name in given if len(request.args.getlist(name)) > 1}
    if given.get("kind", "event") not in {*kinds(), "event"}:
        wrong["kind"] = "is not a kind, nor event"
    if given.get("review", "true") not in WORDS:
        wrong["review"] = "must be true or false"
    if not LIMIT.fullmatch(given.get("limit", "20")):
        wrong["limit"] = "must be a whole number from 1 to 100"
    if wrong:
        raise Invalid(wrong)
    listed, more = operations.page(
        limit=int(given.get("limit", "20")),
        after=given.get("starting_after"),
        kind=given.get("kind"),
        verb=given.get("verb"),
        review=WORDS[given.get("review", "false")],
    )
    return _said({"data": listed, "has_more": more})


@requires_scope(Scope.OPERATE)
def _show(id: str) -> Response:
    if request.args:
        raise Invalid(dict.fromkeys(sorted(request.args), "is not a parameter of this"))
    return _said(everything(id, personal=caller_has(Scope.READ)))


@requires_scope(Scope.OPERATE)
def _act(action: str, id: str) -> Response:
    given = body() if request.content_length else {}
    link = action == "link"
    takes = {"dry_run", *(("stripe_id", "force") if link else ())}
    wrong = {name: "is not a parameter of this action" for name in given if name not in takes}
    if link and not (isinstance(given.get("stripe_id"), str) and given["stripe_id"]):
        wrong["stripe_id"] = "must be a string that is not empty"
    for name in ("force", "dry_run"):
        if name in takes and not isinstance(given.get(name, False), bool):
            wrong[name] = "must be true or false"
    if wrong:
        raise Invalid(wrong)
    dry, act = given.pop("dry_run", False), partial(operations.ACTIONS[action], id, **given)
    if dry:
        return _said(plan(act).as_json(personal=caller_has(Scope.READ)))
    log.info("request %s: %s asks to %s %s", g.request_id, g.token, action, id)
    with acting_as(g.token):
        return _said(operations.told(act()))


@requires_scope(Scope.READ)
def _payout_report(reference: str) -> Response:
    if wrong := set(request.args) - {"format"}:
        raise Invalid(dict.fromkeys(sorted(wrong), "is not a parameter of this report"))
    if (given := request.args.get("format", "json")) not in ("json", "csv") or len(request.args.getlist("format")) > 1:
        raise Invalid({"format": "must be json or csv"})
    report = payout_report(str(found(kinds()["payout"], reference).stripe_id))
    return Response(as_csv([report]), mimetype="text/csv") if given == "csv" else _said(report.as_json())


def _name_nobody(response: Response) -> Response:
    """Show no e-mail address to an operator who may not read, in an answer or in the reason of a refusal."""
    if (request.endpoint or "").startswith("operator.") and not caller_has(Scope.READ) and response.is_json:
        response.set_data(nameless(response.get_data(as_text=True)))
    return response


def _said(data: Any) -> Response:
    return Response(in_json(data), mimetype="application/json")


# --- what the OpenAPI document says of the metrics ---

OPERATIONS: dict[str, Schema] = {
    "operator.metrics": {
        "operationId": "show_metrics",
        "summary": "Show the metrics, in the text format of Prometheus",
        "description": "A token with the scope `operate` is accepted, too.",
        "tags": ["operator"],
        "answers": {"200": {**answer("All metrics.", {}), "content": {"text/plain": {"schema": {"type": "string"}}}}},
    }
}
