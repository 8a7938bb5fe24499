"""The catalogue: the types that are stored, and the events that update them, as the registry and stripe-python know it.

The command `types` and the page docs/TYPES.md are printed from it; `written.py` stores a copy.
"""

from functools import cache
from typing import get_args

from stripe_mongo_sync.models import StagedDocument, kinds
from stripe_mongo_sync.models.base.input import accepted
from stripe_mongo_sync.models.mirrored import QUESTIONS, REASONS
from stripe_mongo_sync.models.owned import OWNED, in_no_list
from stripe_mongo_sync.sync.operator.written import FILE, Entry, text

# Stripe sends these only to an endpoint that names them, and not for "*" (docs.stripe.com/api/events/types).
NAMED = frozenset({"identity.verification_session.redacted", *QUESTIONS})


@cache
def event_types() -> tuple[str, ...]:
    """Return every event type that stripe-python knows."""
    import stripe

    return get_args(stripe.Event.__annotations__["type"])


def kinds_of(event_type: str) -> list[str]:
    """Return the kinds whose objects an event of this type shows; [] when such events are ignored."""
    if ignored(event_type):
        return []
    either = {event_type, _event_prefix(event_type)}
    named = {kind: either.intersection(model.resource.event_prefixes) for kind, model in kinds().items()}
    return [kind for kind in named if event_type in named[kind]] or [kind for kind in named if named[kind]]


def covered_events() -> tuple[str, ...]:
    """Return every event type that updates a document: exactly those that an endpoint must enable."""
    return tuple(event_type for event_type in event_types() if kinds_of(event_type))


def ignored(event_type: str) -> str | None:
    """Return why events of this type change no document, or None."""
    return REASONS.get(event_type) or REASONS.get(_event_prefix(event_type))


def all_ignored() -> dict[str, str]:
    """Return every event type that changes no document, and why."""
    return {event_type: why for event_type in event_types() if (why := ignored(event_type))}


def catalogue() -> list[Entry]:
    """Return an entry for every stored type."""
    about = {event_type: kinds_of(event_type) for event_type in event_types()}
    return [_entry(model, tuple(type for type in about if kind in about[type])) for kind, model in kinds().items()]


def write() -> None:
    """Write the catalogue to its file, for `make types`."""
    FILE.write_text(text(catalogue(), all_ignored()))


def _entry(model: type[StagedDocument], events: tuple[str, ...]) -> Entry:
    resource = model.resource
    verbs = {"create": not resource.mirrored, "update": bool(accepted(model, "update")), "delete": resource.deletable}
    return Entry(
        kind=resource.kind,
        collection=model.plural(),
        created_here=not resource.mirrored,
        actions=(*(verb for verb, offered in verbs.items() if offered), *resource.actions),
        events=events,
        get=" or ".join(f"{path}/{{id}}" for path in resource.path.split()) or None,
        list=resource.path if resource.listable else None,
        owners=tuple(owned.owner for owned in OWNED if resource.kind in owned.kinds and not owned.in_time),
        unlisted=in_no_list(resource.kind),
        parameters={verb: tuple(given) for verb in verbs if (given := accepted(model, verb))}
        | {verb: tuple(accepted(model, verb)) for verb in resource.actions},
    )


def _event_prefix(event_type: str) -> str:
    return event_type.rpartition(".")[0]
