"""Backfill: copies an existing Stripe account into MongoDB, beside live webhooks, and resumes after a kill.

Each list is read newest first, as it is when the backfill begins; later objects arrive by their events. Then the lists
that need an owner are read, a share of them in each run (sync/runs/owners.py). The cursor is saved after each stored
page. Only one page is in memory, and a page may be stored any number of times, so two backfills at once are safe.
"""

from collections.abc import Sequence

from stripe_mongo_sync.models import SyncedDocument, synced_kinds
from stripe_mongo_sync.models.owned import owned_kinds
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.state import CHECKPOINT, State
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.engine.dependents import needs
from stripe_mongo_sync.sync.errors import BadKey, BadSettings, CannotReadStripe, Outage, WrongAccount
from stripe_mongo_sync.sync.inbox.checkpoint import since as events_since
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.process.limits import OWNER_READS
from stripe_mongo_sync.sync.process.stop import STOP, Stopped
from stripe_mongo_sync.sync.runs.backfill_report import Backfill, KindProgress
from stripe_mongo_sync.sync.runs.compare import Comparison
from stripe_mongo_sync.sync.runs.migrations import migrate
from stripe_mongo_sync.sync.runs.owners import Owners, Walk
from stripe_mongo_sync.sync.runs.progress import OnProgress, no_progress
from stripe_mongo_sync.sync.stripe.answers import Reply
from stripe_mongo_sync.sync.stripe.listing import LAG, is_not_there, pages_with_cursor
from stripe_mongo_sync.sync.stripe.throttle import Throttle

Model = type[SyncedDocument]


def backfill(
    wanted: Sequence[str] = (),
    *,
    since: int | None = None,
    restart: bool = False,
    owner_reads: int = OWNER_READS,
    patience: Throttle,
    on_progress: OnProgress = no_progress,
) -> Backfill:
    """Copy the `wanted` kinds, by default all of them, and call `on_progress` after each page.

    Each run spends `owner_reads` GETs on lists that need an owner. An unfinished backfill is resumed, unless `restart`
    is given; a finished one starts again. What cannot be read or stored is in the report. Raises BadSettings, or
    CannotReadStripe (WrongAccount, BadKey) before anything was read.
    """
    models = chosen(wanted)
    if not current().settings.adopt:
        models = {kind: model for kind, model in models.items() if model.resource.mirrored or needs(kind)}
    if not models:
        raise BadSettings(["ADOPT=no: objects created elsewhere get no document here, so there is nothing to copy"])
    with patience.active():
        current().gateway.verify_account()
        migrate(on_progress)  # else what an older version stored would count as drift
        name = " ".join(["backfill", *(models if wanted else ()), *([] if since is None else [f"since {since}"])])
        owners = Owners({*models}, since=since, reads=owner_reads)
        whole = Backfill(name, models, since, int(clock.now().timestamp()), events_since(None) + LAG, owners)
        if not restart:
            whole.resume()
        whole.account_created = _account_created() if since is None else None
        try:
            _copy_all(whole, on_progress, asked=bool(wanted))
        except Stopped:
            whole.stopped = True
    if whole.finished:
        State.clear(name)
        if not wanted and since is None and whole.exit_code == 0:
            # Everything was compared, so the first reconcile need not do it again: events bring later changes.
            State.set_default(CHECKPOINT, {"read_at": whole.events_from, "newest": None})
    return whole


def chosen(wanted: Sequence[str]) -> dict[str, Model]:
    """Return the models of these kinds or collections, or of all that Stripe knows. Raises BadSettings."""
    known = synced_kinds()
    if not wanted:
        return known
    listable = {kind: model for kind, model in known.items() if model.resource.listable or kind in owned_kinds()}
    names = {_plain(name): kind for kind, model in listable.items() for name in (model.plural(), kind)}
    if unknown := [name for name in wanted if _plain(name) not in names]:
        raise BadSettings([f"there is no list of {', '.join(unknown)}; the lists are: {', '.join(sorted(listable))}"])
    kept = {names[_plain(name)] for name in wanted}
    return {kind: model for kind, model in listable.items() if kind in kept}


def _plain(name: str) -> str:
    return name.lower().replace("-", "_").replace(".", "_")


def _account_created() -> int | None:
    try:
        account = current().gateway.get("/v1/account")
    except CannotReadStripe:  # a restricted key may not read it; then the progress is unknown
        return None
    told = account and account.remote.get("created")
    return told if isinstance(told, int) else None


def _copy_all(whole: Backfill, on_progress: OnProgress, *, asked: bool) -> None:
    silent = False
    for kind in whole.listed:
        model, part = whole.models[kind], whole.parts.setdefault(kind, KindProgress())
        if part.done:
            continue
        try:
            _copy(whole, kind, on_progress)
            silent = False
        except (BadKey, WrongAccount) as error:
            whole.unseen.append(str(error))
            return
        except Outage as error:
            whole.unseen.append(f"{kind}: {error}")
            if silent:
                return  # two in a row: the outage is Stripe's, not this kind's
            silent = True
        except CannotReadStripe as error:
            log.warning("%s cannot be read: %s", kind, error)
            if is_not_there(current().gateway, error, model) and not asked:
                part.missing, part.done = str(error), True
                whole.store()
            else:
                whole.unseen.append(f"{kind}: {error}")
    _copy_owned(whole, on_progress, asked=asked)


def _copy_owned(whole: Backfill, on_progress: OnProgress, *, asked: bool) -> None:
    comparisons: dict[str, Comparison] = {}

    def take(kind: str, page: Reply) -> None:
        if kind not in comparisons:
            part = whole.parts.setdefault(kind, KindProgress())
            comparisons[kind] = Comparison(whole.models[kind], report=part.trouble, counts=part.counts)
        comparisons[kind].page(page)

    def tell(walk: Walk) -> None:
        whole.store()
        on_progress(whole.walked(walk))

    owners = whole.owners
    for walk in owners.unfinished:
        walk.done = bool(walk.owner in whole.parts and whole.parts[walk.owner].missing)
    unread = {kind for kind in whole.listed if not whole.parts[kind].done}  # the report says why
    try:
        owners.read(take, tell, but=unread)
    except CannotReadStripe as error:
        whole.unseen.append(str(error))
    refused = owners.unseen | (owners.missing if asked else {})
    whole.unseen.extend(f"{name}: {why}" for name, why in refused.items())


def _copy(whole: Backfill, kind: str, on_progress: OnProgress) -> None:
    model, part = whole.models[kind], whole.parts[kind]
    comparison = Comparison(model, report=part.trouble, counts=part.counts)
    for page, cursor in pages_with_cursor(current().gateway, model, whole.since, part.mark):
        comparison.page(page)
        part.mark = cursor
        whole.store()
        on_progress(whole.step(kind))
        STOP.here()
    part.done = True
    whole.store()
    on_progress(whole.step(kind))
