"""Find: which key created an object, and which object a key created. The inbox is asked first, then Stripe.

What reconcile read of Stripe's events is in the inbox, so that the key of an object which no list shows any more is
there. The event of an object that Stripe completed after a 500 may carry none, so the list is read, too, and of what
the inbox does not know in it, the creation events. Only a completely read list proves absence, never Stripe's Search.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from stripe_mongo_sync.models import Event, SyncedDocument
from stripe_mongo_sync.models.base.decision import RemoteState
from stripe_mongo_sync.models.base.facts import IN_FLIGHT_LIMIT
from stripe_mongo_sync.models.event import OTHER_INSTALLATION, EventState
from stripe_mongo_sync.models.event_body import NO_KEY, request_key
from stripe_mongo_sync.models.rows.keys import IdempotencyKey
from stripe_mongo_sync.models.rows.sure import sure
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.engine.admission import why_not_ours
from stripe_mongo_sync.sync.engine.refresh import carries_correlation_id, resembles
from stripe_mongo_sync.sync.errors import CannotReadStripe
from stripe_mongo_sync.sync.stripe.answers import Reply
from stripe_mongo_sync.sync.stripe.dashboard import page_of
from stripe_mongo_sync.sync.stripe.listing import EVENT_RETENTION, LAG, created_second, list_pages, made_at

Json = dict[str, Any]
Model = type[SyncedDocument]
CLOCK_SKEW = timedelta(minutes=5)  # how far our clock and Stripe's may differ
CACHE_SECONDS = 60.0  # s for which one run reuses a list
MAX_EVENT_DISTANCE = 60  # s between an object's creation and its creation event, at most


@dataclass(frozen=True, slots=True)
class Creation:
    """What an event says of the creation of an object."""

    event: str
    at: int
    key: str | None  # of the call that created it
    created_second: int | None = None  # as the object showed it
    kept: bool = False  # whether the inbox has it

    @property
    def maker(self) -> IdempotencyKey | None:
        """The key, if it is one of ours, of whatever installation."""
        return IdempotencyKey.parse(self.key)

    @property
    def is_theirs(self) -> bool:
        """Whether another installation created the object."""
        return self.maker is not None and self.maker.installation != current().installation

    def keep(self, model: Model, stripe_id: str) -> None:
        """Store that another installation created the object, as if this event had come: it is known for ever."""
        told = {"id": self.event, "object": "event", "type": model.resource.created_event, "created": self.at}
        whose = {"livemode": current().settings.livemode, "request": {"idempotency_key": self.key}}
        shown = {"id": stripe_id, "object": model.resource.kind}
        event = {**told, **whose, "data": {"object": shown}}
        new = Event.record(event, b"", EventState.IGNORED, OTHER_INSTALLATION, notify_hooks=False)
        if not new and (row := Event.objects(id=self.event).first()) is not None:  # of a version that did not say it
            row.disown(event, OTHER_INSTALLATION)


NOBODY = Creation("", 0, None)


def known_creations(model: Model, remotes: Sequence[Json], seen_at: int) -> dict[str, Creation]:
    """Return what the inbox knows of the creation of these objects, which existed at the second `seen_at`.

    A chosen id may have been another object's before, whose creation was another.
    """
    by_id: dict[str, Creation] = {}
    made = {remote["id"]: made_at(remote, seen_at) for remote in remotes}
    told = Event.own_rows().find({"object_id": {"$in": [*made]}, "creation_key": {"$gte": NO_KEY}}, {"raw": 0})
    for row in told.sort("created") if made else ():
        id, at, second = row["object_id"], row["created"], made[row["object_id"]]
        if row["type"].rpartition(".")[0] not in model.resource.event_prefixes:
            continue  # another type's object has the same id
        if model.resource.accepts_custom_id and not (
            at <= seen_at if second is None else abs(at - second) <= MAX_EVENT_DISTANCE
        ):
            continue
        by_id[id] = Creation(row["_id"], at, row["creation_key"], kept=True)
    return by_id


class Creations:
    """Who created the objects of one kind, as the inbox and Stripe's creation events tell it.

    Stripe lists the events newest first, and they are read only as far back as somebody asks. A reader of the list of
    objects, which has the same order, so needs only the keys of about one page in memory.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._pages: Iterator[Reply] | None = None
        self._down_to: float = float("inf")  # the events are read from now down to this second of Stripe's
        self._read: dict[str, Creation] = {}  # by the object

    def of(self, remotes: Sequence[Json], seen_at: int) -> dict[str, Creation]:
        """Return the creations of those of these objects of which an event tells it. Raises CannotReadStripe.

        Of what is older than Stripe's list of events, only the inbox can know it.
        """
        if self._model.resource.mirrored:
            return {}
        known = known_creations(self._model, remotes, seen_at)
        return known | self._at_stripe([remote for remote in remotes if remote["id"] not in known], seen_at)

    def _at_stripe(self, remotes: list[Json], seen_at: int) -> dict[str, Creation]:
        horizon = seen_at - int(EVENT_RETENTION.total_seconds())
        made_when = [made_at(remote, seen_at) for remote in remotes]
        seconds = [horizon if made is None else made for made in made_when]
        if max(seconds, default=0) < horizon:
            return {}
        newest = seen_at + LAG if None in made_when else max(seconds) + MAX_EVENT_DISTANCE
        wanted = {remote["id"] for remote in remotes}
        self._read_down_to(max(min(seconds), horizon) - MAX_EVENT_DISTANCE, horizon, newest, wanted)
        self._read = {id: made for id, made in self._read.items() if made.at <= newest}
        found = [(remote, self._read.get(remote["id"])) for remote in remotes]
        # A chosen id may have been another object's before.
        return {remote["id"]: made for remote, made in found if made and made.created_second == created_second(remote)}

    def _read_down_to(self, second: int, horizon: int, newest: int, wanted: set[str]) -> None:
        """Read the events of that second and of what came later, or until all that are `wanted` are found."""
        if not self._model.resource.has_created_event:
            return
        pages, self._pages = self._pages, None  # what cannot be read to its end is read again from its beginning
        if pages is None:
            window = {"gte": max(0, horizon - MAX_EVENT_DISTANCE), "lte": newest}
            types = [self._model.resource.created_event]
            pages, self._down_to = current().gateway.pages("/v1/events", types=types, created=window), float("inf")
        while self._down_to >= second and not wanted <= self._read.keys():
            page = next(pages, None)
            if page is None:
                self._down_to = float("-inf")
                break
            for event in page.remote["data"]:
                self._down_to = event["created"]
                if why_not_ours(event, quick=False) is None:
                    remote = event["data"]["object"]
                    made = Creation(event["id"], event["created"], request_key(event), created_second(remote))
                    self._read.setdefault(remote["id"], made)
        self._pages = pages


def may_be(document: SyncedDocument, stripe_id: str) -> str:
    """Return the reason for the review of a document whose object this may be, or somebody else's."""
    told = f"{stripe_id} has the same fields, and no event shows its creation key, so it may be this document's object"
    return f"{told} or another's. {page(document, stripe_id)}. {link_or_give_up(document, stripe_id)}"


def page(document: SyncedDocument, stripe_id: str) -> str:
    """Return where the Dashboard shows an object of this document's kind."""
    return page_of(document.resource.kind, stripe_id, livemode=current().settings.livemode)


def link_or_give_up(document: SyncedDocument, stripe_id: str | None = None) -> str:
    """Return how an operator decides about a creation of which nobody knows whether Stripe did it."""
    if stripe_id is None:
        start, found = "search the Dashboard for its object. If it is there", "<its id>"
    else:
        start, found = "If it is this document's", stripe_id
    link, give_up = f"`operations link {document.id} {found}`", f"`operations roll-back {document.id}`"
    return f"{start}: {link}; if not: {give_up}"


@dataclass
class Listed:
    """The objects of one kind that Stripe lists since a second: which key made which, and those that no key made."""

    since: int
    read_at: float
    by_key: dict[str, str] = field(default_factory=dict)
    keyless: list[Json] = field(default_factory=list)  # they are few


@dataclass
class Finder:
    """The searches of one run: documents in doubt share the lists that were read."""

    _lists: dict[str, Listed] = field(default_factory=dict)

    def find(self, document: SyncedDocument, now: datetime) -> tuple[RemoteState, str | None]:
        """Return a pending creation's remote state, with its object's id or a reason for review.

        Raises CannotReadStripe.
        """
        operation, model = sure(document.operation), type(document)
        told = Event.objects(creation_key=operation.key, type=model.resource.created_event).first()
        if told is not None and told.object_id is not None:
            return RemoteState.PRESENT, told.object_id
        if now - operation.staged_at > EVENT_RETENTION:
            told = "its creation is older than Stripe's event list, so absence cannot be proved"
            return RemoteState.CANDIDATE, f"{told}: {link_or_give_up(document)}"
        listed = self._listed_for(document, now)
        if operation.key in listed.by_key:
            return RemoteState.PRESENT, listed.by_key[operation.key]
        for remote in self._alike(document, listed, now):
            if carries_correlation_id(document, remote):
                return RemoteState.PRESENT, remote["id"]
            created = made_at(remote, now.timestamp())
            if document.resource.has_created_event and created is not None and now.timestamp() - created < LAG:
                raise CannotReadStripe(
                    f"{remote['id']} is less than {LAG} s old: its creation event may not be listed yet; the next "
                    "run decides"
                )
            return RemoteState.CANDIDATE, may_be(document, remote["id"])
        return RemoteState.NEVER_CREATED, None

    def candidates(self, document: SyncedDocument, now: datetime) -> list[str]:
        """Return the ids of all objects that may be the object of a creation, of which `find` names the first.

        Raises CannotReadStripe.
        """
        key = sure(document.operation).key
        told = Event.objects(creation_key=key, type=document.resource.created_event).first()
        waiting = Event.objects(waits_for=document.id, state__in=[EventState.WAITING, EventState.DEAD])
        found = [told.object_id if told is not None else None, *(event.object_id for event in waiting)]
        if now - sure(document.operation).staged_at <= EVENT_RETENTION:
            listed = self._listed_for(document, now)
            found += [listed.by_key.get(key), *(remote["id"] for remote in self._alike(document, listed, now))]
        return list(dict.fromkeys(filter(None, found)))

    def _alike(self, document: SyncedDocument, listed: "Listed", now: datetime) -> Iterator[Json]:
        """Yield the listed objects without a key and without a document that this operation may have created."""
        operation, model = sure(document.operation), type(document)
        # After a 5xx Stripe may finish the object at any time.
        sent_last = document.claimed_at if document.leased_until else document.updated_at
        end = None if operation.saved_error_at else (sent_last + IN_FLIGHT_LIMIT).timestamp()
        start = int((operation.staged_at - CLOCK_SKEW).timestamp())
        for remote in listed.keyless:
            created = made_at(remote, now.timestamp())
            in_time = created is None or (start <= created and (end is None or created <= end))
            if in_time and model.by_stripe_id(remote["id"]) is None and resembles(document, remote):
                yield remote

    def _listed_for(self, document: SyncedDocument, now: datetime) -> "Listed":
        operation = sure(document.operation)
        start = int((operation.staged_at - CLOCK_SKEW).timestamp())
        return self._listed(type(document), operation.path, start, int(now.timestamp()))

    def _listed(self, model: Model, path: str, start: int, now: int) -> Listed:
        """Return what the list shows in which the object would be: a creation's path is that of its list, too."""
        known = self._lists.get(path)
        if known is not None and known.since <= start and time.monotonic() - known.read_at <= CACHE_SECONDS:
            return known
        listed, creations = Listed(start, time.monotonic()), Creations(model)
        has_list = model.resource.listable or model.resource.owners  # with archived ones, too
        pages = list_pages(current().gateway, model, start, path=path) if has_list else ()
        for page, _ in pages:
            made = creations.of(page.remote["data"], now)
            listed.by_key |= {one.key: id for id, one in made.items() if one.key}
            listed.keyless += [remote for remote in page.remote["data"] if not made.get(remote["id"], NOBODY).key]
        self._lists[path] = listed
        return listed
