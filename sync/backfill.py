"""Backfill: copy an existing Stripe account into MongoDB, beside live webhooks, and go on after a kill.

Each list is read newest first, as it is when the backfill begins; what appears later is brought by its events. Then
owners are asked for what is listed under them only, a share in each run (sync/owners.py). After each page that is
wholly stored, its place is remembered. Only one page is in memory, and a page may be stored any number of times, so two
at once are safe.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from models import SyncedDocument, clock, kinds
from models.owned import in_no_list, owned_kinds
from models.state import CHECKPOINT, State
from sync.answers import Reply
from sync.compare import Comparison
from sync.composed import NEEDED
from sync.connection import current
from sync.errors import BadKey, BadSettings, CannotLook, Outage, WrongStripe
from sync.find import HORIZON
from sync.listing import LAG, Mark, is_not_there, marked
from sync.logs import log
from sync.migrations import migrate
from sync.owners import READS, Owners, Walk
from sync.patience import Patience
from sync.progress import Note, Step, unnoted
from sync.reconcile import since as events_since
from sync.screen import word
from sync.stop import STOP, Stopped

SHOWN = 20  # troubles that are kept of each kind; every one is counted and logged
TROUBLES = ("failed", "doubt")  # counts of objects that were not copied

Model = type[SyncedDocument]


@dataclass
class Part:
    """How far one kind is."""

    mark: Mark | None = None  # after the last page that is wholly stored
    counts: Counter[str] = field(default_factory=Counter)  # what became of its objects: see `Comparison`
    troubles: list[list[str]] = field(default_factory=list)  # the id of an object that was not copied, and why
    missing: str | None = None  # why this account has no such list
    done: bool = False

    def trouble(self, id: str, why: str) -> None:
        """Note an object that was not copied."""
        if len(self.troubles) < SHOWN:
            self.troubles.append([id, why])

    @classmethod
    def recalled(cls, told: dict[str, Any]) -> "Part":
        """Return what `asdict` made a dictionary of."""
        return cls(**{**told, "mark": told["mark"] and Mark(**told["mark"]), "counts": Counter(told["counts"])})


@dataclass
class Backfill:
    """One backfill, from its first start to its end, however often it is killed in between."""

    name: str  # under which its progress is remembered
    models: dict[str, Model]
    since: int | None
    began_at: int  # by MongoDB's clock, in seconds
    events_from: int  # events before that second can tell nothing that it does not see
    owners: Owners = field(default_factory=lambda: Owners(set()))
    parts: dict[str, Part] = field(default_factory=dict)
    unseen: list[str] = field(default_factory=list)  # what could not be looked at, and why
    resumed: bool = False
    stopped: bool = False  # before everything was read
    account_born: int | None = None

    @property
    def counts(self) -> Counter[str]:
        """What became of the objects of all kinds."""
        return sum((part.counts for part in self.parts.values()), Counter())

    @property
    def finished(self) -> bool:
        """Whether every list was read to its end."""
        return not self.owners.unfinished and all(kind in self.parts and self.parts[kind].done for kind in self.listed)

    @property
    def listed(self) -> list[str]:
        """The kinds that have a list of their own."""
        return [kind for kind, model in self.models.items() if model.resource.listed]

    @property
    def not_available(self) -> dict[str, str]:
        """What this account does not have, and why we think so."""
        return {kind: part.missing for kind, part in self.parts.items() if part.missing} | self.owners.missing

    @property
    def not_compared(self) -> dict[str, str]:
        """What of these kinds no list shows, so that only events bring it."""
        return {kind: why for kind in self.models if (why := in_no_list(kind))}

    @property
    def exit_code(self) -> int:
        """0 everything is copied, 1 some objects are not, 2 could not look at everything."""
        if self.unseen or not self.finished:
            return 2
        return 1 if any(self.counts[name] for name in TROUBLES) else 0

    def share(self, part: Part) -> float | None:
        """Return how much of the account's time a kind has covered, or None where nobody knows.

        Stripe does not tell how many objects there are. They come newest first, so their age tells how far we are.
        """
        start = self.account_born if self.since is None else self.since
        if part.done:
            return 1.0
        if start is None or part.mark is None or part.mark.born is None or self.began_at <= start:
            return None
        return min(max((self.began_at - part.mark.born) / (self.began_at - start), 0.0), 1.0)

    def step(self, kind: str) -> Step:
        """Return how far a kind is, for whoever shows it."""
        part = self.parts[kind]
        return Step(kind, self._place(kind), part.counts.total(), lambda: self.share(part), part.done)

    def walked(self, walk: Walk) -> Step:
        """Return how far the owners of a kind are asked; how many there are, nobody knows."""
        name = f"of each {walk.owner}"
        return Step(name, self._place(name), walk.asked, done=walk.done)

    def _place(self, name: str) -> str:
        places = [*self.listed, *(f"of each {owner}" for owner in self.owners.walks)]
        return f"{places.index(name) + 1}/{len(places)}"

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
        """What people are told."""
        told = ", ".join(f"{name} {count:,}" for name, count in sorted(self.counts.items()) if count)
        lines = [f"{self.counts.total():,} objects" + (f": {told}" if told else "")]
        lines += [f"{name}: not available for this account" for name in self.not_available]
        lines += [f"not compared: {kind}: {why}" for kind, why in self.not_compared.items()]
        lines += [f"✘ {kind} {word(id)}: {why}" for kind, id, why in self._troubles()]
        lines += [f"✘ {what}" for what in self.unseen]
        lines += [f"not finished: {walk}" for walk in self.owners.unfinished]
        return lines if self.finished else [*lines, "not finished: the same command goes on from here"]

    def _troubles(self) -> list[tuple[str, str, str]]:
        return [(kind, id, why) for kind, part in self.parts.items() for id, why in part.troubles]

    # --- its memory ---

    def remember(self) -> None:
        """Write down how far it is."""
        parts = [{**asdict(part), "kind": kind, "counts": dict(part.counts)} for kind, part in self.parts.items()]
        times = {"began_at": self.began_at, "events_from": self.events_from}
        State.write(self.name, {**times, "parts": parts, "owners": self.owners.as_json()})

    def recall(self) -> None:
        """Go on where it was killed; if that is so long ago that events cannot tell what was missed, begin anew."""
        value = State.read(self.name)
        if value is None or self.began_at - value["began_at"] > HORIZON.total_seconds():
            return
        self.began_at, self.events_from, self.resumed = value["began_at"], value["events_from"], True
        self.parts = {told.pop("kind"): Part.recalled(told) for told in value["parts"]}
        self.owners.recall(value.get("owners", ()))
        if "owners" not in value:  # of a version that asked for a part of these lists
            self.parts = {kind: part for kind, part in self.parts.items() if len(kinds()[kind].resource.whole) == 1}
        log.info("goes on where it was: %s objects were read", f"{self.counts.total():,}")


def backfill(
    wanted: Sequence[str] = (),
    *,
    since: int | None = None,
    restart: bool = False,
    owner_reads: int = READS,
    patience: Patience,
    note: Note = unnoted,
) -> Backfill:
    """Copy the kinds that are wanted, by default all of them, and call `note` after each page.

    What is listed under its owner only is read with `owner_reads` GETs in each run. What was not finished is resumed,
    unless it is to `restart`; what was finished begins anew. What cannot be read or kept is in the report. Raises
    BadSettings, or CannotLook (WrongStripe, BadKey) before anything was read.
    """
    models = chosen(wanted)
    if not current().settings.adopt:
        models = {kind: model for kind, model in models.items() if model.resource.mirrored or kind in NEEDED}
    if not models:
        raise BadSettings(["ADOPT=no: what was made elsewhere gets no document here, so there is nothing to copy"])
    with patience.kept():
        current().gateway.require_right_stripe()
        migrate(note)  # or what an older version stored would pass for drift
        name = " ".join(["backfill", *(models if wanted else ()), *([] if since is None else [f"since {since}"])])
        owners = Owners({*models}, since=since, reads=owner_reads)
        whole = Backfill(name, models, since, int(clock.now().timestamp()), events_since(None) + LAG, owners)
        if not restart:
            whole.recall()
        whole.account_born = _account_born() if since is None else None
        try:
            _copy_all(whole, note, asked=bool(wanted))
        except Stopped:
            whole.stopped = True
    if whole.finished:
        State.clear(name)
        if not wanted and since is None and whole.exit_code == 0:
            # Everything was compared once, so the first reconcile need not do it again: events tell the rest.
            State.first(CHECKPOINT, {"read_at": whole.events_from, "newest": None})
    return whole


def chosen(wanted: Sequence[str]) -> dict[str, Model]:
    """Return the models of these kinds or collections, or of all that Stripe knows. Raises BadSettings."""
    known = {kind: model for kind, model in kinds().items() if model.resource.path or model.resource.mirrored}
    if not wanted:
        return known
    listable = {kind: model for kind, model in known.items() if model.resource.listed or kind in owned_kinds()}
    names = {_plain(name): kind for kind, model in listable.items() for name in (model._get_collection_name(), kind)}
    if unknown := [name for name in wanted if _plain(name) not in names]:
        raise BadSettings([f"there is no list of {', '.join(unknown)}; there are: {', '.join(sorted(listable))}"])
    kept = {names[_plain(name)] for name in wanted}
    return {kind: model for kind, model in listable.items() if kind in kept}


def _plain(name: str) -> str:
    return name.lower().replace("-", "_").replace(".", "_")


def _account_born() -> int | None:
    try:
        account = current().gateway.get("/v1/account")
    except CannotLook:  # a restricted key may not: then nobody can tell how far we are
        return None
    told = account and account.remote.get("created")
    return told if isinstance(told, int) else None


def _copy_all(whole: Backfill, note: Note, *, asked: bool) -> None:
    silent = False
    for kind in whole.listed:
        model, part = whole.models[kind], whole.parts.setdefault(kind, Part())
        if part.done:
            continue
        try:
            _copy(whole, kind, note)
            silent = False
        except (BadKey, WrongStripe) as error:
            whole.unseen.append(str(error))
            return
        except Outage as error:
            whole.unseen.append(f"{kind}: {error}")
            if silent:
                return  # it is not this kind but Stripe
            silent = True
        except CannotLook as error:
            log.warning("%s cannot be read: %s", kind, error)
            if is_not_there(current().gateway, error, model) and not asked:
                part.missing, part.done = str(error), True
                whole.remember()
            else:
                whole.unseen.append(f"{kind}: {error}")
    _copy_owned(whole, note, asked=asked)


def _copy_owned(whole: Backfill, note: Note, *, asked: bool) -> None:
    comparisons: dict[str, Comparison] = {}

    def take(kind: str, page: Reply) -> None:
        if kind not in comparisons:
            part = whole.parts.setdefault(kind, Part())
            comparisons[kind] = Comparison(whole.models[kind], report=part.trouble, counts=part.counts)
        comparisons[kind].page(page)

    def tell(walk: Walk) -> None:
        whole.remember()
        note(whole.walked(walk))

    owners = whole.owners
    for walk in owners.unfinished:
        walk.done = bool(walk.owner in whole.parts and whole.parts[walk.owner].missing)
    unread = {kind for kind in whole.listed if not whole.parts[kind].done}  # it was said why
    try:
        owners.read(take, tell, but=unread)
    except CannotLook as error:
        whole.unseen.append(str(error))
    refused = owners.unseen | (owners.missing if asked else {})
    whole.unseen.extend(f"{name}: {why}" for name, why in refused.items())


def _copy(whole: Backfill, kind: str, note: Note) -> None:
    model, part = whole.models[kind], whole.parts[kind]
    comparison = Comparison(model, report=part.trouble, counts=part.counts)
    for page, mark in marked(current().gateway, model, whole.since, part.mark):
        comparison.page(page)
        part.mark = mark
        whole.remember()
        note(whole.step(kind))
        STOP.here()
    part.done = True
    whole.remember()
    note(whole.step(kind))
