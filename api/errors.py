"""The error responses of the API: application/problem+json (RFC 9457), with a type that programs can rely on."""

import json
import logging
import uuid
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, current_app, g
from pymongo.errors import PyMongoError
from werkzeug.exceptions import ClientDisconnected, HTTPException, MethodNotAllowed

from stripe_mongo_sync.api.schemas.representation import as_caller_sees, caller_has
from stripe_mongo_sync.models.base.input import Invalid
from stripe_mongo_sync.sync import errors
from stripe_mongo_sync.sync.inbox.arrival import Malformed
from stripe_mongo_sync.sync.operator.link import Differs
from stripe_mongo_sync.sync.tokens import Scope
from stripe_mongo_sync.webhooks.signature import BadSignature

log = logging.getLogger("stripe_mongo_sync.api")

BUSY = "Too many requests are waiting for a thread: repeat the call."
SLOW = "The body did not come in time: send the request again."
TYPES = errors.PROBLEMS


HEADERS = {  # of every response: no cache stores it, and no browser guesses another content type
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class RequestError(Exception):
    says = "The request cannot be accepted."
    status = 400
    type = "malformed"

    def detail(self) -> str:
        """Return the explanation that the caller reads."""
        return self.says


class NotJson(RequestError):
    says = "The body must be a JSON object in UTF-8, without repeated names, and with at most 20 levels."


class LengthRequired(RequestError):
    says = "The request needs a Content-Length: the server could cut a chunked body short."
    status = 411
    type = "length-required"


class WrongContentType(RequestError):
    says = "The body must be sent as application/json."
    status = 415
    type = "wrong-content-type"


class NotAForm(WrongContentType):
    says = "The body must be sent as multipart/form-data, with a part for each file."


class BrokenForm(RequestError):
    says = "The form could not be read: each part needs a name, and a filename in UTF-8."


class Unauthorized(RequestError):
    says = "Send one of API_TOKENS as `Authorization: Bearer …`."
    status = 401
    type = "unauthorized"


class MissingScope(RequestError):
    says = "The token lacks the scope that this request requires."
    status = 403
    type = "forbidden"

    def __init__(self, scope: str | None) -> None:
        super().__init__()
        self.scope = scope

    def detail(self) -> str:
        """Return the explanation that the caller reads, with the missing scope."""
        return f"This needs a token with the scope `{self.scope}`." if self.scope else "No token may do this."


class RateLimited(RequestError):
    says = "This token sends too many requests: wait for `Retry-After` seconds."
    status = 429
    type = "rate-limited"

    def __init__(self, seconds: int) -> None:
        super().__init__()
        self.seconds = seconds


STATUS: dict[type[errors.SyncError], int] = {
    errors.Unavailable: 503,
    errors.NotFound: 404,
    errors.AlreadyExists: 409,
    errors.InProgress: 409,
    errors.KeyReused: 422,
    errors.NotDeletable: 422,
    errors.Refused: 422,
    errors.RolledBack: 422,
    errors.Deleted: 410,
    errors.NotPossible: 409,
    errors.CannotReadStripe: 504,
}


def register(app: Flask) -> None:
    """Make `app` answer every error with a problem response."""
    app.register_error_handler(RequestError, _request)
    app.register_error_handler(BadSignature, lambda error: problem(400, "bad-signature", BadSignature.says))
    app.register_error_handler(Malformed, lambda error: problem(400, "malformed", Malformed.says))
    app.register_error_handler(Invalid, _invalid)
    app.register_error_handler(errors.SyncError, _sync)
    app.register_error_handler(PyMongoError, _mongodb)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(ClientDisconnected, lambda error: problem(408, "too-slow", SLOW))
    app.register_error_handler(Exception, _unexpected)


def problem_body(status: int, type: str, detail: str | None) -> dict[str, Any]:
    """Return the members that every problem response has."""
    return {"type": TYPES + type, "title": type.replace("-", " "), "status": status, "detail": detail}


def problem(status: int, type: str, detail: str | None, **more: Any) -> Response:
    """Return a problem+json response."""
    body = problem_body(status, type, detail) | more
    response = Response(json.dumps(body), status, mimetype="application/problem+json")
    response.headers["X-Request-Id"] = g.request_id
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if status in (503, 504):
        response.headers["Retry-After"] = "5"
    return response


def _request(error: RequestError) -> Response:
    response = problem(error.status, error.type, error.detail())
    if isinstance(error, RateLimited):
        response.headers["Retry-After"] = str(error.seconds)
    return response


def _invalid(error: Invalid) -> Response:
    return problem(422, "invalid", str(error), errors=error.errors)


def _sync(error: errors.SyncError) -> Response:
    more: dict[str, Any] = {}
    status, type = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 500), error.type
    if isinstance(error, errors.Refused):
        more = {"code": error.code, "decline_code": error.decline_code}
        if error.errors:
            more["errors"] = error.errors
        if error.declined:
            status, type = 402, "declined"
    if isinstance(error, errors.Outcome):
        more["document"] = as_caller_sees(error.document)
    if isinstance(error.__cause__, PyMongoError):
        current_app.extensions["pulse"].failed(error.__cause__)
    if isinstance(error, errors.Unavailable) and error.idempotency_key:
        more["idempotency_key"] = error.idempotency_key
    if isinstance(error, Differs):  # names only: a token with the scope `operate` may not read the staged values
        more["differences"] = [difference.name for difference in error.differences]
    if status == 500:
        log.error("request %s: %s", g.request_id, error)
    # A token without `read` learns that another document is in the way, and nothing else about it.
    hides = status in (404, 409) and caller_has(Scope.WRITE) and not caller_has(Scope.READ)
    detail = error.says if hides else str(error)
    response = problem(status, type, detail, **more)
    if isinstance(error, errors.Outcome) and error.repeated:
        response.headers["Idempotent-Replayed"] = "true"
    return response


def _mongodb(error: PyMongoError) -> Response:
    log.error("request %s: MongoDB: %s", g.request_id, type(error).__name__)
    current_app.extensions["pulse"].failed(error)
    return _sync(errors.Unavailable())


def _http(error: HTTPException) -> Response:
    type = {404: "not-found", 405: "method-not-allowed", 413: "too-large"}.get(error.code or 500, "malformed")
    response = problem(error.code or 500, type, error.description)
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return response


def _unexpected(error: Exception) -> Response:
    log.exception("request %s", g.request_id)
    return problem(500, "error", "Something went wrong in this service: search its log for the X-Request-Id.")


def busy() -> bytes:
    """Return the response that the server sends by itself when no thread comes free for the application."""
    return _raw_problem(HTTPStatus.SERVICE_UNAVAILABLE, errors.Unavailable.type, BUSY, {"Retry-After": "5"})


def late() -> bytes:
    """Return the response that the server sends by itself when a body did not arrive in time."""
    return _raw_problem(HTTPStatus.REQUEST_TIMEOUT, "too-slow", SLOW, {})


def _raw_problem(status: HTTPStatus, type: str, detail: str, headers: dict[str, str]) -> bytes:
    body = json.dumps(problem_body(status, type, detail))
    sent = {"Content-Type": "application/problem+json", "Content-Length": str(len(body)), **headers, **HEADERS}
    sent |= {"X-Request-Id": uuid.uuid4().hex, "Connection": "close"}
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", *(f"{name}: {sent[name]}" for name in sent)]
    return "\r\n".join([*lines, "", body]).encode()
