"""The Flask application: its creation, its mounting in another application, and the hooks around every request."""

import logging
import re
import time
import uuid
from functools import partial
from typing import Any

import stripe
from flask import Flask, Response, current_app, g, request
from pymongo.monitoring import CommandListener

from stripe_mongo_sync.api import errors, evidence, operator, resources, usage
from stripe_mongo_sync.api.auth import authenticate_request, configure_auth
from stripe_mongo_sync.api.docs import blueprint as docs
from stripe_mongo_sync.api.prefix import mount, routes_below
from stripe_mongo_sync.models.rows.clock import stopwatch
from stripe_mongo_sync.ops import configure as configure_page
from stripe_mongo_sync.ops import register as register_page
from stripe_mongo_sync.sync import metrics, traces
from stripe_mongo_sync.sync.connection import refuse_wrong
from stripe_mongo_sync.sync.errors import BadSettings, NotConnected, Unavailable
from stripe_mongo_sync.sync.last_good import LAST_GOOD
from stripe_mongo_sync.sync.library import connect, current
from stripe_mongo_sync.sync.logs import REQUEST
from stripe_mongo_sync.sync.notices.hooks import load
from stripe_mongo_sync.sync.process.deadline import DEADLINE
from stripe_mongo_sync.sync.process.few import Few
from stripe_mongo_sync.sync.process.mongodb_address import objections
from stripe_mongo_sync.sync.process.waiting import FIRST, Connecting, Pulse
from stripe_mongo_sync.sync.settings import Settings
from stripe_mongo_sync.webhooks import blueprint as webhooks
from stripe_mongo_sync.webhooks.routes import answer

LARGEST_BODY = 1024 * 1024  # bytes, for callers of the API; a webhook may be larger
WEBHOOK = "webhooks.stripe_event"
PROBES = ("health.alive", "health.ready")
WITHOUT_MONGODB = (*PROBES, "operator.metrics")  # what is answered while there is no MongoDB
BUDGET = 45.0  # s for a request: less than gunicorn's timeout of 60 s, and far less than a lease of 120 s
PAGE = "/ops"  # where the operator's page is
PREFIX = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
EXTENSION = "stripe_mongo_sync"


def init_app(
    app: Flask,
    url_prefix: str = "/billing",
    *,
    api: bool = False,
    ops: bool = False,
    settings: Settings | None = None,
    http_client: stripe.HTTPClient | None = None,
    listeners: tuple[CommandListener, ...] = (),
) -> None:
    """Serve Stripe's webhook below `url_prefix` of `app` (`/billing/webhooks/stripe`).

    With `ops`, the operator's page, too (`/billing/ops`); with `api`, the API and that page.

    An application of its own, made by `create_app`, serves all paths below the prefix. It uses no error handler,
    `before_request`, limit, session or blueprint of `app`, and changes none. It connects as `connect` does, unless this
    process is connected. It starts without MongoDB, too: it connects when it can, and answers 503 until then.

    Returns nothing. Raises BadSettings, also if `app` has a route below the prefix; AlreadyConnected. A route that is
    added there later is never called, and the first request logs a warning that names it.

    Example:

        app = Flask("shop")
        init_app(app, "/billing")
    """
    if not isinstance(app, Flask):
        raise BadSettings(["app must be a Flask application; in any other, mount what create_app() returns"])
    prefix = url_prefix.rstrip("/") if isinstance(url_prefix, str) else ""
    there = next(iter(routes_below(prefix, app.url_map)), None)
    mounted: dict[str, Flask] = app.extensions.get(EXTENSION, {})
    if not PREFIX.fullmatch(prefix):
        raise BadSettings(["url_prefix must be a path such as /billing: this service answers all paths below it"])
    if there is not None or any(f"{prefix}/".startswith(f"{other}/") for other in mounted):
        taken = there or "a service that was mounted before"
        raise BadSettings([f"url_prefix must be free, but {taken} is below {prefix}: choose another"])
    made = create_app(settings, api=api, ops=ops, http_client=http_client, listeners=listeners, patient=True)
    if not mounted:
        mount(app, app.extensions.setdefault(EXTENSION, mounted))
    mounted[prefix] = made


def create_app(
    settings: Settings | None = None,
    *,
    api: bool = True,
    ops: bool = False,
    http_client: stripe.HTTPClient | None = None,
    listeners: tuple[CommandListener, ...] = (),
    patient: bool = False,
) -> Flask:
    """Return the connected WSGI application: the webhook, with `api` the API, and with either that or `ops` the page
    for operators at `/ops`.

    `settings` default to those of the connection of this process, or else to the environment. Raises BadSettings;
    AlreadyConnected; Unavailable without MongoDB. With `patient`, it connects when it can, and answers 503 until then.

    Example:

        app = create_app()
    """
    refuse_wrong(settings, http_client, listeners)
    settings = _to_serve(settings, api=api or ops)
    if api:
        metrics.begin()
    attempt = partial(connect, settings, http_client=http_client, listeners=listeners)
    app = unconnected_app(api=api, ops=ops)
    if patient and _connected() is None:
        load(settings.hooks)
        app.extensions["connecting"] = connecting = Connecting(attempt)
        connecting.begin(wait=FIRST)
    else:
        attempt()
    app.config["WEBHOOK_SECRETS"] = settings.webhook_secrets
    configure_auth(app, settings)
    if PAGE in app.extensions.get(EXTENSION, {}):
        configure_page(app.extensions[EXTENSION][PAGE], settings)
    return app


def _to_serve(given: Settings | None, *, api: bool) -> Settings:
    """Return the settings to serve with. Raises BadSettings if one is missing that serving needs."""
    settings = given or _connected() or Settings.from_environment(serve=True, api=api)
    needed = {"STRIPE_WEBHOOK_SECRET": settings.webhook_secrets, **({"API_TOKENS": settings.api_tokens} if api else {})}
    problems = [f"{name} is missing" for name, value in needed.items() if not value]
    problems += [f"MONGODB_URI {why}" for why in objections(settings.mongodb_uri, live=settings.livemode)]
    if problems:
        raise BadSettings(problems)
    return settings


def _connected() -> Settings | None:
    """Return the settings of the connection of this process, if it has one."""
    try:
        return current().settings
    except NotConnected:
        return None


def unconnected_app(*, api: bool = True, ops: bool = False) -> Flask:
    """Return the application with its routes, but without MongoDB, Stripe and tokens: enough to describe the API."""
    app = _bare_app()
    app.extensions["few"], app.extensions["pulse"] = Few(logging.getLogger("stripe_mongo_sync.api")), Pulse()
    app.json.sort_keys = False  # type: ignore[attr-defined]  # of the default provider
    app.before_request(_require_length)
    app.before_request(_require_mongodb)
    app.before_request(authenticate_request)
    errors.register(app)
    app.register_blueprint(webhooks)
    if api:
        app.add_url_rule("/healthz", "health.alive", alive)
        app.add_url_rule("/readyz", "health.ready", ready)
        app.register_blueprint(docs)
        resources.register(app)
        operator.register(app)
        usage.register(app)
        evidence.register(app)
    if api or ops:
        mount(app, app.extensions.setdefault(EXTENSION, {PAGE: _page_beside(app)}))
    return app


def _page_beside(app: Flask) -> Flask:
    """Return the application of the operator's page, which shares the connection and the limits of `app`."""
    page = _bare_app()
    page.extensions = app.extensions
    page.before_request(_require_mongodb)
    register_page(page)
    return page


def _bare_app() -> Flask:
    """Return an application without routes, whose requests have an id and a time limit."""
    app = Flask("stripe_mongo_sync", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY
    app.before_request(_begin)
    app.before_request(_trace)
    app.after_request(_finish)
    app.teardown_request(_end)
    return app


def _begin() -> None:
    g.request_id = uuid.uuid4().hex
    g.logged = REQUEST.set(g.request_id)
    g.began = time.perf_counter()
    g.deadline = DEADLINE.set(stopwatch() + BUDGET)


def _require_length() -> None:
    if request.method in ("POST", "PATCH") and request.content_length is None and not _needs_no_length():
        raise errors.LengthRequired


def _trace() -> None:
    """Begin the span of this request: it has the route, and not the path."""
    route = request.url_rule
    g.tracing = traces.span(f"{request.method} {route.rule}" if route else "no route", request.headers)
    g.span = g.tracing.__enter__()


def _require_mongodb() -> None:
    """Raise Unavailable while this process is not connected yet, or MongoDB hangs, unless that is no matter."""
    connecting: Connecting | None = current_app.extensions.get("connecting")
    if connecting is not None and connecting.why is not None:
        connecting.begin()
        if request.endpoint not in WITHOUT_MONGODB:
            raise _missed("This service is not connected to MongoDB yet: repeat the call.")
    pulse: Pulse = current_app.extensions["pulse"]
    if pulse.lost and request.endpoint not in WITHOUT_MONGODB and not pulse.beats():
        raise _missed(Unavailable.says)


def _missed(told: str) -> Unavailable:
    """Return the error of a request that needs MongoDB, and count the webhook that it may be."""
    if request.endpoint == WEBHOOK:
        metrics.count_webhooks([(metrics.NOT_STORED, g.began)])
    return Unavailable(told)


def _needs_no_length() -> bool:
    """Return whether a request may come without a length: its route is unknown, or is an action, which needs no body.

    A proxy between Stripe and this service may send a webhook chunked. It is accepted if the server says that it ends
    the body, as gunicorn does. Under other servers WSGI does not show where a body ends, and it could be cut unnoticed.
    """
    rule = request.url_rule
    if rule is None or ("action" in (rule.defaults or {}) and "Transfer-Encoding" not in request.headers):
        return True
    return request.endpoint == WEBHOOK and bool(request.environ.get("wsgi.input_terminated"))


def _finish(response: Response) -> Response:
    response.headers["X-Request-Id"] = g.request_id
    for name, value in errors.HEADERS.items():
        response.headers.setdefault(name, value)
    if (span := g.get("span")) is not None:
        span.set_attribute("http.response.status_code", response.status_code)
        if response.status_code >= 500:
            traces.fails(span, str(response.status_code))
    if request.endpoint == WEBHOOK and 400 <= response.status_code < 500:
        metrics.count_webhooks([(metrics.REFUSED, g.began)])  # the inbox counts all others, whichever way they came
    elif request.endpoint not in (WEBHOOK, *WITHOUT_MONGODB):  # probes and scrapes would outnumber the callers
        metrics.count_http_request(response.status_code, time.perf_counter() - g.began)
    return response


def _end(error: BaseException | None) -> None:
    if "tracing" in g:
        g.tracing.__exit__(None, None, None)
    DEADLINE.reset(g.deadline)
    REQUEST.reset(g.logged)


def alive() -> dict[str, str]:
    """Answer that the process is alive."""
    return {"status": "alive"}


def ready() -> tuple[dict[str, str], int]:
    """Answer whether MongoDB responds, or why this process cannot connect to it.

    Refused new settings are named under `settings`. The service is ready nevertheless: it uses the previous ones.
    """
    connecting: Connecting | None = current_app.extensions.get("connecting")
    if connecting is not None and connecting.why is not None:
        return {"status": connecting.why}, 503
    refused = {"settings": LAST_GOOD.slip} if LAST_GOOD.slip else {}
    if not current_app.extensions["pulse"].beats():
        return {"status": "MongoDB does not answer", **refused}, 503
    return {"status": "ready", **refused}, 200


def answer_to(app: Flask, outcome: Any) -> Response:
    """Return what `app` answers to an event that the server received for it: to its state, or to an error."""
    with app.test_request_context("/webhooks/stripe", method="POST", content_length=0):
        _begin()
        try:
            response = answer(outcome)
        except Exception as error:
            response = app.make_response(app.handle_user_exception(error))
        return app.process_response(response)
