"""The application: what is set up once, and what every request passes through."""

import json
import logging
import uuid
from functools import partial
from http import HTTPStatus

import stripe
from flask import Flask, Response, current_app, g, request
from pymongo.monitoring import CommandListener

from stripe_mongo_sync.api import errors, operator, resources
from stripe_mongo_sync.api.auth import admit, guard
from stripe_mongo_sync.api.docs import blueprint as docs
from stripe_mongo_sync.api.last_good import LAST_GOOD
from stripe_mongo_sync.models.rows.clock import stopwatch
from stripe_mongo_sync.sync.errors import Unavailable
from stripe_mongo_sync.sync.library import connect
from stripe_mongo_sync.sync.notices.hooks import load
from stripe_mongo_sync.sync.process.deadline import DEADLINE
from stripe_mongo_sync.sync.process.few import Few
from stripe_mongo_sync.sync.process.waiting import FIRST, Connecting, Pulse
from stripe_mongo_sync.sync.settings import Settings
from stripe_mongo_sync.webhooks import blueprint as webhooks

LARGEST_BODY = 1024 * 1024  # bytes that people may send; Stripe may send more
WEBHOOK = "webhooks.stripe_event"
HEADERS = {  # of every answer: nobody keeps it, and no browser makes anything of it but what it is
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
PROBES = ("health.alive", "health.ready")
BUSY = "Too many requests wait here already: repeat the call."
BUDGET = 45.0  # s for a request: less than gunicorn's timeout, and far less than a lease


def create_app(
    settings: Settings | None = None,
    *,
    http_client: stripe.HTTPClient | None = None,
    listeners: tuple[CommandListener, ...] = (),
    patient: bool = False,
) -> Flask:
    """Return the WSGI application, connected. Raises BadSettings, or Unavailable without MongoDB.

    A `patient` one raises BadSettings only: it connects when it can, and answers 503 until then.
    """
    settings = settings or Settings.from_environment(serve=True)
    attempt = partial(connect, settings, http_client=http_client, listeners=listeners)
    app = unconnected_app()
    if patient:
        load(settings.hooks)
        app.extensions["connecting"] = connecting = Connecting(attempt)
        connecting.begin(wait=FIRST)
    else:
        attempt()
    app.config["WEBHOOK_SECRETS"] = settings.webhook_secrets
    guard(app, settings)
    return app


def unconnected_app() -> Flask:
    """Return the application with its routes, and nothing behind them: enough to describe it."""
    app = Flask("stripe_mongo_sync", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY
    app.extensions["few"], app.extensions["pulse"] = Few(logging.getLogger("api")), Pulse()
    app.json.sort_keys = False  # type: ignore[attr-defined]  # of the default provider
    app.before_request(_begin)
    app.before_request(_require_mongodb)
    app.before_request(admit)
    app.after_request(_finish)
    app.teardown_request(_end)
    app.add_url_rule("/healthz", "health.alive", alive)
    app.add_url_rule("/readyz", "health.ready", ready)
    app.register_blueprint(webhooks)
    app.register_blueprint(docs)
    resources.register(app)
    operator.register(app)
    errors.register(app)
    return app


def _begin() -> None:
    g.request_id = uuid.uuid4().hex
    g.deadline = DEADLINE.set(stopwatch() + BUDGET)
    if request.method in ("POST", "PATCH") and request.content_length is None and not _needs_no_length():
        raise errors.LengthRequired


def _require_mongodb() -> None:
    """Raise Unavailable while this process is not connected yet, or MongoDB hangs. Probes are answered all the same."""
    connecting: Connecting | None = current_app.extensions.get("connecting")
    if connecting is not None and connecting.why is not None:
        connecting.begin()
        if request.endpoint not in PROBES:
            raise Unavailable("This service is not connected to MongoDB yet: repeat the call.")
    pulse: Pulse = current_app.extensions["pulse"]
    if pulse.lost and request.endpoint not in PROBES and not pulse.beats():
        raise Unavailable


def _needs_no_length() -> bool:
    """Whether a request without a length is answered all the same: no such route, or an action, which needs no body.

    A proxy on Stripe's way may send a webhook chunked. It is taken where the server says that it ends the body, as
    gunicorn does: elsewhere WSGI has no end, and what is read of it could be cut short without a word.
    """
    rule = request.url_rule
    if rule is None or ("action" in (rule.defaults or {}) and "Transfer-Encoding" not in request.headers):
        return True
    return request.endpoint == WEBHOOK and bool(request.environ.get("wsgi.input_terminated"))


def _finish(response: Response) -> Response:
    response.headers["X-Request-Id"] = g.request_id
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def _end(error: BaseException | None) -> None:
    DEADLINE.reset(g.deadline)


def alive() -> dict[str, str]:
    """Answer that the process is there."""
    return {"status": "alive"}


def ready() -> tuple[dict[str, str], int]:
    """Answer whether MongoDB does; or what keeps this process from connecting to it.

    A slip in new settings is told beside that: who serves by the ones before is ready.
    """
    connecting: Connecting | None = current_app.extensions.get("connecting")
    if connecting is not None and connecting.why is not None:
        return {"status": connecting.why}, 503
    told = {"settings": LAST_GOOD.slip} if LAST_GOOD.slip else {}
    if not current_app.extensions["pulse"].beats():
        return {"status": "MongoDB does not answer", **told}, 503
    return {"status": "ready", **told}, 200


def busy() -> bytes:
    """Return what the server answers where no thread comes free, so that the application cannot be asked."""
    return _unasked(HTTPStatus.SERVICE_UNAVAILABLE, Unavailable.type, BUSY, {"Retry-After": "5"})


def late() -> bytes:
    """Return what the server answers where a body did not come, so that the application was not asked."""
    return _unasked(HTTPStatus.REQUEST_TIMEOUT, "too-slow", errors.SLOW, {})


def _unasked(status: HTTPStatus, type: str, detail: str, headers: dict[str, str]) -> bytes:
    body = json.dumps(errors.described(status, type, detail))
    told = {"Content-Type": "application/problem+json", "Content-Length": str(len(body)), **headers, **HEADERS}
    told |= {"X-Request-Id": uuid.uuid4().hex, "Connection": "close"}
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", *(f"{name}: {told[name]}" for name in told)]
    return "\r\n".join([*lines, "", body]).encode()
