"""Stripe's errors, with Stripe's messages (stripe-facts.md#requests-and-replies)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from stripe_mongo_sync.emulator.protocol.currencies import most
from stripe_mongo_sync.emulator.protocol.wire import Json

DOCS = "https://stripe.com/docs/error-codes/"


class Problem(Exception):
    """An error of Stripe's: an HTTP status and the error object of its body."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        type: str = "invalid_request_error",
        headers: dict[str, str] | None = None,
        stored: bool = True,
        about: Json | None = None,  # the objects that the error contains
        **extra: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.stored = stored  # saved for the idempotency key, if raised during execution
        self.headers = headers or {}
        self.error: Json = {"type": type, "message": message, **extra, **(about or {})}
        if code is not None:
            self.error |= {"code": code, "doc_url": DOCS + code.replace("_", "-")}
        if param is not None:
            self.error["param"] = param

    def body(self) -> Json:
        return {"error": self.error}


def missing(param: str) -> Problem:
    return Problem(400, f"Missing required param: {param}.", code="parameter_missing", param=param)


def unknown(params: Iterable[str]) -> Problem:
    names = list(params)
    plural = "s" if len(names) > 1 else ""
    message = f"Received unknown parameter{plural}: {', '.join(names)}"
    return Problem(400, message, code="parameter_unknown", param=names[0])


def empty(param: str) -> Problem:
    return Problem(
        400,
        f"You passed an empty string for '{param}'. We assume empty values are an attempt to unset a parameter; "
        f"however '{param}' cannot be unset. You should remove '{param}' from your request or "
        "supply a non-empty value.",
        code="parameter_invalid_empty",
        param=param,
    )


def invalid(message: str, param: str, code: str | None = None) -> Problem:
    return Problem(400, message, code=code, param=param)


def within(amount: int | None, currency: str, param: str) -> None:
    """Raise Stripe's error for an amount above the maximum of its currency."""
    limit = most(currency)
    if amount is not None and abs(amount) > limit:
        message = f"Amount must be no more than {limit // 100:,}.{limit % 100:02} {currency.upper()}."
        raise invalid(message, param, "amount_too_large")


def both(*names: str) -> Problem:
    return Problem(400, f"You may only specify one of these parameters: {', '.join(names)}.", param=names[0])


def no_such(label: str, id: str, param: str = "id", status: int = 404, elsewhere: str | None = None) -> Problem:
    """Return a 404 for an id in the path, or a 400 for one in the body. `elsewhere` is the mode that has the object."""
    message = f"No such {label}: '{id}'"
    if elsewhere is not None:
        used = "live" if elsewhere == "test" else "test"
        message += (
            f"; a similar object exists in {elsewhere} mode, but a {used} mode key was used to make this request."
        )
    return Problem(status, message, code="resource_missing", param=param)


def already_exists(label: str, param: str = "id") -> Problem:
    return Problem(400, f"{label} already exists.", code="resource_already_exists", param=param)


def unrecognized(method: str, path: str) -> Problem:
    return Problem(
        404,
        f"Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs or we can help at "
        "https://support.stripe.com/.",
    )


def unauthorized(key: str | None) -> Problem:
    if key is None:
        message = (
            "You did not provide an API key. You need to provide your API key in the Authorization header, using "
            "Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
        )
    else:
        message = f"Invalid API Key provided: {masked(key)}"
    return Problem(401, message, stored=False)


def forbidden(key: str, account: str, permission: str) -> Problem:
    return Problem(
        403,
        f"The provided key '{masked(key)}' does not have the required permissions for this endpoint on account "
        f"'{account}'. Having the '{permission}' permission would allow this request to continue.",
        stored=False,
    )


def rate_limited(reason: str = "global-rate") -> Problem:
    return Problem(
        429,
        "Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits.",
        code="rate_limit",
        headers={"Stripe-Rate-Limited-Reason": reason},
        stored=False,
    )


def lock_timeout() -> Problem:
    return Problem(
        429,
        "This object cannot be accessed right now because another API request or Stripe process is currently "
        "accessing it. If you see this error intermittently, retry the request. If you see this error frequently and "
        "are making multiple concurrent requests to a single object, make your requests serially or at a lower rate.",
        code="lock_timeout",
        headers={"Stripe-Should-Retry": "true"},
        stored=False,
    )


def key_in_use(key: str) -> Problem:
    return Problem(
        409,
        "There is currently another in-progress request using this Idempotent Key (that probably means you submitted "
        f"twice, and the other request is still going through): {key}. Please try again later.",
        code="idempotency_key_in_use",
        headers={"Stripe-Should-Retry": "true"},
        stored=False,
    )


def other_params(key: str) -> Problem:
    return Problem(
        400,
        "Keys for idempotent requests can only be used with the same parameters they were first used with. "
        f"Try using a key other than '{key}' if you meant to execute a different request.",
        type="idempotency_error",
        stored=False,
    )


def other_endpoint(key: str, now: str, first: str) -> Problem:
    return Problem(
        400,
        "Keys for idempotent requests can only be used for the same endpoint they were first used for "
        f"('{now}' vs '{first}'). Try using a key other than '{key}' if you meant to execute a different request.",
        type="idempotency_error",
        stored=False,
    )


def declined() -> Problem:
    return Problem(
        402, "Your card was declined.", code="card_declined", type="card_error", decline_code="generic_decline"
    )


def broken() -> Problem:
    message = "Sorry! There was an error while talking to one of our backends. Support has been notified."
    return Problem(500, message, type="api_error")


def masked(key: str) -> str:
    return f"{key[:8]}{'*' * max(4, len(key) - 12)}{key[-4:]}" if len(key) > 12 else f"{key[:8]}****"


def one_of(params: Json, *names: str) -> list[str]:
    """Return which of the names were given. Raises Stripe's error for more than one."""
    given = [name for name in names if params.get(name) is not None]
    if len(given) > 1:
        raise both(*given)
    return given
