"""Backfill: copies an existing Stripe account into MongoDB, beside live webhooks, and resumes after a kill."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stripe_mongo_sync.models import SyncedDocument, synced_kinds
from stripe_mongo_sync.models.owned import in_no_list, owned_kinds
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.state import CHECKPOINT, State
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.engine.dependents import needs
from stripe_mongo_sync.sync.errors import BadSettings, CannotReadStripe
from stripe_mongo_sync.sync.inbox.checkpoint import since as events_since
from stripe_mongo_sync.sync.process.limits import OWNER_READS
from stripe_mongo_sync.sync.process.screen import word
from stripe_mongo_sync.sync.process.stop import Stopped
from stripe_mongo_sync.sync.runs.owners import Owners
from stripe_mongo_sync.sync.runs.progress import OnProgress, no_progress
from stripe_mongo_sync.sync.runs.walk import KindProgress, Walk
from stripe_mongo_sync.sync.stripe.listing import EVENT_RETENTION, LAG
from stripe_mongo_sync.sync.stripe.throttle import Throttle

TROUBLES = ("failed", "doubt")  # counts of objects that were not copied

Model = type[SyncedDocument]


@dataclass
class Backfill(Walk):
    """One backfill from its first start to its end, and its report."""

    stopped: bool = False  # before everything was read
    account_created: int | None = None

    @property
    def not_compared(self) -> dict[str, str]:
        """The objects of these kinds that no list shows, so that only events bring them."""
        return {kind: why for kind in self.models if (why := in_no_list(kind))}

    @property
    def exit_code(self) -> int:
        """0 everything is copied, 1 some objects are not, 2 could not read everything."""
        if self.unseen or not self.finished:
            return 2
        return 1 if any(self.counts[name] for name in TROUBLES) else 0

    def share(self, part: KindProgress) -> float | None:
        """Return which fraction of the account's lifetime the copied objects of a kind cover; None when unknown.

        Stripe does not say how many objects exist. It lists the newest first, so their age shows the progress.
        """
        start = self.account_created if self.since is None else self.since
        if part.done:
            return 1.0
        if start is None or part.mark is None or part.mark.born is None or self.began_at <= start:
            return None
        return min(max((self.began_at - part.mark.born) / (self.began_at - start), 0.0), 1.0)

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "counts": dict(self.counts),
            "kinds": {kind: dict(part.counts) for kind, part in self.parts.items() if part.counts},
            "troubles": [{"kind": kind, "id": id, "why": why} for kind, id, why in self._troubles()],
            "not_available": self.not_available,
            "not_compared": self.not_compared,
            "unseen": self.unseen,
            "resumed": self.resumed,
            "stopped": self.stopped,
            "finished": self.finished,
            "exit_code": self.exit_code,
        }

    @property
    def lines(self) -> list[str]:
        """What the command prints without `--json`."""
        told = ", ".join(f"{name} {count:,}" for name, count in sorted(self.counts.items()) if count)
        lines = [f"{self.counts.total():,} objects" + (f": {told}" if told else "")]
        lines += [f"{name}: not available for this account" for name in self.not_available]
        lines += [f"not compared: {kind}: {why}" for kind, why in self.not_compared.items()]
        lines += [f"✘ {kind} {word(id)}: {why}" for kind, id, why in self._troubles()]
        lines += [f"✘ {what}" for what in self.unseen]
        lines += [f"not finished: {walk}" for walk in self.owners.unfinished]
        if self.finished:
            return lines
        told = f"backfill incomplete: {len(self.listed) - len(self.unread)} of {len(self.listed)} types are copied"
        return [*lines, f"{told}. Run the same command again to resume"]

    def _troubles(self) -> list[tuple[str, str, str]]:
        return [(kind, id, why) for kind, part in self.parts.items() for id, why in part.troubles]


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
        name = " ".join(["backfill", *(models if wanted else ()), *([] if since is None else [f"since {since}"])])
        owners = Owners({*models}, since=since, reads=owner_reads)
        whole = Backfill(
            name,
            models,
            since,
            int(clock.now().timestamp()),
            events_since(None) + LAG,
            owners,
            asked=bool(wanted),
            on_progress=on_progress,
        )
        if not restart:
            whole.resume(EVENT_RETENTION)  # after that, Stripe no longer lists the events since it began
        whole.account_created = _account_created() if since is None else None
        try:
            whole.go()
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
