"""Belonging: marks as deleted what Stripe deletes together with its owner, without an event of its own.

A deleted test clock deletes its customers and all of their objects, also of types that Stripe never deletes otherwise;
what is read below an owner (the cards of a customer, the persons of an account) cannot be read after the owner's end.
"""

import re
from typing import Any

from stripe_mongo_sync.models import Customer, Status, SyncedDocument, present_kinds, synced_kind, synced_kinds
from stripe_mongo_sync.models.rows.clock import DueReason
from stripe_mongo_sync.sync.engine.dependents import Dependent, follows, notify_dependents
from stripe_mongo_sync.sync.engine.observations import existence_of, merge_observation

CLOCK = "test_helpers.test_clock"
# The owner of a refund or a dispute is found through its payment.
OWNERS = ("customer", "subscription", "invoice", "payment_intent", "charge", "setup_intent")
DEEP = 4  # a refund → its charge → its invoice → their customer → the clock


def clock_of(document: SyncedDocument, depth: int = DEEP) -> str | None:
    """Return the test clock that an object names, or that one of its owners names."""
    remote = document.stripe or {}
    if remote.get("livemode") or not depth:
        return None
    if isinstance(clock := remote.get("test_clock"), str):
        return clock
    owners = (_named(name, remote.get(name)) for name in OWNERS)
    return next((clock for owner in owners if owner is not None and (clock := clock_of(owner, depth - 1))), None)


def went_along(document: SyncedDocument) -> bool:
    """Whether an object that is not found belonged to an owner that is deleted here."""
    remote = document.stripe or {}
    owners = [_named(name, remote.get(name)) for name in re.findall(r"{(\w+)}", document.resource.path)]
    owners.append(_named(CLOCK, clock_of(document)))
    return any(owner is not None and owner.status == Status.DELETED for owner in owners)


def _named(kind: str, stripe_id: Any) -> SyncedDocument | None:
    model = synced_kind(kind)
    return model.by_stripe_id(stripe_id) if model is not None and isinstance(stripe_id, str) else None


def follow_clock(clock: SyncedDocument) -> None:
    """Make a deleted clock due: a run then marks its objects as deleted, which may take too long for a webhook."""
    if clock.status == Status.DELETED and clock.due_at is None and clock.finished_at is None:
        clock.requeue(DueReason.REFRESH)


def let_go(clock: SyncedDocument) -> int:
    """Mark as deleted what belonged to a deleted clock, by itself or by its customer; return how many documents.

    Then the clock has nothing due. A run that dies before that is repeated.
    """
    customers = Customer.objects(__raw__={"stripe.test_clock": clock.stripe_id}).distinct("stripe_id")
    theirs = {"$or": [{"stripe.test_clock": clock.stripe_id}, {"stripe.customer": {"$in": customers}}]}
    count = 0
    for model in synced_kinds(present_kinds()).values():
        for document in model.objects(__raw__={"status": Status.ACTIVE, **theirs}):
            gone = existence_of(document.stripe_id or "", f"test clock {clock.stripe_id}", deleted=True)
            if (deleted := merge_observation(model, {"_id": document.id}, gone)) is not None:
                count += 1
                notify_dependents(deleted)
    clock.finish()
    return count


follows(Dependent(follow_clock), CLOCK)
