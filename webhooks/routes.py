"""The webhook endpoint: verify the raw bytes, hand the event to the inbox, and answer 200 once it is safe.

Whatever is stored is answered with 200, also what failed to be applied: from then on the retry is ours. Only what
could not be stored is answered with 503, and Stripe sends it again.
"""

from flask import Blueprint, Response, current_app, jsonify, request
from pymongo.errors import PyMongoError

from sync.connection import log
from sync.errors import Unavailable
from sync.inbox import Malformed, receive
from webhooks.signature import BadSignature, verify

blueprint = Blueprint("webhooks", __name__)


@blueprint.post("/webhooks/stripe")
def stripe_event() -> Response:
    """Take one event from Stripe."""
    raw = request.get_data(cache=False)
    try:
        verify(raw, request.headers.get("Stripe-Signature"), current_app.config["WEBHOOK_SECRETS"])
        state = receive(raw)
    except (BadSignature, Malformed) as error:
        log.warning("a webhook was refused: %s", type(error).__doc__)
        raise
    except PyMongoError as error:
        log.error("an event could not be stored: %s", type(error).__name__)
        raise Unavailable("The event could not be stored; send it again.") from error
    return jsonify({"state": state or "duplicate"})
