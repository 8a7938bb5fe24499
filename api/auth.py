"""Who may call: a bearer token with a scope for the route, within its rate. What says no scope is open to nobody."""

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

PUBLIC_ROUTES = {  # Stripe signs; probes learn nothing; the docs hold what the source holds
    *("webhooks.stripe_event", "health.alive", "health.ready"),
    *("docs.home", "docs.page", "docs.document"),
}
View = TypeVar("View", bound=Callable[..., Any])
SCOPES: dict[Callable[..., Any], Scope] = {}  # of each view that needs a token


def requires_scope(scope: Scope) -> Callable[[View], View]:
    """Mark a view with the scope that a token must have for it."""

    def mark(view: View) -> View:
        SCOPES[view] = scope
        return view

    return mark


def scope_of(app: Flask, endpoint: str) -> Scope | None:
    """Return the scope that a token must have for a route; None: no token has it."""
    return SCOPES.get(app.view_functions[endpoint])


def configure_auth(app: Flask, settings: Settings) -> None:
    """Let `app` admit these tokens, at this rate."""
    app.config["API_TOKENS"] = settings.api_tokens
    app.extensions["rate"] = RateLimiter(settings.api_rate)


def authenticate_request() -> None:
    """Raise Unauthorized, RateLimited or Forbidden, in this order, before anything is read; remember who calls.

    A wrong address is told to everybody: it holds no secret, and 401 would send people to look for a wrong token.
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
    if scope not in token.scopes:
        raise MissingScope(scope)
    g.token, g.scopes = token.name, token.scopes


class RateLimiter:
    """Admits `per_second` requests a second of each name, and a burst of as many; 0 admits all.

    One runaway client is told to wait before it costs MongoDB or Stripe anything. It is counted in the memory of each
    worker process, for itself. (A library would bring five packages for these lines.)
    """

    def __init__(self, per_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._gap = 1 / per_second if per_second else 0.0
        self._burst = 1.0 - self._gap  # how far ahead of the clock a name may run: a second's worth
        self._clock = clock
        self._next: dict[str, float] = {}  # when each name would be even; as many as there are tokens
        self._renew()
        in_every_child(self._renew)

    def _renew(self) -> None:
        self._counting = threading.Lock()

    def wait(self, name: str) -> float:
        """Count one request of `name`; return 0.0; or, uncounted, the seconds until it is admitted."""
        if not self._gap:
            return 0.0
        with self._counting:
            now = self._clock()
            even = max(self._next.get(name, now), now)
            early = even - now - self._burst
            if early > 1e-9:
                return early
            self._next[name] = even + self._gap
            return 0.0
