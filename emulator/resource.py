"""What a row of the table says about one Stripe type; every behaviour that differs between types is a field here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from emulator.fields import Fields, Flag, Text
from emulator.wire import Json

if TYPE_CHECKING:
    from emulator.act import Act

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

    do: Callable[[Act, Json, Json], Json]
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
    """One Stripe type. Without `create` it is read-only: its objects are planted."""

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
    shows: Callable[[Act, Json, Json], bool] | None = None  # whether its list, so asked, shows an object of its kind
    within: Callable[[Act], list[Json]] | None = None  # its objects, where they are parts of others
    expands: Mapping[str, str] = field(default_factory=dict)  # dotted path -> kind
    includes: Mapping[str, Callable[[Act, Json], Json | None]] = field(default_factory=dict)  # shown only when expanded
    delete: Literal["stub", "gone", "never"] = "never"  # stub: GET still answers 200 with {"deleted": true}
    events: tuple[str, ...] = ("created", "updated", "deleted")
    event_name: str = ""  # the events' first part; the kind if empty
    abroad: bool = False  # it is an account, in which its events happen
    check: Callable[[Json], None] | None = None  # rules between create parameters: not stored by idempotency
    guard: Callable[[Act, Json, Json | None], None] | None = (
        None  # rules that need state: (act, params, object or None)
    )
    shape: Callable[[Act, Json, Json], None] | None = None  # finish the object from the parameters; make siblings
    ends: Action | None = None  # what DELETE does, where it returns the object as it is then
    blocked: Callable[[Act, Json], None] | None = None  # refuse a delete
    gone: Callable[[Act, Json], None] | None = None  # what a delete takes along
    after: Callable[[Act, Json, Json], None] | None = None  # what a create leads to once it is announced
    twin: Callable[[Json], Json | None] | None = None  # a second object announced with each event, such as plan
    also: Mapping[str, str] = field(default_factory=dict)  # verb -> a second event type about the same object
    ripe: Callable[[Act, Json], None] | None = None  # what its time brings, see Act.wake
    lists: Mapping[str, Callable[[Act, Json], list[Json]]] = field(default_factory=dict)  # GET /v1/<path>/<id>/<name>
    templates: Mapping[str, Json] = field(default_factory=dict)  # ids that stand for a new object with these fields
    actions: Mapping[str, Action] = field(default_factory=dict)  # POST /v1/<path>/<id>/<name>

    def new_id(self, draw: Callable[[int, str], str], livemode: bool) -> str:
        """A checkout session says in its id which mode it is of."""
        return self.prefix.format(mode="live" if livemode else "test") + draw(self.width, self.draw)

    def name(self) -> str:
        return self.label or self.kind

    def event(self, verb: str) -> str | None:
        return f"{self.event_name or self.kind}.{verb}" if verb in self.events else None
