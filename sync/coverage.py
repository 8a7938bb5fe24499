"""Coverage: which of Stripe's events are about which type, and so which ones an endpoint must be sent.

An event is named after its object: `customer.subscription.updated` is about a subscription, whose stem the registry
knows. The catalogue is stripe-python's, so that it grows with the pinned version.
"""

from typing import get_args

import stripe

from models import SyncedDocument, kinds

CATALOGUE: tuple[str, ...] = get_args(stripe.Event.__annotations__["type"])

# Events that are about another kind than their name says; None: about nothing that could be kept.
ELSEWHERE: dict[str, str | None] = {
    "charge.refund.updated": "refund",
    "invoice.upcoming": None,  # a preview, which has no id
    "issuing_authorization.request": None,  # asks for a decision within seconds
}


def kind_of(type: str) -> str | None:
    """Return the kind of the registry that an event type is about, or None when nothing here is."""
    if type in ELSEWHERE:
        kind = ELSEWHERE[type]
        return kind if kind in kinds() else None
    stem = type.rpartition(".")[0]
    return next((kind for kind, model in kinds().items() if stem in model.resource.stems), None)


def events_of(model: type[SyncedDocument]) -> tuple[str, ...]:
    """Return the types of event that are about this model's objects."""
    return tuple(type for type in CATALOGUE if kind_of(type) == model.resource.kind)


def covered_events() -> tuple[str, ...]:
    """Return every type of event that something here is kept by: what an endpoint must have enabled, and no more."""
    return tuple(type for type in CATALOGUE if kind_of(type) is not None)
