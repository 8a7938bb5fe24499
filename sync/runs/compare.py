"""Compares a page of Stripe's list with the documents here: adopts unknown objects, and merges those that differ.

The full comparison and the backfill use it. An object that cannot be stored does not hold up the others.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from pymongo.errors import OperationFailure, PyMongoError

from stripe_mongo_sync.models import Status, SyncedDocument
from stripe_mongo_sync.models.base.facts import Observation
from stripe_mongo_sync.models.event import OTHER_INSTALLATION, EventState
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.claimable import read_each
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
from stripe_mongo_sync.sync.process.stop import STOP, Stopped
from stripe_mongo_sync.sync.runs.back import bring_back
from stripe_mongo_sync.sync.runs.edited import edits, put_right, tell_log
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
                self._failed(remote, "this is no object with an id")
        if not (ids := list(remotes)):
            return []
        documents = self._documents(remotes)
        unknown = []
        for id, remote in remotes.items():
            document = documents.get(id)
            if document is None or is_new_incarnation(document, remote):
                unknown.append(remote)
        self._unknown(unknown, documents, page)  # first, while the page is fresh: an old one costs a GET per object
        for id, document in documents.items():
            with self._isolated(remotes[id]):
                if not is_new_incarnation(document, remotes[id]):
                    self._known(document, remotes[id], page)
        return ids

    def _whole(self, remote: Json, page: Reply) -> Json:
        """Return an object with its lists read to their ends, unless it was deleted meanwhile."""
        try:
            return current().gateway.read_on(replace(page, remote=remote)).remote
        except NoOwner:
            return remote

    # --- what has a document ---

    def _documents(self, remotes: dict[str, Json]) -> dict[str, SyncedDocument]:
        """Return the documents of these objects, the current one where there are several.

        An object whose document cannot be read is removed and reported: it is neither known nor new.
        """
        broken: list[Any] = []
        where = {"stripe_id": {"$in": list(remotes)}}
        found = list(read_each(self.model, where, lambda id, error: broken.append(id)))
        for row in self.model.own_rows().find({"_id": {"$in": broken}}, {"stripe_id": 1}) if broken else ():
            if (remote := remotes.pop(row["stripe_id"], None)) is not None:
                self._failed(remote, "its document cannot be read")
        readable = (document for document in found if document.stripe_id in remotes)
        return {str(document.stripe_id): document for document in sorted(readable, key=lambda each: bool(each.live))}

    def _known(self, document: SyncedDocument, remote: Json, page: Reply) -> None:
        kind, evidence = self.model.resource.kind, from_page(self.model, remote, page)
        if fields := edits(document):
            self.counts["drift"] += 1
            self.on_edit(kind, document.id, fields)
            if not self.dry:
                put_right(document, fields, evidence)
            return
        if document.status == Status.DELETED:
            self.counts[bring_back(document, dry=self.dry)] += 1
            return
        same = document.is_as(evidence)
        self.counts["same" if same else "drift"] += 1
        if not same:
            log.info("%s %s differs from %s: %s", kind, document.id, remote["id"], drift(document, remote))
        known = same and document.confirmed_at is not None and document.missing_since is None
        if self.dry or known:
            return
        merged = merge_observation(self.model, {"_id": document.id}, evidence)
        if merged is not None and merged.live and not merged.is_as(evidence):
            merged = refresh(merged)  # also where the snapshot passes for younger: Stripe's Date may have been wrong
        if merged is not None:
            notify_dependents(merged)

    # --- what has none ---

    def _unknown(self, remotes: list[Json], documents: dict[str, SyncedDocument], page: Reply) -> None:
        mirrored = self.model.resource.mirrored
        if not (current().settings.adopt or mirrored):  # but for what something here follows
            ids = needed(self.model.resource.kind, remotes)
            remotes = [remote for remote in remotes if remote["id"] in ids]
        strangers = [remote for remote in remotes if remote["id"] not in documents]
        orphans = self._orphans_among([remote["id"] for remote in strangers]) if strangers else set()
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
        creations, doubt = (
            self._creations.of(adoptable, page.earliest),
            next(iter(self.model.in_doubt_documents()), None) is not None,
        )
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
        self._adopt(simple, page)

    def _may_be_ours(self, remote: Json, maker: IdempotencyKey | None, seen_at: int, doubt: bool) -> bool:
        """Whether a document here may be waiting for this object; without `doubt`, none is in doubt."""
        if maker is not None:  # an object of another kind may have been made aside: a subscription makes its invoices
            return maker.kind == self.model.resource.kind
        return self.model.by_correlation_id(remote) is not None or (
            doubt and any(is_candidate(document, remote, seen_at) for document in self.model.in_doubt_documents(remote))
        )

    def _orphans_among(self, ids: list[str]) -> set[str]:
        owners = self.model.with_orphans(*ids)
        return {orphan for owner in owners for orphan in (*owner.orphans, *owner.undone)}

    def _adopt(self, evidence: list[Observation], page: Reply) -> None:
        if not evidence:
            return
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

    @contextmanager
    def _isolated(self, remote: Any) -> Iterator[None]:
        """Report an object that cannot be stored, and continue with the others. Raises Stopped between two of them."""
        with STOP.in_hand():
            try:
                yield
            except (CannotReadStripe, Stopped):
                raise
            except (*UNSTORABLE, OperationFailure) as error:
                if (why := unstorable(error)) is None:
                    raise
                self._failed(remote, f"cannot be stored: {why}")
            except PyMongoError:
                raise
            except Exception as error:  # whatever it is, it concerns this object only
                log.exception("%s cannot be compared", self.model.resource.kind)
                self._failed(remote, type(error).__name__)  # what it says may quote the object

    def _failed(self, remote: Any, why: str) -> None:
        id = remote.get("id") if isinstance(remote, dict) else None
        told = ascii(id)[1:-1] if isinstance(id, str) else "an object without an id"
        log.error("%s %s: %s", self.model.resource.kind, told, why)
        self.counts["failed"] += 1
        self.report(told, why)


def _is_old(page: Reply, now: datetime) -> bool:
    return now.timestamp() - page.latest > PAGE_MAX_AGE.total_seconds()


def drift(document: SyncedDocument, remote: Json) -> str:
    """Return the names of the fields that differ, without their values."""
    stored, remote = content(document.stripe or {}), content(remote)
    return ", ".join(sorted(name for name in {*stored, *remote} if stored.get(name) != remote.get(name)))
