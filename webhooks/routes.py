"""The webhook endpoint: it verifies the raw bytes, stores the event in the inbox, and answers 200 once it is stored.

A stored event is answered with 200 even if it could not be applied: the inbox retries it. An event that could not be
stored is answered with 503, so Stripe sends it again.
"""

from flask import Blueprint, Response, current_app, jsonify, request
from pymongo.errors import PyMongoError
from werkzeug.exceptions import RequestEntityTooLarge

from stripe_mongo_sync.sync.engine.admission import asks
from stripe_mongo_sync.sync.errors import Unavailable
from stripe_mongo_sync.sync.inbox.arrival import Malformed, arrive
from stripe_mongo_sync.sync.inbox.committer import receive
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.webhooks.signature import BadSignature, required, verify

LARGEST = 4 * 1024 * 1024  # bytes; a subscription of twenty items with all the metadata that Stripe allows is 1.7 MB

blueprint = Blueprint("webhooks", __name__)


@blueprint.post("/webhooks/stripe", strict_slashes=False)  # some type the slash, and Stripe follows no redirect
def stripe_event() -> Response:
    """Receive one event. One that asks for a decision gets an empty 200, which approves and declines nothing."""
    try:
        signature = required(request.headers.get("Stripe-Signature"))
        raw = _body()
        verify(raw, signature, current_app.config["WEBHOOK_SECRETS"])
        arrival = arrive(raw)
    except (BadSignature, Malformed) as error:
        current_app.extensions["few"].warn(type(error).__name__, f"a webhook was refused: {error.says}")
        raise
    try:
        state = receive(arrival)
    except Exception as error:
        return answer(error)
    if asks(arrival.event):
        asked = arrival.event["type"]
        log.error("%s asks for a decision, which this service does not make: run `endpoint update`", asked)
        return Response(status=200)
    return answer(state)


def answer(outcome: str | Exception) -> Response:
    """Return the answer to an event: its state, or `duplicate`. Raises the error, as far as it is no state."""
    match outcome:
        case PyMongoError():
            log.error("an event could not be stored: %s", type(outcome).__name__)
            current_app.extensions["pulse"].failed(outcome)
            raise Unavailable("MongoDB did not store the event: send it again.") from outcome
        case Exception():
            raise outcome
    return jsonify({"state": outcome})


def _body() -> bytes:
    """Return the body. Raises RequestEntityTooLarge: Werkzeug silently cuts a body without a length at the limit."""
    request.max_content_length = LARGEST + 1
    raw = request.get_data(cache=False)
    if len(raw) > LARGEST:
        raise RequestEntityTooLarge
    return raw
