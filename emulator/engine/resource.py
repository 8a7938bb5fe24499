"""The table of Stripe types. A row describes one type; every difference between types is a field of `Resource`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.protocol.fields import Fields, Flag, Text
from stripe_mongo_sync.emulator.protocol.stripe_types import completed
from stripe_mongo_sync.emulator.protocol.wire import Json
from stripe_mongo_sync.emulator.state.store import Realm

Keep = Callable[[Json, Any], bool]


@dataclass(frozen=True)
class Filter:
    """A list filter: `field` reads its value, and `keep` says whether an object passes."""

    field: Any
    keep: Keep


def blank(names: str) -> Json:
    """Return a hash in which these fields are null."""
    return dict.fromkeys(names.split())


def same(name: str, reads: Any = None) -> Filter:
    """Return a filter that keeps the objects whose field equals the value."""
    return Filter(reads or Text(), lambda object, value: bool(object.get(name) == value))


ACTIVE = {"active": same("active", Flag())}


@dataclass(frozen=True)
class Action:
    """POST /v1/<path>/<id>/<name>. `do` takes the effects, the object and the parameters, and returns the reply."""

    do: Callable[[Effects, Json, Json], Json]
    params: Fields = field(default_factory=dict)


@dataclass(frozen=True)
class Route:
    """A call that no row describes. `do` takes the effects, the parameters, and the ids that replace {} in the path."""

    method: str
    path: str  # below /v1/
    kind: str  # the type for which a key needs permission
    do: Callable[..., Json]
    params: Fields = field(default_factory=dict)
    media: str = ""  # of the reply, if it is no JSON: its `content`, a text in latin-1

    def ids(self, method: str, path: str) -> tuple[str, ...] | None:
        """Return the ids in a path below /v1/, or None if this is not its route."""
        found = re.fullmatch(re.escape(self.path).replace(r"\{\}", "([^/]+)"), path) if method == self.method else None
        return found.groups() if found else None


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One Stripe type. Without `create` no call makes its objects: a test inserts them."""

    kind: str  # Stripe's `object` string
    path: str  # below /v1/
    prefix: str  # of its ids
    label: str = ""  # in "No such <label>: 'x'"; if empty, the kind
    width: int = 24  # length of the random part of an id
    alphabet: Literal["base62", "upper"] = "base62"  # of the random part of an id
    created_field: str = "created"  # the field with the second of creation; empty if there is none
    readable: bool = True  # Stripe has a list of it, and a GET by id
    has_livemode: bool = True  # its objects have the field `livemode`
    create: Fields | None = None  # includes `id` if the caller may choose it
    update: Fields | None = None
    defaults: Json = field(default_factory=dict)
    filters: Mapping[str, Filter] = field(default_factory=dict)
    created_filter: bool = True  # its list can be filtered by `created`
    # (effects, object, query) -> whether the list shows the object
    shows: Callable[[Effects, Json, Json], bool] | None = None
    within: Callable[[Effects], list[Json]] | None = None  # returns its objects, if they are parts of other objects
    expands: Mapping[str, str] = field(default_factory=dict)  # dotted path -> kind
    # property -> function that returns its value; such a property is shown only when it is expanded
    includes: Mapping[str, Callable[[Effects, Json], Json | None]] = field(default_factory=dict)
    delete: Literal["stub", "gone", "never"] = "never"  # stub: a GET still answers 200 with {"deleted": true}
    events: tuple[str, ...] = ("created", "updated", "deleted")
    event_name: str = ""  # the first part of its event types; if empty, the kind
    is_account: bool = False  # an account: its events happen in itself
    test_only: bool = False  # does not exist in live mode
    # (realm, id) -> another object that the id also names: a card is a payment method, too
    stand_in: Callable[[Realm, str], Json | None] | None = None
    # Rules between the parameters of a create. What they refuse is not saved for the idempotency key.
    check: Callable[[Json], None] | None = None
    # Rules that need state: (effects, parameters, object before an update or None)
    check_state: Callable[[Effects, Json, Json | None], None] | None = None
    # Completes the object from the parameters, and makes the objects that come with it
    finish: Callable[[Effects, Json, Json], None] | None = None
    delete_action: Action | None = None  # what DELETE does, if it returns the object instead of a stub
    check_delete: Callable[[Effects, Json], None] | None = None  # rules for a delete
    on_delete: Callable[[Effects, Json], None] | None = None  # runs after a delete
    after: Callable[[Effects, Json, Json], None] | None = None  # runs after the created event
    companion: Callable[[Json], Json | None] | None = None  # a second object with events of its own: a price's plan
    extra_event: Mapping[str, str] = field(default_factory=dict)  # verb -> a second event type about the same object
    on_due: Callable[[Effects, Json], None] | None = None  # runs at the second that `Effects.schedule` set
    # GET /v1/<path>/<id>/<name>
    lists: Mapping[str, Callable[[Effects, Json], list[Json]]] = field(default_factory=dict)
    templates: Mapping[str, Json] = field(default_factory=dict)  # ids, such as pm_card_visa, that make a new object
    actions: Mapping[str, Action] = field(default_factory=dict)  # POST /v1/<path>/<id>/<name>

    def new_id(self, draw: Callable[[int, str], str], livemode: bool) -> str:
        """Return a new id. The id of a checkout session names its mode."""
        return self.prefix.format(mode="live" if livemode else "test") + draw(self.width, self.alphabet)

    def name(self) -> str:
        return self.label or self.kind

    def event(self, verb: str) -> str | None:
        return f"{self.event_name or self.kind}.{verb}" if verb in self.events else None


# The table. `objects.resources` fills it; the layers of a request read it and import no type.
RESOURCES: dict[str, Resource] = {}
BY_PATH: dict[str, Resource] = {}
ROUTES: list[Route] = []


def register(rows: Iterable[Resource], routes: Iterable[Route] = ()) -> None:
    """Add these types and calls to the table."""
    for row in map(_completed, rows):
        RESOURCES[row.kind] = BY_PATH[row.path] = row
    ROUTES.extend(routes)


def _completed(row: Resource) -> Resource:
    """Return a type that takes all parameters of Stripe's, besides those that its row describes."""
    changes: dict[str, Any] = {
        verb: completed(row.kind, (verb,), fields)
        for verb, fields in (("create", row.create), ("update", row.update))
        if fields is not None
    }
    if row.actions:
        changes["actions"] = {name: _with_all(row, name, action) for name, action in row.actions.items()}
    if row.delete_action is not None:
        changes["delete_action"] = _with_all(row, "cancel", row.delete_action)
    return replace(row, **changes) if changes else row


def _with_all(row: Resource, name: str, action: Action) -> Action:
    return replace(action, params=completed(row.kind, (name, f"{name}_{row.kind}"), action.params))


def label(kind: str) -> str:
    """Return what Stripe's messages call a kind."""
    return RESOURCES[kind].name() if kind in RESOURCES else kind
