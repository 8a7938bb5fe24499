"""The full comparison: lists every object at Stripe, compares it with its document, and reads those that are missing.

Absence from a list proves nothing, so a missing object is read by its id.
"""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import partial
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
from stripe_mongo_sync.models.rows.claimable import read_each
from stripe_mongo_sync.models.rows.tally import having
from stripe_mongo_sync.models.state import OWNERS, State
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.engine.resolve import Run, look_at_absent
from stripe_mongo_sync.sync.errors import CannotReadStripe, MissingPermission, ReadRefused
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.process.isolation import counted, isolated
from stripe_mongo_sync.sync.process.limits import OWNER_READS
from stripe_mongo_sync.sync.process.stop import STOP
from stripe_mongo_sync.sync.runs.compare import Comparison
from stripe_mongo_sync.sync.runs.edited import edits, put_right, tell_log
from stripe_mongo_sync.sync.runs.owners import Owners
from stripe_mongo_sync.sync.runs.sound import mend, suspects, unsound
from stripe_mongo_sync.sync.stripe.answers import Reply
from stripe_mongo_sync.sync.stripe.listing import is_not_there, list_pages

COUNTED = ("adopt", "back", "drift", "failed")  # the counts of a comparison that a report shows

SHOWN = 10  # documents that were edited by hand in a report; all are logged
LIVE = {"live": True}
UNLEASED = {"lease": None}  # orders that no worker is following now

Model = type[SyncedDocument]


@dataclass
class Coverage:
    """What a full comparison did not compare, and why; this is no failure."""

    not_available: dict[str, str] = field(default_factory=dict)  # what this account does not have
    not_compared: dict[str, str] = field(default_factory=dict)  # what no list shows, and what is left to the next run


def compare_everything(
    run: Run, left_out: dict[str, str], coverage: Coverage, *, absent: bool, owner_reads: int = OWNER_READS
) -> None:
    """Compare every kind except those in `left_out`, and add to that each kind that may not be read.

    Raises CannotReadStripe.
    With `absent`, compare also the kinds that have no document yet. Not every account has them (issuing, treasury, …),
    so a refused list of such a kind is no failure. Lists that need an owner are compared with `owner_reads` GETs; the
    next comparison continues there.
    """
    models = {
        kind: model for kind, model in synced_kinds(None if absent else present_kinds()).items() if kind not in left_out
    }
    of_clocks, begun = _customers_of_clocks(), having(present_kinds().values(), AWAKE)
    refused: dict[str, CannotReadStripe] = {}
    for kind, model in models.items():
        if not model.resource.listable:
            continue
        try:
            seen = _compare_list(model, run)
            if model in begun and (unlisted := _missing(model, seen, run, of_clocks)):
                coverage.not_compared[kind] = f"{in_no_list(kind)}, and {unlisted:,} may be such"
        except (MissingPermission, ReadRefused) as error:
            refused[kind] = error
    alive = having(present_kinds().values(), LIVE)
    for kind, why in refused.items():
        is_missing = is_not_there(current().gateway, why, models[kind], alive=alive)
        (coverage.not_available if is_missing else left_out)[kind] = str(why)
    wanted = {kind for kind, model in models.items() if absent or model in alive}
    _compare_owned(run, left_out, coverage, models, owner_reads, wanted)
    alive = having(present_kinds().values(), LIVE)
    for kind in UNLISTED.keys() & models.keys():
        if models[kind] in alive:
            coverage.not_compared[kind] = in_no_list(kind)
    for model in models.values():
        if model in begun and not model.resource.listable:
            _put_right(model, AWAKE, run, left_out)
    if Order in begun:
        _put_right(Order, {**AWAKE, **UNLEASED}, run, left_out)


def restore_rows(run: Run, left_out: dict[str, str]) -> None:
    """Restore rows that could not be processed, or whose objects would pass for new. Raises CannotReadStripe.

    A kind whose objects may not be read is added to `left_out`.
    """
    for model in suspects(present_kinds().values()):
        for id, broken in unsound(model):
            with isolated(run.counts, f"{model.resource.kind} {id}"):
                run.counts["drift"] += 1
                _record_edit(run, model.resource.kind, id, sorted(rule.field for rule in broken))
                if not run.dry:
                    mend(model, id, broken)
        _put_right(model, MISNAMED, run, left_out)


def _compare_list(model: Model, run: Run) -> set[int]:
    """Compare the objects that Stripe lists; return a hash of each one's id."""
    seen: set[int] = set()  # a million hashes take some 60 MB, and the ids three times as much
    comparison = Comparison(model, dry=run.dry, on_edit=partial(_record_edit, run))
    for page in list_pages(current().gateway, model):
        seen.update(map(hash, comparison.page(page)))
        STOP.here()
    _count(comparison, run)
    return seen


def _count(comparison: Comparison, run: Run) -> None:
    run.counts.update({name: n for name, n in comparison.counts.items() if name in COUNTED})


def _missing(model: Model, seen: set[int], run: Run, of_clocks: Collection[str] = ()) -> int:
    """Read the objects that the list should have shown; return the number of documents that no list may show."""
    resource, unlisted = model.resource, 0
    for document in read_each(model, AWAKE, counted(run.counts, resource.kind)):
        STOP.here()
        if hash(document.stripe_id) in seen or _edited(document, run) or document.status != Status.ACTIVE:
            continue
        remote = document.stripe or {}
        if remote.get("test_clock") or remote.get("customer") in of_clocks:
            continue
        if resource.leaves_out(remote):
            unlisted += 1
        elif not _look_at(document, run):
            break
    return unlisted


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


def _edited(document: StagedDocument, run: Run) -> bool:
    """Return whether a document was edited by hand; if so, restore it. Raises CannotReadStripe."""
    about = f"{document.resource.kind} {document.id}"
    with isolated(run.counts, about):
        if not (fields := edits(document)):
            return False
        if hash(document.id) not in run.known_edits:
            run.counts["drift"] += 1
            _record_edit(run, document.resource.kind, document.id, fields)
        if not run.dry:
            try:
                put_right(document, fields)
            except ReadRefused as error:
                log.warning("%s cannot be read: %s", about, error)
                run.counts["failed"] += 1
    return True


def _record_edit(run: Run, kind: str, id: Any, fields: list[str]) -> None:
    tell_log(kind, id, fields)
    run.counts["edited"] += hash(id) not in run.known_edits
    run.known_edits.add(hash(id))
    if len(run.edited) < SHOWN:
        run.edited.append(f"{kind} {id} ({', '.join(fields)})")


def _look_at(document: SyncedDocument, run: Run) -> bool:
    """Read the object of a document that a list does not show; return whether to continue."""
    about = f"{document.resource.kind} {document.id}"
    with isolated(run.counts, about):
        try:
            return look_at_absent(document, run)
        except ReadRefused as error:  # it concerns this object only
            log.warning("%s cannot be read: %s", about, error)
            run.counts["failed"] += 1
    return True


# --- lists of one owner at a time ---


def _compare_owned(
    run: Run, left_out: dict[str, str], coverage: Coverage, models: dict[str, Model], reads: int, wanted: set[str]
) -> None:
    owners = Owners(wanted, reads=reads)
    owners.recall((State.read(OWNERS) or {}).get("walks", ()))
    for walk in owners.unfinished:
        walk.done = walk.owner not in wanted or walk.owner in coverage.not_available
    comparisons: dict[str, Comparison] = {}
    seen: dict[str, set[int]] = defaultdict(set)

    def take(kind: str, page: Reply) -> None:
        new = Comparison(models[kind], dry=run.dry, on_edit=partial(_record_edit, run))
        comparison = comparisons.setdefault(kind, new)
        seen[kind].update(map(hash, comparison.page(page)))

    owners.read(take, but=left_out)
    for comparison in comparisons.values():
        _count(comparison, run)
    for owned, asked in owners.asked.items():
        for kind in wanted.intersection(owned.kinds):
            theirs = {"status": Status.ACTIVE, f"stripe.{owned.named}": {"$in": [*asked]}}
            if not _look_at_missing(models[kind], theirs, seen[kind], run):
                break
    left_out.update({name: f"{name}: {why}" for name, why in owners.unseen.items()})
    coverage.not_available.update(owners.missing)
    coverage.not_compared.update({f"of each {walk.owner}": str(walk) for walk in owners.unfinished})
    for kind in owned_kinds() & wanted:
        if models[kind].resource.unlisted and models[kind].objects(status=Status.ACTIVE, customer=None).first():
            coverage.not_compared[kind] = in_no_list(kind)
    if run.dry:
        return
    if owners.unfinished:
        State.write(OWNERS, {"walks": owners.as_json()})
    else:
        State.clear(OWNERS)


def _look_at_missing(model: Model, theirs: dict[str, Any], seen: set[int], run: Run) -> bool:
    documents = read_each(model, theirs, counted(run.counts, model.resource.kind))
    return all(_look_at(document, run) for document in documents if hash(document.stripe_id) not in seen)


def _customers_of_clocks() -> set[str]:
    """Return the customers of test clocks, because no unfiltered list shows their objects."""
    theirs = {"status": Status.ACTIVE, "stripe.test_clock": {"$type": "string"}}
    return set() if current().settings.livemode else set(Customer.objects(__raw__=theirs).distinct("stripe_id"))
