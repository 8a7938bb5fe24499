"""What the decisions read (`models/base/decision.py`): the facts of a document, and observations of its object."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any

from stripe_mongo_sync.models.base.resource import Resource
from stripe_mongo_sync.models.rows.clock import from_now
from stripe_mongo_sync.models.rows.content import Sight, digest, sight
from stripe_mongo_sync.models.rows.scrub import scrub
from stripe_mongo_sync.models.rows.sure import sure

KEY_REPLAY_WINDOW = timedelta(hours=23)  # Stripe may forget a key after 24 h: a replay would then create another object
MONEY_REPLAY_WINDOW = timedelta(minutes=15)  # a payment that is made later would surprise its buyer
MAX_EVENT_DISTANCE = timedelta(minutes=5)  # between two 404s that prove an object deleted: one run
IN_FLIGHT_LIMIT = timedelta(minutes=15)  # far longer than a request of ours can be in flight


class Status(StrEnum):
    """The status of a document."""

    PENDING = "pending"  # written here; Stripe may or may not have it
    ACTIVE = "active"  # linked: `stripe_id` is known
    ROLLED_BACK = "rolled_back"  # a tombstone: its key still identifies an object that Stripe creates late
    DELETED = "deleted"  # deleted at Stripe


@dataclass(frozen=True, slots=True)
class Facts:
    """What the decisions read of a document, at a time of MongoDB's."""

    now: datetime
    status: str
    stripe_id: str | None = None
    snapshot: Mapping[str, Any] | None = None
    digest: str | None = None
    snapshot_earliest: int | None = None
    snapshot_latest: int | None = None
    confirmed_at: datetime | None = None
    orphans: Collection[str] = ()
    undone_orphans: Collection[str] = ()
    undoing: str | None = None  # the orphan whose undo may be in flight
    missing_since: datetime | None = None
    leased_until: datetime | None = None
    due_at: datetime | None = None
    due_reason: str | None = None
    review_reason: str | None = None
    erased: bool = False
    verb: str | None = None  # of the pending operation, as are the four below
    key: str | None = None
    staged_at: datetime | None = None
    saved_error_at: datetime | None = None
    moves_money: bool = False
    other_installation: bool = False  # another installation staged what is to be done, so that this database is a clone
    on_request: Collection[str] = ()  # fields that Stripe shows only on request
    chosen_id: bool = False  # a caller may have chosen its id, which another object may have after a deletion

    @property
    def is_current(self) -> bool:
        """Whether it is pending or active."""
        return self.status in (Status.PENDING, Status.ACTIVE)

    def has(self, stripe_id: str) -> bool:
        """Whether an object is this document's own. Its snapshot counts, too: were the id edited by hand, the object
        would become an orphan, which would be undone.
        """
        return stripe_id in (self.stripe_id, (self.snapshot or {}).get("id"))

    def is_as(self, seen: "Observation") -> bool:
        """Whether it has the content of an observation; if it is erased, what may stay of that content."""
        digest = seen.scrubbed_digest if self.erased else seen.digest
        shown, stored = seen.remote or {}, self.snapshot or {}
        lacks = any(name in shown and name not in stored for name in self.on_request)
        return digest is not None and self.digest == digest and not lacks

    def age_of(self, seen: "Observation") -> int:
        """Return how many seconds after its own object the observed one was created, which has the same id: not 0 for
        another object. Stripe never changes when an object was created, and never uses an id of its own again.
        """
        own, other = (self.snapshot or {}).get("created"), (seen.remote or {}).get("created")
        if not (self.chosen_id and isinstance(own, int) and isinstance(other, int)) or own == other:
            return 0
        return other - own if self._is_unedited() else 0

    def may_be_of_another(self, seen: "Observation") -> bool:
        """Whether an event may show the object that had the chosen id before: nothing was seen yet of its own."""
        return seen.event and self.chosen_id and self.snapshot is None

    def _is_unedited(self) -> bool:
        """Whether its snapshot is as it was stored: one that was edited in MongoDB proves nothing."""
        try:
            return digest(dict(self.snapshot or {})) == self.digest
        except (TypeError, ValueError, RecursionError):
            return False

    @property
    def missed(self) -> bool:
        """Whether the object was not found at least one run ago, and has not been seen since."""
        return self.missing_since is not None and self.now - self.missing_since >= MAX_EVENT_DISTANCE

    @property
    def replayable(self) -> bool:
        """Whether a resend with the same key is safe and can still change something."""
        return self.saved_error_at is None and self.now - sure(self.staged_at) < self._window

    @property
    def nothing_in_flight(self) -> bool:
        """Whether no request with this key can still be in flight."""
        ended = self.saved_error_at or sure(self.staged_at) + self._window
        return self.now - ended >= IN_FLIGHT_LIMIT

    @property
    def _window(self) -> timedelta:
        return MONEY_REPLAY_WINDOW if self.moves_money else KEY_REPLAY_WINDOW


def facts_of(resource: Resource, row: Any, now: datetime, installation: str | None = None) -> Facts:
    """Return the facts of a document, or of its row as it is stored, at a time of MongoDB's.

    `installation` is this database's.
    """
    get = _reads(row)
    operation, undoing = get("operation"), get("undoing")
    of = _reads(operation)
    key = of("key") if operation else get("creation_key") if get("orphans") else None
    return Facts(
        now=now,
        status=get("status"),
        stripe_id=get("stripe_id"),
        snapshot=get("stripe"),
        digest=get("digest"),
        snapshot_earliest=get("snapshot_earliest"),
        snapshot_latest=get("snapshot_latest"),
        confirmed_at=get("confirmed_at"),
        orphans=get("orphans") or (),
        undone_orphans=get("undone_orphans") or (),
        undoing=_reads(undoing)("orphan"),
        missing_since=get("missing_since"),
        leased_until=get("leased_until"),
        due_at=get("due_at"),
        due_reason=get("due_reason"),
        review_reason=get("review_reason"),
        erased=get("erased_at") is not None,
        verb=of("verb"),
        key=of("key"),
        staged_at=of("staged_at"),
        saved_error_at=of("saved_error_at"),
        moves_money=bool(operation) and resource.moves_money(of("verb"), of("params") or {}),
        other_installation=key is not None and installation is not None and key.split(":")[1:2] != [installation],
        on_request=resource.expand,
        chosen_id=resource.accepts_custom_id,
    )


def _reads(row: Any) -> Callable[[str], Any]:
    """Return the function that reads a field of a document, of a stored row, or of nothing."""
    return row.get if isinstance(row, dict) else lambda name: getattr(row, name, None)


@dataclass(frozen=True)
class Observation:
    """What one event, reply or list page shows of one object.

    `earliest` and `latest` bound, in Stripe's seconds, when the object looked like this: an event names its second, a
    reply is only known to lie between sending and receiving.
    """

    source: str  # which call or event showed it: "webhook evt_…", "reply", "reconcile"
    stripe_id: str
    # None: it shows no content (a replayed reply); if deleted, the last content
    remote: dict[str, Any] | None = field(repr=False)
    fields: dict[str, Any] = field(repr=False)  # the document's fields with the values that Stripe shows
    earliest: int
    latest: int
    event: bool = False  # an event or a list showed it, not the reply to an operation
    unshown: tuple[str, ...] = ()  # fields that this one cannot show: they stay as stored
    # No GET reads it: of two contents of the same second, the one with the greater digest stays.
    events_only: bool = False
    deleted: bool = False  # the object is deleted
    completed_key: str | None = None  # the key of the operation that this proves complete
    lease: datetime | None = None  # under which the request was sent that it replies to
    # a failure beside the object: a card was declined
    problem: dict[str, Any] | None = field(default=None, repr=False)
    read: Sight | None = field(default=None, repr=False, compare=False)  # what `remote` tells, if it was read already

    @cached_property
    def _content(self) -> Sight | None:
        return self.read or (sight(self.remote) if self.remote is not None else None)

    @property
    def digest(self) -> str | None:
        """Return the digest of the content, or None if it shows none."""
        return self._content.digest if self._content is not None and not self.deleted else None

    @cached_property
    def scrubbed_digest(self) -> str | None:
        """Return the digest of the content that may stay on an erased document, or None if it shows none."""
        return digest(scrub(self.remote)) if self.remote is not None and not self.deleted else None

    @property
    def links_seen_at(self) -> datetime | None:
        """Return when Stripe rendered its links; None if it has none."""
        linked = self._content is not None and self._content.has_links
        return datetime.fromtimestamp(max(self.earliest, 0), UTC) if linked else None

    @property
    def error(self) -> dict[str, Any] | None:
        """Return the failure for the document, with the key of the operation that failed; None if there is none."""
        return self.problem and {**self.problem, "key": self.completed_key}

    def first_snapshot(self) -> dict[str, Any]:
        """Return the snapshot fields of a document that had none."""
        return {
            **self.fields,
            "stripe": self.remote,
            "digest": self.digest,
            "links_seen_at": self.links_seen_at,
            "snapshot_earliest": self.earliest,
            "snapshot_latest": self.latest,
            "confirmed_at": from_now() if self.event else None,
        }
