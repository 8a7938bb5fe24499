"""The webhook endpoint: verify the raw bytes, hand the event to the inbox, and answer 200 once it is safe.

Whatever is stored is answered with 200, also what failed to be applied: from then on the retry is ours. Only what
could not be stored is answered with 503, and Stripe sends it again.
"""

from flask import Blueprint, Response, current_app, jsonify, request
from pymongo.errors import PyMongoError
from werkzeug.exceptions import RequestEntityTooLarge

from stripe_mongo_sync.sync.engine.admission import asks
from stripe_mongo_sync.sync.errors import Unavailable
from stripe_mongo_sync.sync.inbox.inbox import Malformed, parse, receive
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.webhooks.signature import BadSignature, required, verify

LARGEST = 4 * 1024 * 1024  # bytes; a subscription of twenty items, with all the metadata that they may have, is 1.7 MB

blueprint = Blueprint("webhooks", __name__)


@blueprint.post("/webhooks/stripe", strict_slashes=False)  # people write the slash, and Stripe follows no redirect
def stripe_event() -> Response:
    """Take one event from Stripe. What it asks, rather than tells, is answered with nothing: that decides nothing."""
    try:
        signature = required(request.headers.get("Stripe-Signature"))
        raw = _body()
        verify(raw, signature, current_app.config["WEBHOOK_SECRETS"])
        event = parse(raw)
        state = receive(event, raw)
    except (BadSignature, Malformed) as error:
        current_app.extensions["few"].warn(type(error).__name__, f"a webhook was refused: {error.says}")
        raise
    except PyMongoError as error:
        log.error("an event could not be stored: %s", type(error).__name__)
        current_app.extensions["pulse"].failed(error)
        raise Unavailable("The event could not be stored; send it again.") from error
    if asks(event):
        log.error("%s asks for a decision, and nobody here makes it: `endpoint update` leaves it out", event["type"])
        return Response(status=200)
    return jsonify({"state": state or "duplicate"})


def _body() -> bytes:
    """Return the body, or raise RequestEntityTooLarge: Werkzeug cuts one that tells no length at the limit."""
    request.max_content_length = LARGEST + 1
    raw = request.get_data(cache=False)
    if len(raw) > LARGEST:
        raise RequestEntityTooLarge
    return raw
