"""What a row of the table says about one Stripe type, and the table; what differs between types is a field here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.protocol.fields import Fields, Flag, Text
from stripe_mongo_sync.emulator.protocol.wire import Json
from stripe_mongo_sync.emulator.state.store import Realm

Keep = Callable[[Json, Any], bool]


@dataclass(frozen=True)
class Filter:
    """One list filter: how its value is read, and whether an object passes."""

    field: Any
    keep: Keep


def blank(names: str) -> Json:
    """These fields, null."""
    return dict.fromkeys(names.split())


def same(name: str, reads: Any = None) -> Filter:
    """Objects whose field equals the value."""
    return Filter(reads or Text(), lambda object, value: bool(object.get(name) == value))


ACTIVE = {"active": same("active", Flag())}


@dataclass(frozen=True)
class Action:
    """POST /v1/<path>/<id>/<name>: `do` gets the act, the object and the parameters, and returns what to answer."""

    do: Callable[[Effects, Json, Json], Json]
    params: Fields = field(default_factory=dict)


@dataclass(frozen=True)
class Route:
    """A call that fits no row. `do` gets the act, the parameters, and the ids that the path has in place of each {}."""

    method: str
    path: str  # below /v1/
    kind: str  # the type that a key must be allowed
    do: Callable[..., Json]
    params: Fields = field(default_factory=dict)

    def ids(self, method: str, path: str) -> tuple[str, ...] | None:
        """The ids in a path below /v1/, or None if it is another one."""
        found = re.fullmatch(re.escape(self.path).replace(r"\{\}", "([^/]+)"), path) if method == self.method else None
        return found.groups() if found else None


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One Stripe type. Without `create` it is read-only: its objects are inserted by a test."""

    kind: str  # the object name
    path: str  # below /v1/
    prefix: str  # of its ids
    label: str = ""  # in "No such <label>: 'x'"; the kind if empty
    width: int = 24  # length of the random part of an id
    draw: Literal["base62", "upper"] = "base62"
    dated: str = "created"  # the field that says when; empty if there is none
    readable: bool = True  # can be listed, and got by its id
    moded: bool = True  # its objects show livemode
    create: Fields | None = None  # with an `id`, if the caller may choose it
    update: Fields | None = None
    defaults: Json = field(default_factory=dict)
    filters: Mapping[str, Filter] = field(default_factory=dict)
    created_filter: bool = True
    shows: Callable[[Effects, Json, Json], bool] | None = None  # whether its list, so asked, shows an object
    within: Callable[[Effects], list[Json]] | None = None  # its objects, where they are parts of others
    expands: Mapping[str, str] = field(default_factory=dict)  # dotted path -> kind
    includes: Mapping[str, Callable[[Effects, Json], Json | None]] = field(
        default_factory=dict
    )  # shown only when expanded
    delete: Literal["stub", "gone", "never"] = "never"  # stub: GET still answers 200 with {"deleted": true}
    events: tuple[str, ...] = ("created", "updated", "deleted")
    event_name: str = ""  # the events' first part; the kind if empty
    abroad: bool = False  # it is an account, in which its events happen
    test_only: bool = False  # live mode has none
    stand_in: Callable[[Realm, str], Json | None] | None = None  # what else an id may name: a card is a payment method
    check: Callable[[Json], None] | None = None  # rules between create parameters: not stored by idempotency
    guard: Callable[[Effects, Json, Json | None], None] | None = (
        None  # rules that need state: (act, params, object or None)
    )
    shape: Callable[[Effects, Json, Json], None] | None = None  # finish the object from the parameters; make siblings
    ends: Action | None = None  # what DELETE does, where it returns the object as it is then
    blocked: Callable[[Effects, Json], None] | None = None  # refuse a delete
    gone: Callable[[Effects, Json], None] | None = None  # what a delete takes along
    after: Callable[[Effects, Json, Json], None] | None = None  # what a create leads to once it is announced
    twin: Callable[[Json], Json | None] | None = None  # a second object announced with each event, such as plan
    also: Mapping[str, str] = field(default_factory=dict)  # verb -> a second event type about the same object
    ripe: Callable[[Effects, Json], None] | None = None  # what its time brings, see Effects.wake
    lists: Mapping[str, Callable[[Effects, Json], list[Json]]] = field(
        default_factory=dict
    )  # GET /v1/<path>/<id>/<name>
    templates: Mapping[str, Json] = field(default_factory=dict)  # ids that stand for a new object with these fields
    actions: Mapping[str, Action] = field(default_factory=dict)  # POST /v1/<path>/<id>/<name>

    def new_id(self, draw: Callable[[int, str], str], livemode: bool) -> str:
        """A checkout session says in its id which mode it is of."""
        return self.prefix.format(mode="live" if livemode else "test") + draw(self.width, self.draw)

    def name(self) -> str:
        return self.label or self.kind

    def event(self, verb: str) -> str | None:
        return f"{self.event_name or self.kind}.{verb}" if verb in self.events else None


# The table: `resources` fills it, and the layers of a request ask it; they import no type.
RESOURCES: dict[str, Resource] = {}
BY_PATH: dict[str, Resource] = {}
ROUTES: list[Route] = []


def register(rows: Iterable[Resource], routes: Iterable[Route] = ()) -> None:
    """Serve these types and calls."""
    for row in rows:
        RESOURCES[row.kind] = BY_PATH[row.path] = row
    ROUTES.extend(routes)


def label(kind: str) -> str:
    """What Stripe's messages call a kind."""
    return RESOURCES[kind].name() if kind in RESOURCES else kind
