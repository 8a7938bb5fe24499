"""What the engine must know of a Stripe type, besides its fields: where it lives, how it is undone, what holds it."""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Protocol, TypeGuard
from urllib.parse import quote

from mongoengine import EmbeddedDocument

from stripe_mongo_sync.models.base.embedded import Call
from stripe_mongo_sync.models.rows.sure import Impossible

LONGEST_ID = 255  # characters, Stripe's own limit
# What is in no id: it would end a line or a text in the middle, and half a character can be neither stored nor sent.
UNWRITABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def is_id(given: Any) -> TypeGuard[str]:
    """Whether this can be the id of an object at Stripe: the one rule, at whichever door it comes in.

    Until API 2018-05-21 people could choose any characters for a coupon, a plan, a product or a customer ("20% off"),
    and a payment method may be a `card_…`, so neither characters nor a prefix prove anything. With a part "." or ".."
    it is none: somebody on the way might go up the path by it, however it is quoted.
    """
    return (
        isinstance(given, str)
        and 0 < len(given) <= LONGEST_ID
        and not {".", ".."}.intersection(given.split("/"))
        and not UNWRITABLE.search(given)
    )


OVER = ("canceled", "incomplete_expired", "void", "expired")  # what Stripe says of an object that nobody can use again


class Undo(StrEnum):
    """A way to make an unwanted object unusable: the last part of the path to POST to, but for the first two."""

    DELETE = "delete"  # DELETE it
    ARCHIVE = "archive"  # POST active=false
    CANCEL = "cancel"
    EXPIRE = "expire"
    VOID = "void"
    DETACH = "detach"


class Linked(Protocol):
    """A document, as far as an action asks it what to send."""

    stripe_id: str | None
    stripe: dict[str, Any] | None

    @property
    def path(self) -> str:
        """Where Stripe has its object."""


@dataclass(frozen=True)
class Action:
    """Something that callers may do with an object: `POST <its path>/<name>`, an operation like any other."""

    done: Callable[[dict[str, Any], dict[str, Any]], bool]  # whether an object shows that what was sent was done
    takes: type[EmbeddedDocument] | None = None  # its parameters; `says` tells what they are
    moves_money: bool = False  # whether it moves money
    calls: Callable[[Linked, dict[str, Any]], list[Call]] | None = None  # what it sends, if not just that


def _in_use(remote: dict[str, Any]) -> bool:
    return remote.get("active") is not False and remote.get("status") not in OVER


@dataclass(frozen=True)
class Resource:
    """A row of the registry. Facts are Stripe's API reference, by type."""

    kind: str  # Stripe's `object`
    prefix: str  # of the ids that Stripe gives it now; "" where callers may choose them. It proves nothing: see `is_id`
    path: str  # /v1/…; "" where no id can be read; where it lives under another: /v1/customers/{customer}/tax_ids
    undo: tuple[Undo, ...]  # to be tried in this order; none: what happened cannot be taken back, a person decides
    mirrored: bool = False  # whether it is only copied: nothing of ours is ever told to Stripe about it
    event_prefixes: tuple[str, ...] = ()  # of its event types, up to the last dot; the first creates. Default: its kind
    deletable: bool = False  # whether DELETE exists, and we offer it
    removable: bool = False  # of what is only mirrored: whether DELETE exists
    deleted_while: Callable[[dict[str, Any]], bool] = lambda remote: True  # whether that takes an object in this state
    accepts_custom_id: bool = False  # whether the caller may choose the id
    has_created_event: bool = True  # whether Stripe tells of its creation by an event
    readable_after_delete: bool = False  # whether its `.deleted` event only ends it: it stays, and can be read
    listable: bool = True  # whether Stripe lists all of them
    list_params: tuple[Mapping[str, str], ...] = ({},)  # query parameters, one list each, that together show all
    parts: Mapping[str, str] = field(default_factory=dict)  # lists that it shows the first ten of → where all of it is
    unlisted: str = ""  # what it leaves out whatever it is asked, in words
    leaves_out: Callable[[dict[str, Any]], bool] = lambda remote: False  # whether an object may be such a one
    expand: tuple[str, ...] = ()  # fields that Stripe shows only when asked; of all objects we ask for them
    created_filter: bool = True  # whether that list can be asked for what was created in a window
    moves_money_if: Callable[[str, dict[str, Any]], bool] = lambda verb, sent: False  # verb, parameters
    actions: Mapping[str, Action] = field(default_factory=dict)
    correlation_field: str = ""  # holds our correlation id, where no created event names our key
    undo_blockers: tuple[str, ...] = ()  # lists which, when not empty for this object, forbid an automatic undo
    usable_if: Callable[[dict[str, Any]], bool] = _in_use  # whether somebody could still use an object that is there
    sought: tuple[str, ...] = ()  # fields of its snapshot by which what follows it finds it
    notices: tuple[str, ...] = ()  # what hooks can ask for besides its statuses: order.paid

    def __post_init__(self) -> None:
        if not self.event_prefixes:
            object.__setattr__(self, "event_prefixes", (self.kind,))

    def moves_money(self, verb: str, params: dict[str, Any]) -> bool:
        """Whether an operation moves money."""
        action = self.actions.get(verb)
        return action.moves_money if action else self.moves_money_if(verb, params)

    def is_usable(self, remote: dict[str, Any]) -> bool:
        """Whether an object could still be used by somebody: not archived, canceled or gone."""
        return not is_deleted(remote) and self.usable_if(remote)

    def lasts(self, remote: dict[str, Any]) -> bool:
        """Whether Stripe never deletes an object that was last seen like this: then a 404 is no news, but a riddle."""
        return not ((self.deletable or self.removable) and self.deleted_while(remote))

    @property
    def created_event(self) -> str:
        """The only type of event that may link a document by its key."""
        return f"{self.event_prefixes[0]}.created"

    @property
    def is_composed(self) -> bool:
        """Whether it has no object of its own at Stripe, and follows those of others: an order."""
        return not self.mirrored and not self.path

    @property
    def events_only(self) -> bool:
        """Whether Stripe shows it in events only: nobody can look again."""
        return self.mirrored and not self.path

    def deletes(self, event_type: str) -> bool:
        """Whether this type of event proves that an object is gone."""
        return not self.readable_after_delete and event_type in [f"{prefix}.deleted" for prefix in self.event_prefixes]

    def notice_of(self, status: str) -> str:
        """The name of the notice that a document has become active, rolled_back or deleted."""
        return f"{self.kind}.{status}"

    def object_path(self, stripe_id: str) -> str:
        """The path of one object; a person may have chosen an id that a path would read otherwise."""
        return f"{self.path}/{quote(stripe_id, safe='')}"

    def read_path(self, remote: dict[str, Any]) -> str | None:
        """The path at which an object can be read again: under those that it names. None: Stripe offers no such GET."""
        names = {name: quote(value, safe="") for name, value in remote.items() if is_id(value)}
        for path in self.path.split():
            with suppress(KeyError):
                return f"{path.format_map(names)}/{names['id']}"
        return None


class Registered(Protocol):
    """A model, as far as the registry knows it."""

    resource: ClassVar[Resource]


KINDS: dict[str, type[Registered]] = {}  # filled as the model files are imported; see `models/base/registry.py`


def register(model: type[Registered]) -> None:
    """Make `model` the one of its kind. A mirrored one gives way to a file of its own, whichever is imported first."""
    kind, holder = model.resource.kind, KINDS.get(model.resource.kind)
    if holder is not None and model.resource.mirrored:
        return
    if holder is not None and not holder.resource.mirrored:
        raise Impossible(f"there are two models for {kind}")
    KINDS.pop(kind, None)
    KINDS[kind] = model


def shortened(remote: dict[str, Any]) -> dict[str, str]:
    """Return the lists of which an object shows the beginning only, although we keep all of them, and where they are.

    Never the address that the object itself gives: whoever may send us one must not say what we read.
    """
    model = KINDS.get(str(remote.get("object")))
    return {
        name: path.format(id=quote(str(remote.get("id")), safe=""))
        for name, path in (model.resource.parts if model else {}).items()
        if isinstance(remote.get(name), dict) and _has_more(remote[name])
    }


def _has_more(listed: dict[str, Any]) -> bool:
    return bool(listed.get("has_more")) or (listed.get("total_count") or 0) > len(listed.get("data") or ())


def expansions(path: str) -> list[str]:
    """Return what to ask for at a path of Stripe's, where its objects do not show all by themselves."""
    for model in KINDS.values():
        if (resource := model.resource).expand and f"{path}/".startswith(f"{resource.path}/"):
            return [name if path != resource.path else f"data.{name}" for name in resource.expand]
    return []


def is_deleted(remote: dict[str, Any]) -> bool:
    """Whether this is the stub that Stripe shows of a deleted object."""
    return remote.get("deleted") is True
