"""Merge: the one transition that brings an observation of a Stripe object into a document, in any status.

Webhooks, API replies and reconcile may come in any order, twice, or at the same time. Each describes what it saw as an
`Observation`; the pipeline below decides inside MongoDB, in one atomic update, how the document changes. Read the cases
of `merge_pipeline` from the top: the first whose condition holds is taken. What depends on the observation alone is
decided here in Python, because MongoDB parses the whole pipeline at every update.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from stripe_mongo_sync.models.base.notice import append_notices
from stripe_mongo_sync.models.rows.clock import from_now, literal
from stripe_mongo_sync.models.rows.content import digest, has_links
from stripe_mongo_sync.models.rows.scrub import scrub, scrub_row

ROOT = "$$ROOT"


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
    # a failure beside the object: a card was declined
    problem: dict[str, Any] | None = field(default=None, repr=False)

    @cached_property
    def digest(self) -> str | None:
        """Return the digest of the content, or None if it shows none."""
        return digest(self.remote) if self.remote is not None and not self.deleted else None

    @cached_property
    def scrubbed_digest(self) -> str | None:
        """Return the digest of the content that may stay on an erased document, or None if it shows none."""
        return digest(scrub(self.remote)) if self.remote is not None and not self.deleted else None

    @property
    def links_seen_at(self) -> datetime | None:
        """Return when Stripe rendered its links; None if it has none."""
        return datetime.fromtimestamp(max(self.earliest, 0), UTC) if has_links(self.remote) else None

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
            "seen_at": self.earliest,
            "doubt_until": self.latest,
            "confirmed_at": from_now() if self.event else None,
        }


def merge_pipeline(evidence: Observation, lease: timedelta, notice_of: Callable[[str], str]) -> list[dict[str, Any]]:
    """Return the pipeline that merges `evidence` into a document and appends the notice of a new status."""
    confirmed = {"confirmed_at": {"$ifNull": ["$confirmed_at", from_now()]}} if evidence.event else {}
    times = {
        "seen_at": {"$max": ["$seen_at", evidence.earliest]},
        "doubt_until": {"$max": ["$doubt_until", evidence.latest]},
    }
    unshown = {name: f"$stripe.{name}" for name in evidence.unshown}
    content = {
        "stripe": {"$mergeObjects": [unshown, literal(evidence.remote)]} if unshown else literal(evidence.remote),
        "digest": evidence.digest,
        "links_seen_at": literal(evidence.links_seen_at),
    }
    snapshot = {name: literal(value) for name, value in evidence.fields.items()} | content | times
    # By either: after an edit of the id by hand the object must not become an orphan, which would be undone.
    mine = {"$in": [literal(evidence.stripe_id), ["$stripe_id", "$stripe.id"]]}
    known_orphan = {"$in": [literal(evidence.stripe_id), {"$concatArrays": ["$orphans", "$undone"]}]}
    ends = {"$eq": ["$operation.key", literal(evidence.completed_key)]} if evidence.completed_key else False
    # Only Stripe's reply to the first attempt is complete; after anything else a refresh follows, and until then the
    # lease keeps the document due.
    authoritative = evidence.remote is not None and not evidence.event
    no_orphans = {"$eq": ["$orphans", []]}
    in_time = {"$gt": ["$lease", from_now()]}  # after the lease anything may have happened: refresh
    done = {"$cond": [{"$and": [no_orphans, in_time]}, None, "$lease"]}
    rest = done if authoritative else {"$ifNull": ["$lease", from_now(lease)]}
    review = {"$cond": [no_orphans, None, "$review"]}  # a review about an orphan stays: this shows nothing of orphans
    erased = {"$gt": ["$erased_at", None]}  # an erased document gets new content only from a refresh, which scrubs it
    error = literal(evidence.error)
    if evidence.error is not None:
        error = {"$cond": [erased, literal(scrub_row({"error": evidence.error}, ())["error"]), error]}
    idle = {"$eq": ["$operation", None]} if authoritative else False  # its reply comes after its event
    ended = {"operation": None, "error": error, "review": review, "lease": rest}
    branches = [{"case": ends, "then": ended}, {"case": idle, "then": {"lease": rest}}]
    work = {"$switch": {"branches": branches, "default": {}}}
    look = {"lease": {"$ifNull": ["$lease", from_now(lease)]}}

    # The object was not found before and is seen now: that ends the review, and a refresh is due.
    missing = {"$gt": ["$missing_since", None]}
    found = {"missing_since": None, "review": None, "lease": {"$ifNull": ["$lease", from_now()]}}
    sighted = {"$cond": [missing, found, {}]}

    def changed(*changes: Any) -> dict[str, Any]:
        return {"$mergeObjects": [ROOT, *changes, {"revision": {"$add": ["$revision", 1]}, "updated_at": from_now()}]}

    linked = {
        **append_notices(notice_of("active")),
        "status": "active",
        "live": True,
        "stripe_id": literal(evidence.stripe_id),
        "operation": None,
        "in_doubt": False,
        "review": None,
        "error": error,
        "lease": rest,
        "moved_by": literal(evidence.source),
    }
    deleted = {
        **append_notices(notice_of("deleted")),
        "status": "deleted",
        "live": False,
        "operation": None,
        "in_doubt": False,
        "missing_since": None,
        "review": review,
        "lease": {"$cond": [no_orphans, None, "$lease"]},
        "moved_by": literal(evidence.source),
    }
    orphaned = {
        "orphans": {"$concatArrays": ["$orphans", [literal(evidence.stripe_id)]]},
        "lease": {"$cond": [{"$eq": ["$review", None]}, {"$ifNull": ["$lease", from_now()]}, None]},
        "settled_at": None,
    }
    undone = {
        "orphans": {"$setDifference": ["$orphans", [literal(evidence.stripe_id)]]},
        "undone": {"$setUnion": ["$undone", [literal(evidence.stripe_id)]]},
        "undoing": {"$cond": [{"$eq": ["$undoing.orphan", literal(evidence.stripe_id)]}, None, "$undoing"]},
        "review": {"$cond": [{"$eq": ["$orphans", [literal(evidence.stripe_id)]]}, None, "$review"]},  # the last one
        "lease": {"$ifNull": ["$lease", from_now()]},
    }
    older = {"$lt": [evidence.latest, "$seen_at"]}
    newer = {"$gt": [evidence.earliest, "$doubt_until"]}
    same = {"$eq": ["$digest", {"$cond": [erased, evidence.scrubbed_digest, evidence.digest]}]}
    pending, over = {"$eq": ["$status", "pending"]}, {"$eq": ["$status", "deleted"]}
    cases: list[tuple[Any, Any]]
    if evidence.deleted:
        cases = [
            ({"$in": [literal(evidence.stripe_id), "$orphans"]}, changed(undone)),
            (pending, changed(linked, deleted)),
            ({"$or": [{"$not": [mine]}, over, older]}, ROOT),
        ]
        # A deletion in the same seconds may be of an earlier object with a chosen id, or of one linked unseen.
        surely = {"$and": [newer, {"$ne": ["$digest", None]}]} if evidence.event else True
        words = {} if evidence.remote is None else {"$cond": [erased, {}, content]}
        cases.append((surely, changed(deleted, confirmed, words)))
    else:
        cases = [
            (known_orphan, ROOT),
            (pending, changed(linked, snapshot, confirmed)),
            ({"$not": [mine]}, changed(orphaned)),
            (over, ROOT),
        ]
        if evidence.event:
            stale = {"$and": [older, {"$not": [ends]}]}
            cases += [({"$and": [stale, {"$ne": ["$confirmed_at", None]}]}, ROOT), (stale, changed(confirmed))]
        if evidence.remote is not None:
            taken = {"$and": [newer, {"$not": [erased]}]}
            # Equal content is stored, too, if it is newer: its links are newer.
            cases += [
                (taken, changed(snapshot, work, confirmed, sighted)),
                (same, changed(work, confirmed, times, sighted)),
            ]
        if evidence.events_only:
            greater = {"$and": [{"$gt": [evidence.digest, "$digest"]}, {"$not": [erased]}]}
            cases += [(greater, changed(snapshot, confirmed)), (True, ROOT)]
    return [
        {
            "$replaceWith": {
                "$switch": {
                    "branches": [{"case": case, "then": then} for case, then in cases],
                    "default": changed(work, confirmed, look, sighted),
                }
            }
        }
    ]
