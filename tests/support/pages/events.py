"""The page of the events: the notices that hooks hear of, and what each type of Stripe's events updates."""

from stripe_mongo_sync.models import Status, kinds
from stripe_mongo_sync.sync.operator.catalogue import NAMED, all_ignored, covered_events, kinds_of
from tests.support.pages.tables import MADE, code, table


def page() -> str:
    """Return the page."""
    statuses = code(f"<kind>.{status}" for status in Status if status != Status.PENDING)
    more = ((code([kind]), code(model.resource.notices)) for kind, model in kinds().items() if model.resource.notices)
    used = ((code([event]), code(kinds_of(event))) for event in covered_events())
    ignored = ((code([event]), why) for event, why in sorted(all_ignored().items()))
    named = code(event for event in covered_events() if event in NAMED)
    return f"""# The events

{MADE}

## What hooks hear of

A hook subscribes to these names with `@on(…)`, where `*` stands for any text; [hooks](hooks.md) says what it may rely
on. Each of the [kinds](TYPES.md) has {statuses}. Some have more:

{table(("kind", "names"), more)}
A hook subscribes to one of Stripe's events as `stripe:<type>`, whether or not its object has a document.

## Stripe's events that update a document

`endpoint create` requests exactly these (`*` would leave out {named}). What an event shows of an object is
[merged](ARCHITECTURE.md#what-a-merge-does) into the object's document.

{table(("type", "the kind of the object"), used)}
## Stripe's events that update nothing

The endpoint does not request them. If one comes, it is answered with 200, and stored as `ignored`.

{table(("type", "because"), ignored)}"""
