"""The routes of the page, what surrounds every request, and the page that tells of an error."""

from datetime import UTC, datetime, timedelta
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, current_app, g, render_template, request
from jinja2 import StrictUndefined
from pymongo.errors import PyMongoError
from werkzeug.exceptions import HTTPException

from stripe_mongo_sync.models.base.input import Invalid
from stripe_mongo_sync.ops import acts, pages
from stripe_mongo_sync.ops.session import form_word, login, logout, require_session
from stripe_mongo_sync.sync import errors
from stripe_mongo_sync.sync.logs import log, nameless
from stripe_mongo_sync.sync.process.screen import lasting, when

LARGEST_FORM = 64 * 1024  # bytes
# Only files of this page are loaded, no script or style stands in a page, and no form is sent elsewhere.
POLICY = "; ".join(
    [
        "default-src 'none'",
        *(f"{kind}-src 'self'" for kind in ("script", "style", "img", "connect")),
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)
STATUS: dict[type[Exception], int] = {
    errors.NotFound: 404,
    errors.NotPossible: 409,
    errors.CannotReadStripe: 504,
    errors.Unavailable: 503,
    Invalid: 422,
}
MENU = (  # the pages, with those that belong to each
    ("ops.overview", "Overview", ()),
    ("ops.documents", "Documents", ("ops.document", "ops.search")),
    ("ops.events", "Events", ("ops.event", "ops.replay_dead")),
    ("ops.deliveries", "Hooks", ()),
    ("ops.review", "Review", ("ops.operation",)),
)
DONE = {  # what is told after an act
    "retry": "It was tried again: this is how it is now.",
    "roll-back": "It was given up.",
    "link": "It was linked.",
    "replay": "It was replayed: this is how it is now.",
    "ignore": "It is ignored from now on.",
    "drop": "It was dropped.",
    "reset-breaker": "The circuit breaker is reset: the next run undoes and deletes again.",
}
FILES = {"ops.css": "text/css", "ops.js": "text/javascript", "icon.svg": "image/svg+xml"}
UNKNOWN = "Something went wrong in this service: search its log for"


def register(app: Flask) -> None:
    """Make `app`, which has no routes, the operator's page."""
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_FORM
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.filters.update(when=_moment, lasting=_age)
    app.before_request(require_session)
    app.after_request(_set_policy)
    app.after_request(_name_nobody)
    app.context_processor(_everywhere)
    app.register_error_handler(Exception, _told)
    page = Blueprint("ops", __name__, template_folder="templates")
    page.add_url_rule(f"/static/<any({', '.join(map(repr, FILES))}):filename>", "static", _file)
    page.add_url_rule("/login", "login", login, methods=["GET", "POST"])
    page.add_url_rule("/logout", "logout", logout, methods=["POST"])
    pages.register(page)
    acts.register(page)
    app.register_blueprint(page)


def _file(filename: str) -> Response:
    """Answer with a file of the page: as bytes, because not every server can send a file of a Flask application."""
    return Response(_read(filename), mimetype=FILES[filename])


@cache
def _read(filename: str) -> bytes:
    return (Path(__file__).with_name("static") / filename).read_bytes()


def _everywhere() -> dict[str, Any]:
    """Return what every template may use."""
    return {
        "session": g.get("session"),
        "form_word": form_word(g.cookie) if "cookie" in g else "",
        "menu": MENU,
        "done": DONE.get(request.args.get("done", "")),
    }


def _moment(at: datetime | None) -> str:
    return when(at.replace(tzinfo=at.tzinfo or UTC)) if at is not None else "never"


def _age(age: timedelta | float | None) -> str:
    return "nothing" if age is None else lasting(age)


def _set_policy(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = POLICY
    return response


def _name_nobody(response: Response) -> Response:
    """Show no e-mail address to who may not read."""
    session = g.get("session")
    if session is not None and not session.reads and response.mimetype == "text/html":
        response.set_data(nameless(response.get_data(as_text=True)))
    return response


def _told(error: Exception) -> Response:
    """Answer with a page that says what went wrong, and what to do."""
    if isinstance(error, HTTPException) and error.response is not None:
        return error.response  # type: ignore[return-value]  # it was made here
    if isinstance(error, PyMongoError):
        log.error("request %s: MongoDB: %s", g.request_id, type(error).__name__)
        current_app.extensions["pulse"].failed(error)
        error = errors.Unavailable()
    if isinstance(error, HTTPException):
        status, told = error.code or 500, error.description
    else:
        status, told = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 500), str(error)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        log.exception("request %s", g.request_id, exc_info=error)
        told = f"{UNKNOWN} {g.request_id}."
    page = render_template("error.html", title=HTTPStatus(status).phrase, told=told)
    response = Response(page, status)
    if status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT):
        response.headers["Retry-After"] = "5"
    return response
