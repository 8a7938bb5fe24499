"""Compares a page of Stripe's list with the documents here: adopts unknown objects, and merges those that differ.

It reads and inserts rows as MongoDB stores them. Only a row that needs more than that becomes a document. An object
that cannot be stored does not hold up the others.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from pymongo.errors import OperationFailure

from stripe_mongo_sync.models import Status, SyncedDocument
from stripe_mongo_sync.models.base.facts import Observation, facts_of
from stripe_mongo_sync.models.base.resource import shortened
from stripe_mongo_sync.models.event import OTHER_INSTALLATION, EventState
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.content import content
from stripe_mongo_sync.models.rows.keys import IdempotencyKey
from stripe_mongo_sync.models.rows.sure import sure
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.engine.adopt import ADOPTION_DELAY, adopt_unless_ours, is_candidate
from stripe_mongo_sync.sync.engine.dependents import needed, notify_dependents, notify_dependents_of
from stripe_mongo_sync.sync.engine.find import Creation, Creations
from stripe_mongo_sync.sync.engine.observations import from_page, is_new_incarnation, merge_observation
from stripe_mongo_sync.sync.engine.refresh import refresh
from stripe_mongo_sync.sync.errors import CannotReadStripe, NoOwner
from stripe_mongo_sync.sync.inbox.inbox import UNSTORABLE, unstorable
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.process.isolation import isolated
from stripe_mongo_sync.sync.runs.back import bring_back
from stripe_mongo_sync.sync.runs.edited import edits_of, put_right, tell_log
from stripe_mongo_sync.sync.stripe.answers import Reply
from stripe_mongo_sync.sync.stripe.listing import has_id, made_at

Json = dict[str, Any]
# Objects of an older page may be deleted, and the events that told it finished: those wait for ADOPTION_DELAY, by the
# same two clocks, Stripe's seconds and MongoDB's time. So both may differ.
PAGE_MAX_AGE = timedelta(minutes=10)


@dataclass
class Comparison:
    """The comparison of one kind, page after page; with `dry`, nothing is written.

    `counts` has the outcomes: `same`, `drift`, `adopt`, `young` (left to their events), `foreign` (created by another
    installation), `twin` (an orphan), `back` (deleted here, and active again), `deleted` (since the list was read),
    `held` (deleted here but not at Stripe, and in review), `doubt` and `failed`. `report` is called for the last two,
    and `on_edit` for a document that was edited by hand, which counts as `drift`.
    """

    model: type[SyncedDocument]
    dry: bool = False
    report: Callable[[str, str], None] = lambda id, why: None
    on_edit: Callable[[str, Any, list[str]], None] = tell_log
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._creations = Creations(self.model)

    def page(self, page: Reply) -> list[str]:
        """Compare the objects of a page, and return their ids. Raises CannotReadStripe."""
        remotes: dict[str, Json] = {}
        for remote in page.remote["data"]:
            if has_id(remote):
                remotes[remote["id"]] = self._whole(remote, page)
            else:
                log.error("%s: an object without an id is listed", self.model.resource.kind)
                self.counts["failed"] += 1
                self.report("an object without an id", "this is no object with an id")
        if not (ids := list(remotes)):
            return []
        rows = self._rows(remotes)
        unknown = {id: remote for id, remote in remotes.items() if self._is_new(rows.get(id), remote)}
        self._unknown([*unknown.values()], rows.keys(), page)  # first, while the page is fresh: else it costs GETs
        for id, row in rows.items():
            if id not in unknown:
                with self._isolated(remotes[id]):
                    self._known(row, remotes[id], page)
        return ids

    def _whole(self, remote: Json, page: Reply) -> Json:
        """Return an object with its lists read to their ends, unless it was deleted meanwhile."""
        if not shortened(remote):
            return remote
        try:
            return current().gateway.read_on(replace(page, remote=remote)).remote
        except NoOwner:
            return remote

    # --- what has a document ---

    def _rows(self, remotes: dict[str, Json]) -> dict[str, Json]:
        """Return the rows of these objects, the current one where there are several."""
        found = self.model.stored_rows().find({"stripe_id": {"$in": list(remotes)}})
        return {row["stripe_id"]: row for row in sorted(found, key=lambda row: bool(row.get("live")))}

    def _is_new(self, row: Json | None, remote: Json) -> bool:
        deleted = row is not None and row.get("status") == Status.DELETED
        return row is None or (deleted and is_new_incarnation(self.model.of_row(row), remote))

    def _known(self, row: Json, remote: Json, page: Reply) -> None:
        kind, evidence = self.model.resource.kind, from_page(self.model, remote, page)
        if fields := edits_of(self.model, row):
            self.counts["drift"] += 1
            self.on_edit(kind, row["_id"], fields)
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
            log.info("%s %s differs from %s: %s", kind, row["_id"], remote["id"], drift(facts.snapshot, remote))
        known = same and facts.confirmed_at is not None and facts.missing_since is None
        if self.dry or known:
            return
        merged = merge_observation(self.model, {"_id": row["_id"]}, evidence)
        if merged is not None and merged.live and not merged.is_as(evidence):
            merged = refresh(merged)  # also where the snapshot passes for younger: Stripe's Date may have been wrong
        if merged is not None:
            notify_dependents(merged)

    # --- what has none ---

    def _unknown(self, remotes: list[Json], known: Iterable[str], page: Reply) -> None:
        mirrored = self.model.resource.mirrored
        if not (current().settings.adopt or mirrored):  # but for what something here follows
            ids = needed(self.model.resource.kind, remotes)
            remotes = [remote for remote in remotes if remote["id"] in ids]
        if not remotes:
            return
        orphans, doubt = self.model.rivals({remote["id"] for remote in remotes}.difference(known))
        adoptable = []
        for remote in remotes:
            if remote["id"] in orphans:
                self.counts["twin"] += 1
            elif not mirrored and page.latest - (made_at(remote, page.latest) or 0) < ADOPTION_DELAY.total_seconds():
                self.counts["young"] += 1
            else:
                adoptable.append(remote)
        if not adoptable:
            return
        creations = self._creations.of(adoptable, page.earliest)
        simple = []
        for remote in adoptable:
            with self._isolated(remote):
                made = creations.get(remote["id"])
                if made is not None and made.is_theirs:
                    log.info("%s is not adopted: %s", remote["id"], OTHER_INSTALLATION)
                    self.counts["foreign"] += 1
                    if not (self.dry or made.kept):
                        made.keep(self.model, remote["id"])
                elif self.dry:
                    self.counts["adopt"] += 1
                elif self._may_be_ours(remote, made.maker if made else None, page.latest, doubt):
                    self._adopt_or_link(remote, made, page)
                else:
                    simple.append(from_page(self.model, remote, page))
        if simple:
            self._adopt(simple, page)

    def _may_be_ours(self, remote: Json, maker: IdempotencyKey | None, seen_at: int, doubt: bool) -> bool:
        """Whether a document here may be waiting for this object; without `doubt`, none is in doubt."""
        if maker is not None:  # an object of another kind may have been made aside: a subscription makes its invoices
            return maker.kind == self.model.resource.kind
        return self.model.by_correlation_id(remote) is not None or (
            doubt and any(is_candidate(document, remote, seen_at) for document in self.model.in_doubt_documents(remote))
        )

    def _adopt(self, evidence: list[Observation], page: Reply) -> None:
        at, left = clock.now(), evidence
        try:
            left = evidence if _is_old(page, at) else self.model.adopt_many(evidence, at)
        except (*UNSTORABLE, OperationFailure) as error:
            if unstorable(error) is None:
                raise
        self.counts["adopt"] += len(evidence) - len(left)
        self._tell(evidence)
        for one in left:  # one by one: the page is old, another process was faster, or it cannot be stored
            remote = sure(one.remote)
            with self._isolated(remote):
                self._adopt_or_link(remote, None, page)

    def _tell(self, evidence: list[Observation]) -> None:
        """Notify the dependents of the new documents."""
        for id in needed(self.model.resource.kind, [one.remote for one in evidence if one.remote is not None]):
            notify_dependents_of(self.model, id)

    def _adopt_or_link(self, remote: Json, made: Creation | None, page: Reply) -> None:
        one = self._current(replace(page, remote=remote))
        if one is None:
            self.counts["deleted"] += 1
            return
        verdict = adopt_unless_ours(self.model, one, made)
        if verdict.state == EventState.APPLIED:
            self.counts["adopt"] += 1
            notify_dependents_of(self.model, remote["id"])
        else:
            log.info("%s is not adopted: %s", remote["id"], verdict.why)
            self.counts["doubt"] += 1
            self.report(remote["id"], verdict.why or "")

    def _current(self, listed: Reply) -> Reply | None:
        """Return an object of a page, read again if the page is old; None if it is deleted. Raises CannotReadStripe."""
        if not _is_old(listed, clock.now()):
            return listed
        if (path := self.model.resource.read_path(listed.remote)) is None:
            id = listed.remote["id"]
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


def _is_old(page: Reply, now: datetime) -> bool:
    return now.timestamp() - page.latest > PAGE_MAX_AGE.total_seconds()


def drift(snapshot: Mapping[str, Any] | None, remote: Json) -> str:
    """Return the names of the fields that differ, without their values."""
    stored, remote = content(dict(snapshot or {})), content(remote)
    return ", ".join(sorted(name for name in {*stored, *remote} if stored.get(name) != remote.get(name)))
