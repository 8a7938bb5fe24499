"""The full comparison: list every object at Stripe, compare it with its document, and look for what is missing.

A list shows what is there. What it does not show is only a reason to look: absence from a list proves nothing.
"""

from models import Status, SyncedDocument, kinds, present_kinds
from models.claimable import read_each
from sync.compare import Comparison
from sync.composed import COMPOSED
from sync.converge import Sight
from sync.errors import Forbidden, NotAvailable
from sync.evidence import hand_over, of_id
from sync.isolation import counted, isolated
from sync.listing import listed
from sync.look import observe
from sync.settle import Run


def compare_everything(run: Run, left_out: dict[str, str], *, absent: bool) -> None:
    """Compare every kind but those left out; a kind that may not be read is added to them. Raises CannotLook.

    With `absent`, also the mirrored kinds of which there is no document yet. Many of them are not for everybody
    (issuing, treasury, …): where Stripe refuses the list of what we have never heard of, that is in order.
    """
    for kind, model in (kinds() if absent else present_kinds()).items():
        if kind in left_out or not model.resource.listed:
            continue
        try:
            _missing(model, _listed(model, run), run)
        except Forbidden as error:
            left_out[kind] = str(error)
        except NotAvailable as error:
            if model.objects(live=True).first():  # else there is nothing that could be missed
                left_out[kind] = str(error)
    for kind in () if run.dry else COMPOSED:
        followed = {"status": Status.ACTIVE, "lease": None}
        for document in read_each(kinds()[kind], followed, counted(run.counts, kind)):
            with isolated(run.counts, f"{kind} {document.id}"):
                COMPOSED[kind].push(document)


def _listed(model: type[SyncedDocument], run: Run) -> set[int]:
    """Compare what Stripe lists; return a hash of each id that it does."""
    seen: set[int] = set()  # hashes: a million of them take some 60 MB, their ids three times that
    comparison = Comparison(model, dry=run.dry)
    for page in listed(model):
        seen.update(map(hash, comparison.page(page)))
    run.counts.update({name: n for name, n in comparison.counts.items() if name in ("adopt", "drift", "failed")})
    return seen


def _missing(model: type[SyncedDocument], seen: set[int], run: Run) -> None:
    kind = model.resource.kind
    for document in read_each(model, {"status": Status.ACTIVE}, counted(run.counts, kind)):
        if hash(document.stripe_id) in seen:
            continue
        with isolated(run.counts, f"{kind} {document.id}"):
            sight, _ = observe(document)
            if sight != Sight.GONE:
                continue
            if not run.dry and not run.brakes.spend():
                run.counts["braked"] += 1
                return
            run.counts["mark_deleted"] += 1
            if not run.dry:
                hand_over(model, {"_id": document.id}, of_id(document.stripe_id or "", "reconcile", gone=True))
