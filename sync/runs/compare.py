"""Compares pages of Stripe's list with the documents here: adopts unknown objects, and merges those that differ.

It reads and inserts rows as MongoDB stores them. Only a row that needs more than that becomes a document. An object
that cannot be stored does not hold up the others.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from pymongo.errors import OperationFailure, PyMongoError

from stripe_mongo_sync.models import Event, Status, SyncedDocument
from stripe_mongo_sync.models.base.facts import Observation, facts_of
from stripe_mongo_sync.models.base.resource import shortened
from stripe_mongo_sync.models.event import OTHER_INSTALLATION, EventState
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.claimable import is_away
from stripe_mongo_sync.models.rows.content import content
from stripe_mongo_sync.models.rows.keys import IdempotencyKey
from stripe_mongo_sync.models.rows.sure import sure
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.engine.adopt import ADOPTION_DELAY, adopt_unless_ours, is_candidate
from stripe_mongo_sync.sync.engine.dependents import needed, notify_dependents, notify_dependents_of
from stripe_mongo_sync.sync.engine.find import Creation, Creations
from stripe_mongo_sync.sync.engine.observations import from_page, is_new_incarnation, merge_observation
from stripe_mongo_sync.sync.engine.refresh import refresh
from stripe_mongo_sync.sync.engine.resolve import OnDrift
from stripe_mongo_sync.sync.errors import CannotReadStripe, NoOwner
from stripe_mongo_sync.sync.inbox.inbox import UNSTORABLE, unstorable
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.process.isolation import isolated
from stripe_mongo_sync.sync.runs.back import bring_back
from stripe_mongo_sync.sync.runs.edited import put_right, tell_log
from stripe_mongo_sync.sync.stripe.answers import Reply
from stripe_mongo_sync.sync.stripe.listing import has_id, made_at

Json = dict[str, Any]
# Objects of an older page may be deleted, and the events that told it finished: those wait for ADOPTION_DELAY, by the
# same two clocks, Stripe's seconds and MongoDB's time. So both may differ.
PAGE_MAX_AGE = timedelta(minutes=10)


class Listed(NamedTuple):
    """An object of a page, and what the page shows of it; `seen` is None if that cannot be told."""

    remote: Json
    page: Reply
    seen: Observation | None = None

    @property
    def age(self) -> float:
        """How many seconds old the object was; what does not show when it was created is as old as can be."""
        return self.page.latest - (made_at(self.remote, self.page.latest) or 0)

    def is_old(self, now: datetime) -> bool:
        """Whether the page is old."""
        return now.timestamp() - self.page.latest > PAGE_MAX_AGE.total_seconds()


@dataclass
class Comparison:
    """The comparison of one kind, page after page; with `dry`, nothing is written.

    `counts` has the outcomes: `same`, `drift`, `adopt`, `young` (left to their events), `foreign` (created by another
    installation), `twin` (an orphan), `back` (deleted here, and active again), `deleted` (since the list was read),
    `held` (deleted here but not at Stripe, and in review), `doubt` and `failed`. `report` is called for the last two,
    `on_edit` for a document that was edited by hand, which counts as `drift`, and `on_drift` for each that does.
    """

    model: type[SyncedDocument]
    dry: bool = False
    report: Callable[[str, str], None] = lambda id, why: None
    on_edit: Callable[[str, Any, list[str]], None] = tell_log
    on_drift: OnDrift = lambda *drift: None
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._creations = Creations(self.model)

    def read(self, page: Reply) -> list[Listed]:
        """Return the objects of a page, and what it shows of them. This reads nothing of MongoDB's, and so may be done
        in a thread, while other pages are compared. Raises CannotReadStripe.
        """
        return [self._listed(remote, page) for remote in page.remote["data"]]

    def compare(self, read: Iterable[Listed]) -> list[str]:
        """Compare the objects of one page or of several, and return their ids. Raises CannotReadStripe."""
        listed: dict[str, Listed] = {}
        for one in read:
            if has_id(one.remote):
                listed[one.remote["id"]] = one
            else:
                log.error("%s: an object without an id is listed", self.model.resource.kind)
                self.counts["failed"] += 1
                self.report("an object without an id", "this is no object with an id")
        if not (ids := list(listed)):
            return []
        rows = self._rows(ids)
        unknown = {id: one for id, one in listed.items() if self._is_new(rows.get(id), one.remote)}
        self._unknown([*unknown.values()], rows.keys())  # first, while the pages are fresh: else it costs GETs
        for id, row in rows.items():
            if id not in unknown:
                with self._isolated(listed[id].remote):
                    self._known(row, listed[id])
        return ids

    def _listed(self, remote: Any, page: Reply) -> Listed:
        if not has_id(remote):
            return Listed(remote, page)
        whole, seen = self._whole(remote, page), None
        with suppress(Exception):  # the comparison finds out why, and reports it
            seen = from_page(self.model, whole, page)
        return Listed(whole, page, seen)

    def _whole(self, remote: Json, page: Reply) -> Json:
        """Return an object with its lists read to their ends, unless it was deleted meanwhile."""
        if not shortened(remote):
            return remote
        try:
            return current().gateway.read_on(replace(page, remote=remote)).remote
        except NoOwner:
            return remote

    # --- what has a document ---

    def _rows(self, ids: list[str]) -> dict[str, Json]:
        """Return the rows of these objects, the current one where there are several."""
        found = self.model.stored_rows().find({"stripe_id": {"$in": ids}})
        return {row["stripe_id"]: row for row in sorted(found, key=lambda row: bool(row.get("is_current")))}

    def _is_new(self, row: Json | None, remote: Json) -> bool:
        deleted = row is not None and row.get("status") == Status.DELETED
        return row is None or (deleted and is_new_incarnation(self.model.of_row(row), remote))

    def _known(self, row: Json, one: Listed) -> None:
        kind, remote = self.model.resource.kind, one.remote
        evidence = one.seen or from_page(self.model, remote, one.page)
        if fields := self.model.edited(row):
            self.counts["drift"] += 1
            self.on_edit(kind, row["_id"], fields)
            self.on_drift(kind, row["_id"], row.get("stripe"), remote, fields)
            if not self.dry:
                put_right(self.model.of_row(row), fields, evidence)
            return
        if row["status"] == Status.DELETED:
            self.counts[bring_back(self.model.of_row(row), dry=self.dry)] += 1
            return
        facts = facts_of(self.model.resource, row, row["updated_at"])
        same = facts.is_as(evidence)
        self.counts["same" if same else "drift"] += 1
        if not same:
            self.on_drift(kind, row["_id"], facts.snapshot, remote, None)
            log.info("%s %s differs from %s: %s", kind, row["_id"], remote["id"], drift(facts.snapshot, remote))
        known = same and facts.confirmed_at is not None and facts.missing_since is None
        if self.dry or known:
            return
        merged = merge_observation(self.model, {"_id": row["_id"]}, evidence)
        if merged is not None and merged.is_current and not merged.is_as(evidence):
            merged = refresh(merged)  # also where the snapshot passes for younger: Stripe's Date may have been wrong
        if merged is not None:
            notify_dependents(merged)

    # --- what has none ---

    def _unknown(self, listed: list[Listed], known: Iterable[str]) -> None:
        kind, mirrored = self.model.resource.kind, self.model.resource.mirrored
        if not (current().settings.adopt or mirrored):  # but for what something here follows
            ids = needed(kind, [one.remote for one in listed])
            listed = [one for one in listed if one.remote["id"] in ids]
        if not listed:
            return
        orphans, doubt = self.model.rivals({one.remote["id"] for one in listed}.difference(known))
        adoptable = []
        for one in listed:
            if one.remote["id"] in orphans:
                self.counts["twin"] += 1
            elif not mirrored and one.age < ADOPTION_DELAY.total_seconds():
                self.counts["young"] += 1
            else:
                adoptable.append(one)
        if not adoptable:
            return
        creations = self._creations.of([one.remote for one in adoptable], min(one.page.earliest for one in adoptable))
        alone = doubt or self.model.resource.correlation_field  # then a document may wait for any of them
        simple = []
        for one in adoptable:
            made = creations.get(one.remote["id"])
            if made is None and (self.dry or not alone):
                simple.append(one)
                continue
            with self._isolated(one.remote):
                if made is not None and made.is_theirs:
                    log.info("%s is not adopted: %s", one.remote["id"], OTHER_INSTALLATION)
                    self.counts["foreign"] += 1
                    if not (self.dry or made.kept):
                        made.keep(self.model, one.remote["id"])
                elif not self.dry and self._may_be_ours(
                    one.remote, made.maker if made else None, one.page.latest, doubt
                ):
                    self._adopt_or_link(one, made)
                else:
                    simple.append(one)
        if simple:
            self._adopt(simple)

    def _may_be_ours(self, remote: Json, maker: IdempotencyKey | None, seen_at: int, doubt: bool) -> bool:
        """Whether a document here may be waiting for this object; without `doubt`, none is in doubt."""
        if maker is not None:  # an object of another kind may have been made aside: a subscription makes its invoices
            return maker.kind == self.model.resource.kind
        return self.model.by_correlation_id(remote) is not None or (
            doubt and any(is_candidate(document, remote, seen_at) for document in self.model.in_doubt_documents(remote))
        )

    def _adopt(self, simple: list[Listed]) -> None:
        if self.dry:
            self.counts["adopt"] += len(simple)
            return
        at = clock.now()
        fresh = {one.remote["id"]: one for one in simple if one.seen is not None and not one.is_old(at)}
        left, evidence = {*fresh}, [sure(one.seen) for one in fresh.values()]
        try:
            left = {one.stripe_id for one in self.model.adopt_many(evidence, at)} if evidence else left
        except (*UNSTORABLE, OperationFailure) as error:  # one by one then says which, and why
            if isinstance(error, PyMongoError) and is_away(error):
                raise
        if adopted := [seen for seen in evidence if seen.stripe_id not in left]:
            Event.reopen_unadopted([seen.stripe_id for seen in adopted], min(seen.earliest for seen in adopted))
        self.counts["adopt"] += len(adopted)
        self._tell(evidence)
        for one in simple:  # one by one: the page is old, another process was faster, or it cannot be stored
            if one.remote["id"] in left or one.remote["id"] not in fresh:
                with self._isolated(one.remote):
                    self._adopt_or_link(one, None)

    def _tell(self, evidence: list[Observation]) -> None:
        """Notify the dependents of the new documents."""
        for id in needed(self.model.resource.kind, [one.remote for one in evidence if one.remote is not None]):
            notify_dependents_of(self.model, id)

    def _adopt_or_link(self, one: Listed, made: Creation | None) -> None:
        remote, reply = one.remote, self._current(one)
        if reply is None:
            self.counts["deleted"] += 1
            return
        verdict = adopt_unless_ours(self.model, reply, made)
        if verdict.state == EventState.APPLIED:
            self.counts["adopt"] += 1
            notify_dependents_of(self.model, remote["id"])
        else:
            log.info("%s is not adopted: %s", remote["id"], verdict.why)
            self.counts["doubt"] += 1
            self.report(remote["id"], verdict.why or "")

    def _current(self, one: Listed) -> Reply | None:
        """Return an object of a page, read again if the page is old; None if it is deleted. Raises CannotReadStripe."""
        if not one.is_old(clock.now()):
            return replace(one.page, remote=one.remote)
        if (path := self.model.resource.read_path(one.remote)) is None:
            id = one.remote["id"]
            raise CannotReadStripe(f"{id} can only be read in a list, and this page is too old: run the command again")
        reply = current().gateway.get(path)
        return None if reply is None or reply.gone else reply

    # --- what cannot be kept ---

    def _isolated(self, remote: Json) -> AbstractContextManager[None]:
        """Report an object that cannot be stored, and continue with the others. Raises Stopped between two of them."""

        def failed(error: Exception) -> None:
            why = unstorable(error)
            self.report(ascii(remote["id"])[1:-1], f"cannot be stored: {why}" if why else type(error).__name__)

        return isolated(self.counts, f"{self.model.resource.kind} {ascii(remote['id'])[1:-1]}", failed)


def drift(snapshot: Mapping[str, Any] | None, remote: Json) -> str:
    """Return the names of the fields that differ, without their values."""
    stored, remote = content(dict(snapshot or {})), content(remote)
    return ", ".join(sorted(name for name in {*stored, *remote} if stored.get(name) != remote.get(name)))
