"""The full comparison: list every object at Stripe, compare it with its document, and look for what is missing.

A list shows what is there. What it does not show is only a reason to look: absence from a list proves nothing.
"""

from datetime import timedelta
from typing import Any

from models import Status, SyncedDocument, kinds
from models.absorb import digest
from models.clock import from_now
from models.event import EventState
from models.keys import Key
from sync.adopt import SETTLES, adopt_if_nobodys
from sync.composed import COMPOSED
from sync.connection import current, log
from sync.converge import Sight
from sync.errors import Forbidden
from sync.evidence import another_life, hand_over, of_id
from sync.gateway import Reply
from sync.look import look, observe
from sync.settle import Run

EVENTS = timedelta(days=29)
BATCH = 1000


def compare_everything(run: Run, left_out: dict[str, str]) -> None:
    """Compare every kind but those left out; a kind that may not be read is added to them. Raises CannotLook."""
    for kind, model in kinds().items():
        if kind in left_out or not model.resource.listed:
            continue
        try:
            _missing(model, _listed(model, run), run)
        except Forbidden as error:
            left_out[kind] = str(error)
    for kind in () if run.dry else COMPOSED:
        for document in kinds()[kind].objects(status=Status.ACTIVE, lease=None).batch_size(BATCH):
            COMPOSED[kind].push(document)


def _listed(model: type[SyncedDocument], run: Run) -> set[int]:
    """Compare what Stripe lists; return a hash of each id that it does."""
    seen: set[int] = set()  # hashes: a million of them take some 60 MB, their ids three times that
    twins = _twins(model)
    for page in current().gateway.pages(model.resource.path):
        data = page.remote["data"]
        ids = [remote["id"] for remote in data]
        seen.update(map(hash, ids))
        documents = {document.stripe_id: document for document in model.objects(stripe_id__in=ids).order_by("live")}
        for remote in data:
            if remote["id"] not in twins or remote["id"] in documents:
                _compare(model, documents.get(remote["id"]), remote, page, run)
    return seen


def _twins(model: type[SyncedDocument]) -> set[str]:
    found: set[str] = set()
    for document in model.with_twins():
        found.update(document.orphans, document.undone)
    return found


def _compare(
    model: type[SyncedDocument], document: SyncedDocument | None, remote: dict[str, Any], page: Reply, run: Run
) -> None:
    if document is None or another_life(document, remote):
        _unknown(model, remote, page, run)
    elif document.status == Status.DELETED:
        log.warning("%s %s is deleted here, but Stripe lists %s", model.resource.kind, document.id, remote["id"])
    elif document.digest != digest(remote):
        run.counts["drift"] += 1
        log.info("%s %s differs from %s: %s", model.resource.kind, document.id, remote["id"], drift(document, remote))
        if not run.dry:
            look(document)
    elif document.confirmed_at is None and not run.dry:
        document.move(confirmed_at=from_now())


def drift(document: SyncedDocument, remote: dict[str, Any]) -> str:
    """Return the names of the fields that differ, without their values."""
    stored = document.stripe or {}
    return ", ".join(sorted(name for name in {*stored, *remote} if stored.get(name) != remote.get(name)))


def _unknown(model: type[SyncedDocument], remote: dict[str, Any], page: Reply, run: Run) -> None:
    if not current().settings.adopt or page.latest - int(remote.get("created", 0)) < SETTLES.total_seconds():
        return
    keys = run.finder.keys(model.resource.kind, page.earliest - int(EVENTS.total_seconds()))
    if run.dry:
        maker = Key.parse(keys.get(remote["id"]))
        run.counts["adopt"] += maker is None or maker.installation == current().installation
        return
    one = Reply(remote, page.earliest, page.latest, replayed=False, request_id=page.request_id)
    verdict = adopt_if_nobodys(model, one, keys.get(remote["id"]))
    if verdict.state == EventState.APPLIED:
        run.counts["adopt"] += 1
    else:
        log.info("%s is not adopted: %s", remote["id"], verdict.why)


def _missing(model: type[SyncedDocument], seen: set[int], run: Run) -> None:
    for document in model.objects(status=Status.ACTIVE).batch_size(BATCH):
        if hash(document.stripe_id) in seen:
            continue
        sight, _ = observe(document)
        if sight != Sight.GONE:
            continue
        if not run.dry and not run.brakes.spend():
            run.counts["braked"] += 1
            return
        run.counts["mark_deleted"] += 1
        if run.dry:
            continue
        hand_over(model, {"_id": document.id}, of_id(document.stripe_id or "", "reconcile", gone=True))
