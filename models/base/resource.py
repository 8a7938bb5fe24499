"""What the engine must know of a Stripe type besides its fields: its path, its undo, and what forbids that undo."""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Any, ClassVar, Protocol, TypeGuard
from urllib.parse import quote, unquote

from stripe_mongo_sync.models.base.embedded import Call, Operation
from stripe_mongo_sync.models.params.table import Table, call, table, together
from stripe_mongo_sync.models.rows.sure import Impossible, sure

LONGEST_ID = 255  # characters, Stripe's own limit
# No id has these characters: they end a line or a text, and half a surrogate pair can be neither stored nor sent.
UNWRITABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def is_id(given: Any) -> TypeGuard[str]:
    """Whether this can be the id of an object at Stripe. Every entrance uses this one rule.

    Until API 2018-05-21 callers could choose any characters for a coupon, a plan, a product or a customer ("20% off"),
    and a payment method may be a `card_…`, so neither characters nor a prefix prove anything. A path segment "." or
    ".." is refused, because a proxy may resolve it even when it is quoted.
    """
    return isinstance(given, str) and _is_id(given)


@lru_cache(4096)  # one event asks several times about the same few ids
def _is_id(given: str) -> bool:
    dots = {".", ".."}.intersection(given.split("/"))
    return 0 < len(given) <= LONGEST_ID and not dots and not UNWRITABLE.search(given)


OVER = ("canceled", "incomplete_expired", "void", "expired")  # the statuses of an object that can never be used again


class Undo(StrEnum):
    """A way to make an orphan unusable. All but the first two are the last segment of the path of a POST."""

    DELETE = "delete"  # DELETE it
    ARCHIVE = "archive"  # POST active=false
    CANCEL = "cancel"
    EXPIRE = "expire"
    VOID = "void"
    DETACH = "detach"
    DEACTIVATE = "deactivate"


class Linked(Protocol):
    """The part of a document that an action needs to build its calls."""

    stripe_id: str | None
    stripe: dict[str, Any] | None

    @property
    def path(self) -> str:
        """Return the API path of its object."""


@dataclass(frozen=True)
class Action:
    """An action that callers may take on an object: `POST <its path>/<name>`, staged like any other operation."""

    done: Callable[[dict[str, Any], dict[str, Any]], bool]  # whether an object shows that these parameters took effect
    moves_money: bool = False  # whether it moves money
    calls: Callable[[Linked, dict[str, Any]], list[Call]] | None = None  # the calls it sends, if not that one POST
    repeatable: bool = False  # it may be done again, so that only a caller's idempotency key tells a repetition


def _in_use(remote: dict[str, Any]) -> bool:
    return remote.get("active") is not False and remote.get("status") not in OVER


@dataclass(frozen=True)
class Resource:
    """One row of the registry. The source of each fact is the type's page in Stripe's API reference."""

    kind: str  # Stripe's `object`
    path: str  # /v1/…, or under its owner: /v1/customers/{customer}/tax_ids; "": no GET reads it by id
    undo: tuple[Undo, ...]  # tried in this order; empty: it cannot be undone, so an operator decides
    mirrored: bool = False  # a mirrored type: only copied; never created by us, and changed only if it has `types`
    event_prefixes: tuple[str, ...] = ()  # of its event types, up to the last dot; the first creates. Default: its kind
    deletable: bool = False  # DELETE exists, and we offer it
    removable: bool = False  # of a mirrored type: DELETE exists
    deleted_while: Callable[[dict[str, Any]], bool] = lambda remote: True  # DELETE accepts an object in this state
    accepts_custom_id: bool = False  # the caller may choose the id
    has_created_event: bool = True  # Stripe sends a created event for this type
    readable_after_delete: bool = False  # after its `.deleted` event it can still be read
    listable: bool = True  # Stripe has a list of all its objects
    list_params: tuple[Mapping[str, str], ...] = ({},)  # query parameters, one list each, that together show all
    parts: Mapping[str, str] = field(default_factory=dict)  # nested list of which it shows the first ten → its path
    unlisted: str = ""  # which objects no list shows, in words
    leaves_out: Callable[[dict[str, Any]], bool] = lambda remote: False  # whether an object may be one of those
    # By verb, the name of its parameters' type if it is not `<Name><Verb>Params`, or a TypedDict of ours, or both.
    types: Mapping[str, Any] = field(default_factory=dict)
    # Parameters of an update that no field shows, each with whether an object shows that the update took effect.
    shown_if: Mapping[str, Callable[[dict[str, Any], Any], bool]] = field(default_factory=dict)
    expand: tuple[str, ...] = ()  # fields that Stripe shows only on request; we always request them
    created_filter: bool = True  # that list takes `created`
    moves_money_if: Callable[[str, dict[str, Any]], bool] = lambda verb, sent: False  # verb, parameters
    actions: Mapping[str, Action] = field(default_factory=dict)
    correlation_field: str = ""  # holds our correlation id, where no created event names our key
    undo_blockers: tuple[str, ...] = ()  # lists that forbid an automatic undo of their owner unless empty
    usable_if: Callable[[dict[str, Any]], bool] = _in_use  # whether a buyer could still use it
    sought: tuple[str, ...] = ()  # fields of its snapshot by which its dependents find it
    notices: tuple[str, ...] = ()  # what hooks can subscribe to besides its statuses: order.paid

    def __post_init__(self) -> None:
        if not self.event_prefixes:
            object.__setattr__(self, "event_prefixes", (self.kind,))

    def takes(self, verb: str) -> Table:
        """Return the parameters of a verb, ours included: see `models/params/`."""
        if verb not in self._tables:
            parts = [] if self.mirrored and verb not in self.types else self.types_of(verb)
            self._tables[verb] = together(map(table, parts))
        return self._tables[verb]

    @property
    def changeable(self) -> bool:
        """Whether we change its objects: those that we create, and those of a mirrored type that has parameters."""
        return not self.mirrored or bool(self.types)

    @cached_property
    def _tables(self) -> dict[str, Table]:
        return {}

    def types_of(self, verb: str) -> list[type]:
        """Return the TypedDicts of a verb's parameters; none if Stripe has no such call, or takes nothing with it."""
        given = self.types.get(verb, f"{camel(self.kind)}{camel(verb)}Params")
        parts = given if isinstance(given, tuple) else (given,)
        found = (call(part) if isinstance(part, str) else part for part in parts)
        return [part for part in found if part is not None]

    def moves_money(self, verb: str, params: dict[str, Any]) -> bool:
        """Whether an operation moves money."""
        action = self.actions.get(verb)
        return (action is not None and action.moves_money) or self.moves_money_if(verb, params)

    def is_usable(self, remote: dict[str, Any]) -> bool:
        """Whether an object can still be used: it is not archived, canceled or deleted."""
        return not is_deleted(remote) and self.usable_if(remote)

    def lasts(self, remote: dict[str, Any]) -> bool:
        """Whether Stripe never deletes an object in this state, so that a 404 proves no deletion."""
        return not ((self.deletable or self.removable) and self.deleted_while(remote))

    @property
    def created_event(self) -> str:
        """The only type of event that may link a document by its key."""
        return f"{self.event_prefixes[0]}.created"

    @property
    def events_only(self) -> bool:
        """Whether Stripe shows it in events only, so that it cannot be refreshed."""
        return self.mirrored and not self.path

    def deletes(self, event_type: str) -> bool:
        """Whether this type of event proves that the object is deleted."""
        return not self.readable_after_delete and event_type in [f"{prefix}.deleted" for prefix in self.event_prefixes]

    @property
    def instead_of_delete(self) -> str:
        """What to do with an object that Stripe cannot delete."""
        if self.mirrored and not self.actions:
            return "This type is only mirrored from Stripe."
        if Undo.ARCHIVE in self.undo:
            return 'Stripe cannot delete this type: archive it with PATCH {"active": false}.'
        actions = ", ".join(self.actions)
        return "Stripe cannot delete this type" + (f": its actions are {actions}." if actions else ".")

    def notice_of(self, status: str) -> str:
        """The name of the notice that a document has become active, rolled_back or deleted."""
        return f"{self.kind}.{status}"

    @cached_property
    def owners(self) -> tuple[str, ...]:
        """The fields that name the owner in the path of a type that is created under one."""
        return tuple(re.findall(r"{(\w+)}", self.path))

    def creation(self, params: dict[str, Any]) -> Call:
        """Return the call that creates an object: what names its owner is in the path, and no parameter."""
        named = {name: quote(params[name], safe="") for name in self.owners}
        return Call(self.path.format_map(named), {name: params[name] for name in params if name not in named})

    def sent(self, operation: Operation) -> dict[str, Any]:
        """Return the parameters of a creation as they were given, with what its path names."""
        pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(self.path)) if self.owners else ""
        found = re.fullmatch(pattern, operation.path) if pattern else None
        named = {name: unquote(value) for name, value in (found.groupdict() if found else {}).items()}
        return {**named, **operation.params}

    def object_path(self, stripe_id: str, document: Linked | None = None) -> str:
        """Return the path of one object, with its id quoted: a caller may have chosen one with a slash.

        What is read under its owner needs the `document` that names the owner.
        """
        shown = (document.stripe if document is not None else None) or {}
        named = {name: quote(sure(shown.get(name) or getattr(document, name)), safe="") for name in self.owners}
        return f"{self.path.format_map(named)}/{quote(stripe_id, safe='')}"

    def read_path(self, remote: dict[str, Any]) -> str | None:
        """Return the path of the GET that reads an object, under the owner that it names; None if there is none."""
        names = {name: quote(value, safe="") for name, value in remote.items() if is_id(value)}
        for path in self.path.split():
            with suppress(KeyError):
                return f"{path.format_map(names)}/{names['id']}"
        return None


def camel(name: str) -> str:
    """Return a kind or a verb as it is in the names of stripe-python's types: checkout.session, checkout.Session."""
    outer, dot, last = name.rpartition(".")
    return f"{outer}{dot}{''.join(word.title() for word in last.split('_'))}"


class Registered(Protocol):
    """The part of a model that the registry needs."""

    resource: ClassVar[Resource]


KINDS: dict[str, type[Registered]] = {}  # filled as the model files are imported; see `models/base/registry.py`


def register(model: type[Registered]) -> None:
    """Make `model` the model of its kind. A mirrored one gives way to a file, whichever is imported first."""
    kind, holder = model.resource.kind, KINDS.get(model.resource.kind)
    if holder is not None and model.resource.mirrored:
        return
    if holder is not None and not holder.resource.mirrored:
        raise Impossible(f"there are two models for {kind}")
    KINDS.pop(kind, None)
    KINDS[kind] = model


def shortened(remote: dict[str, Any]) -> dict[str, str]:
    """Return the paths of the nested lists of which an object shows only the beginning, by name.

    The paths are ours, never the `url` that the object shows: the sender of an event must not choose what we read.
    """
    model = KINDS.get(str(remote.get("object")))
    if model is None or not model.resource.parts:
        return {}
    return {
        name: path.format(id=quote(str(remote.get("id")), safe=""))
        for name, path in model.resource.parts.items()
        if isinstance(remote.get(name), dict) and _has_more(remote[name])
    }


def _has_more(listed: dict[str, Any]) -> bool:
    return bool(listed.get("has_more")) or (listed.get("total_count") or 0) > len(listed.get("data") or ())


def expansions(path: str) -> list[str]:
    """Return the `expand` of a request to this path, for the fields that Stripe shows only on request."""
    for model in KINDS.values():
        if (resource := model.resource).expand and f"{path}/".startswith(f"{resource.path}/"):
            return [name if path != resource.path else f"data.{name}" for name in resource.expand]
    return []


def is_deleted(remote: dict[str, Any]) -> bool:
    """Whether this is the stub that Stripe shows of a deleted object."""
    return remote.get("deleted") is True
