"""The full comparison: the walk through Stripe's lists, and then the documents that no list showed.

Absence from a list proves nothing, so a missing object is read by its id. Each document is also compared with itself.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from itertools import islice
from typing import Any

from stripe_mongo_sync.models import (
    Customer,
    Order,
    StagedDocument,
    Status,
    SyncedDocument,
    present_kinds,
    synced_kinds,
)
from stripe_mongo_sync.models.base.stripe_fields import AWAKE, MISNAMED
from stripe_mongo_sync.models.owned import UNLISTED, in_no_list, owned_kinds
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.claimable import read_each
from stripe_mongo_sync.models.rows.tally import having
from stripe_mongo_sync.models.state import COMPARISON, OWNERS, State
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.engine.resolve import Run, look_at_absent
from stripe_mongo_sync.sync.errors import MissingPermission, ReadRefused
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.process.isolation import counted, isolated
from stripe_mongo_sync.sync.process.limits import OWNER_READS
from stripe_mongo_sync.sync.process.stop import STOP
from stripe_mongo_sync.sync.runs.compare import Comparison
from stripe_mongo_sync.sync.runs.drift import record_edit
from stripe_mongo_sync.sync.runs.edited import edits, put_right
from stripe_mongo_sync.sync.runs.owners import Owners, OwnerWalk
from stripe_mongo_sync.sync.runs.progress import OnProgress, no_progress
from stripe_mongo_sync.sync.runs.seen import Seen
from stripe_mongo_sync.sync.runs.sound import mend, suspects, unsound
from stripe_mongo_sync.sync.runs.walk import Walk
from stripe_mongo_sync.sync.shop import orders

COUNTED = ("adopt", "back", "drift", "failed")  # the counts of a comparison that a report shows
RESUMED = timedelta(days=1)  # a comparison that began longer ago is begun again
PAGE = 1000  # documents whose ids are in memory
OWNERS_AT_ONCE = 250  # whose missing objects are searched together
LIVE = {"is_current": True}
ORDERS = 100  # that are compared with their payments together

Model = type[SyncedDocument]


@dataclass
class Coverage:
    """What a full comparison did not compare, and why; this is no failure."""

    not_available: dict[str, str] = field(default_factory=dict)  # what this account does not have
    not_compared: dict[str, str] = field(default_factory=dict)  # what no list shows, and what is left to the next run


@dataclass(kw_only=True)
class FullComparison(Walk):
    """The walk, and after each list the documents that it did not show. A dry one saves nothing."""

    run: Run
    wanted: set[str]  # kinds whose owners are read

    def __post_init__(self) -> None:
        self.begun = having(self.models.values(), AWAKE)
        self._of_clocks = _customers_of_clocks()
        self._seen = Seen(COMPARISON)

    def comparison(self, kind: str) -> Comparison:
        """Return the comparison, which also notes what was edited by hand."""
        on_edit, counts = partial(record_edit, self.run), self.parts[kind].counts
        return Comparison(
            self.models[kind], dry=self.run.dry, on_edit=on_edit, on_drift=self.run.on_drift, counts=counts
        )

    def saw(self, kind: str, ids: list[str]) -> None:
        """Note the ids on a page."""
        self._seen.add(f"{kind} {id}" for id in ids)

    def end(self, kind: str) -> None:
        """Read the objects that the list should have shown."""
        model, part = self.models[kind], self.parts[kind]
        part.unlisted = 0
        for document in self._missing(model, AWAKE) if model in self.begun else ():
            if _edited(document, self.run) or document.status != Status.ACTIVE:
                continue
            remote = document.stripe or {}
            if remote.get("test_clock") or remote.get("customer") in self._of_clocks:
                continue
            if model.resource.leaves_out(remote):
                part.unlisted += 1
            elif not _look_at(document, self.run):
                return

    def skips(self, owner: str) -> bool:
        """Whether the owners of this kind are not walked through: this account does not have them, or we do not."""
        return owner not in self.wanted or super().skips(owner)

    def walked(self, walk: OwnerWalk) -> None:
        """Report it. The place is saved when the missing objects of these owners are looked at."""
        self.on_progress(self.step_of(walk))
        if walk.asked % OWNERS_AT_ONCE == 0:
            self.look_at_owned()
            self.store()

    def look_at_owned(self) -> None:
        """Read the objects that the lists of these owners should have shown."""
        for owned, asked in self.owners.asked.items():
            theirs = {"status": Status.ACTIVE, f"stripe.{owned.named}": {"$in": [*asked]}}
            kinds = self.wanted.intersection(owned.kinds) if asked else ()
            for model in self.begun.intersection(map(self.models.__getitem__, kinds)):
                if not all(_look_at(document, self.run) for document in self._missing(model, theirs)):
                    break
            asked.clear()

    def _missing(self, model: Model, where: dict[str, Any]) -> Iterator[SyncedDocument]:
        """Yield the documents that `where` selects and no list showed. Only a page of ids is in memory."""
        kind, rows, after = model.resource.kind, model.own_rows(), dict[str, Any]()
        while page := list(rows.find({**where, **after}, {"stripe_id": 1}).sort("_id").limit(PAGE)):
            STOP.here()
            after = {"_id": {"$gt": page[-1]["_id"]}}
            if missing := [row["_id"] for row in page if f"{kind} {row.get('stripe_id')}" not in self._seen]:
                yield from read_each(model, {"_id": {"$in": missing}}, counted(self.run.counts, kind))

    # --- its progress ---

    def store(self) -> None:
        """Save the progress, and what was seen."""
        if not self.run.dry:
            self._seen.keep()
            super().store()

    def resume(self, within: timedelta) -> None:
        """Continue a comparison that was killed, and in any case the walks through owners."""
        saved, older = map(State.read_each(COMPARISON, OWNERS).get, (COMPARISON, OWNERS))
        self._of_older = older is not None  # saved by an older version
        if self.run.dry or not saved or not saved["parts"]:
            self.owners.recall((saved or {}).get("owners", (older or {}).get("walks", ())))
            return
        super().resume(within)
        if self.resumed:
            self._seen.recall()
        else:
            State.clear_parts(COMPARISON)

    def forget(self) -> None:
        """Clear the progress of a comparison that is over, except for its walks through owners."""
        if self.run.dry:
            return
        self.parts = {}
        State.clear_parts(COMPARISON)
        if self._of_older:
            State.clear(OWNERS)
        if self.owners.unfinished:
            super().store()

    @property
    def not_compared(self) -> dict[str, str]:
        """What no list shows, and the owners that are left to the next run."""
        parts = [(kind, part.unlisted) for kind, part in self.parts.items() if part.unlisted]
        told = {kind: f"{in_no_list(kind)}, and {unlisted:,} may be such" for kind, unlisted in parts}
        told |= {f"of each {walk.owner}": str(walk) for walk in self.owners.unfinished}
        for kind in owned_kinds() & self.wanted:
            model = self.models[kind]
            if model.resource.unlisted and model.objects(status=Status.ACTIVE, customer=None).first():
                told[kind] = in_no_list(kind)
        alive = having([self.models[kind] for kind in UNLISTED.keys() & self.models.keys()], LIVE)
        return told | {model.resource.kind: in_no_list(model.resource.kind) for model in alive}


def compare_everything(
    run: Run,
    left_out: dict[str, str],
    coverage: Coverage,
    *,
    absent: bool,
    owner_reads: int = OWNER_READS,
    on_progress: OnProgress = no_progress,
) -> bool:
    """Compare every kind except those in `left_out`, and add to that what may not be read.

    Return whether Stripe answered throughout. With `absent`, compare also the kinds that have no document yet. Not
    every account has them (issuing, treasury, …), so a refused list of such a kind is no failure. Lists that need an
    owner are compared with `owner_reads` GETs; the next comparison continues there.
    """
    known = synced_kinds(None if absent else present_kinds())
    models = {kind: model for kind, model in known.items() if kind not in left_out}
    wanted = {model.resource.kind for model in (models.values() if absent else having(models.values(), LIVE))}
    owners, began_at = Owners(wanted, reads=owner_reads), int(clock.now().timestamp())
    whole = FullComparison(
        COMPARISON, models, None, began_at, 0, owners, run=run, wanted=wanted, on_progress=on_progress
    )
    whole.resume(RESUMED)
    try:
        if answered := whole.go():
            whole.look_at_owned()
    finally:
        run.counts.update({name: n for name, n in whole.counts.items() if name in COUNTED})
    left_out.update({why: why for why in whole.unseen})
    coverage.not_available.update(whole.not_available)
    coverage.not_compared.update(whole.not_compared)
    if answered:
        for model in whole.begun:
            if not model.resource.listable:
                _put_right(model, AWAKE, run, left_out)
        _put_right_orders(run)
        whole.forget()
    return answered


def restore_rows(run: Run, left_out: dict[str, str]) -> None:
    """Restore rows that could not be processed, or whose objects would pass for new. Raises CannotReadStripe.

    A kind whose objects may not be read is added to `left_out`.
    """
    for model in suspects(present_kinds().values()):
        for id, broken in unsound(model):
            with isolated(run.counts, f"{model.resource.kind} {id}"):
                run.counts["drift"] += 1
                fields = sorted(rule.field for rule in broken)
                record_edit(run, model.resource.kind, id, fields)
                run.on_drift(model.resource.kind, id, None, None, fields)
                if not run.dry:
                    mend(model, id, broken)
        _put_right(model, MISNAMED, run, left_out)


def _put_right(model: type[StagedDocument], where: dict[str, Any], run: Run, left_out: dict[str, str]) -> None:
    """Restore the documents that match `where` and were edited by hand."""
    kind = model.resource.kind
    if kind in left_out:
        return
    try:
        for document in read_each(model, where, counted(run.counts, kind)):
            STOP.here()
            _edited(document, run)
    except MissingPermission as error:
        left_out[kind] = str(error)


def _put_right_orders(run: Run) -> None:
    """Restore the orders that were edited by hand, except those that a worker is following now."""
    found = read_each(Order, {**AWAKE, "due_at": None}, counted(run.counts, Order.resource.kind))
    while page := list(islice(found, ORDERS)):
        STOP.here()
        strays: dict[Any, list[str]] = {}
        with isolated(Counter(), "a page of orders"):  # then each is compared alone
            strays = orders.strays(page)
        for order in page:
            _edited(order, run, strays.get(order.id))


def _edited(document: StagedDocument, run: Run, strays: list[str] | None = None) -> bool:
    """Return whether a document was edited by hand; if so, restore it. Raises CannotReadStripe."""
    with _alone(document, run):
        if not (fields := edits(document, strays)):
            return False
        if hash(document.id) not in run.known_edits:
            run.counts["drift"] += 1
            record_edit(run, document.resource.kind, document.id, fields)
            run.on_drift(document.resource.kind, document.id, getattr(document, "stripe", None), None, fields)
        if not run.dry:
            put_right(document, fields)
    return True


def _look_at(document: SyncedDocument, run: Run) -> bool:
    """Read the object of a document that a list does not show; return whether to continue."""
    with _alone(document, run):
        return look_at_absent(document, run)
    return True


@contextmanager
def _alone(document: StagedDocument, run: Run) -> Iterator[None]:
    """Count what concerns this document only, also when Stripe refuses to show its object."""
    about = f"{document.resource.kind} {document.id}"
    with isolated(run.counts, about):
        try:
            yield
        except ReadRefused as error:
            log.warning("%s cannot be read: %s", about, error)
            run.counts["failed"] += 1


def _customers_of_clocks() -> set[str]:
    """Return the customers of test clocks, because no unfiltered list shows their objects."""
    theirs = {"status": Status.ACTIVE, "stripe.test_clock": {"$type": "string"}}
    return set() if current().settings.livemode else set(Customer.objects(__raw__=theirs).distinct("stripe_id"))
