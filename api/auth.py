"""Authenticates requests and limits their rate. A route without a scope rejects every token."""

import threading
import time
from collections.abc import Callable
from math import ceil
from typing import Any, TypeVar

from flask import Flask, current_app, g, request

from stripe_mongo_sync.api.errors import MissingScope, RateLimited, Unauthorized
from stripe_mongo_sync.sync.process.fork import in_every_child
from stripe_mongo_sync.sync.settings import Settings
from stripe_mongo_sync.sync.tokens import Scope, authenticate

PUBLIC_ROUTES = {  # Stripe signs its requests; probes reveal nothing; the docs show only what the source shows
    *("webhooks.stripe_event", "health.alive", "health.ready"),
    *("docs.home", "docs.page", "docs.document"),
}
LOGIN_RATE = 1  # a second, from one address
MANY = 10_000  # callers, more than which no limiter remembers: of those that kept their rate, nothing need be known
View = TypeVar("View", bound=Callable[..., Any])
SCOPES: dict[Callable[..., Any], Scope] = {}  # by view, for each view that requires a token


def requires_scope(scope: Scope) -> Callable[[View], View]:
    """Return a decorator that registers the scope which a token must have for a view."""

    def mark(view: View) -> View:
        SCOPES[view] = scope
        return view

    return mark


def scope_of(app: Flask, endpoint: str) -> Scope | None:
    """Return the scope that a token must have for a route; None means that the route rejects every token."""
    return SCOPES.get(app.view_functions[endpoint])


def configure_auth(app: Flask, settings: Settings) -> None:
    """Give `app` the tokens of the settings, a limiter for their rate, and one for logins to the operator's page."""
    app.config["API_TOKENS"] = settings.api_tokens
    app.extensions["rate"], app.extensions["logins"] = RateLimiter(settings.api_rate), RateLimiter(LOGIN_RATE)


def authenticate_request() -> None:
    """Raise Unauthorized, RateLimited or MissingScope, in this order, before the body is read; else store the caller.

    An unknown path is a 404 for every caller: that reveals no secret, and a 401 would suggest that the token is wrong.
    """
    if request.endpoint in PUBLIC_ROUTES or request.endpoint is None:
        return
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    token = authenticate(current_app.config["API_TOKENS"], given.strip().encode("utf-8", "surrogateescape"))
    if scheme.lower() != "bearer" or token is None:
        raise Unauthorized
    wait = current_app.extensions["rate"].wait(token.name)
    if wait:
        raise RateLimited(ceil(wait))
    scope = scope_of(current_app, request.endpoint)
    if not token.may(scope):
        raise MissingScope(scope)
    g.token, g.scopes = token.name, token.scopes


class RateLimiter:
    """Allows each caller `per_second` requests a second, and a burst of as many; 0 means no limit.

    A runaway client is rejected before it costs a request to MongoDB or Stripe. Each worker process counts by itself,
    in memory. (A library would bring five packages for these lines.)
    """

    def __init__(self, per_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._gap = 1 / per_second if per_second else 0.0
        self._burst = 1.0 - self._gap  # s that a caller may be ahead of its rate: one second's requests
        self._clock = clock
        self._next: dict[str, float] = {}  # per caller, the time at which its rate is kept again
        self._renew()
        in_every_child(self._renew)

    def _renew(self) -> None:
        self._counting = threading.Lock()

    def wait(self, name: str) -> float:
        """Count one request of a caller and return 0.0; or count nothing, and return the seconds until it may ask."""
        if not self._gap:
            return 0.0
        with self._counting:
            now = self._clock()
            if len(self._next) >= MANY:
                self._next = {name: kept for name, kept in self._next.items() if kept > now}
            even = max(self._next.get(name, now), now)
            early = even - now - self._burst
            if early > 1e-9:
                return early
            self._next[name] = even + self._gap
            return 0.0
