"""A decorator for the views of your own Flask application: who is not entitled does not get in."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from flask import abort

from stripe_mongo_sync.models.base.input import Invalid
from stripe_mongo_sync.sync.errors import NotConnected, NotFound, Unavailable
from stripe_mongo_sync.sync.library import access

View = TypeVar("View", bound=Callable[..., Any])


def requires_access(
    username: Callable[[], Any], /, *, product: Any = None, price: Any = None, feature: str | None = None
) -> Callable[[View], View]:
    """Return a decorator that lets a Flask view be called only for a customer who is entitled, as `access` says.

    `username` is called for each request, and returns the username of who is logged in (or the customer, or its id),
    or None for nobody. Nobody gets 401, who is not entitled or no customer 403, and everybody 503 while MongoDB does
    not answer: by Flask's `abort`, so your application's error handlers apply. Put it below `@app.route`. Raises
    Invalid for two queries at once.

    Example:

        def reader():
            return session.get("email")

        @requires_access(reader, product="prod_123")
        def article():
            return "for readers"
    """
    query = {"product": product, "price": price, "feature": feature}
    if len(given := [name for name, value in query.items() if value is not None]) > 1:
        raise Invalid(dict.fromkeys(given, "ask for one of product, price and feature at a time"))

    def guard(view: View) -> View:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            who = username()
            if who is None or who == "":
                abort(401)
            try:
                entitled = access(who, **query)["entitled"]
            except NotFound:
                entitled = False
            except (NotConnected, Unavailable):
                abort(503)
            if not entitled:
                abort(403)
            return view(*args, **kwargs)

        return cast("View", guarded)

    return guard
