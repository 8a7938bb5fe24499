"""Who may call: a bearer token, compared in constant time. Every route needs one, but for those named here."""

import hashlib
import hmac

from flask import current_app, g, request

from api.errors import Unauthorized

OPEN = {  # Stripe signs; probes learn nothing; the docs hold what the source holds
    *("webhooks.stripe_event", "health.alive", "health.ready"),
    *("docs.page", "docs.document"),
}


def require_token() -> None:
    """Raise Unauthorized unless the request has a good token; remember which, by a digest."""
    if request.endpoint in OPEN:
        return
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    presented = given.strip().encode("utf-8", "surrogateescape")
    good = [token for token in current_app.config["API_TOKENS"] if hmac.compare_digest(token.encode(), presented)]
    if scheme.lower() != "bearer" or not good:
        raise Unauthorized
    g.token = hashlib.sha256(good[0].encode()).hexdigest()[:16]
