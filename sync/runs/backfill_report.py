"""How far a backfill is: what became of each kind, what is remembered of it, and what people are told."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from stripe_mongo_sync.models import SyncedDocument, kinds
from stripe_mongo_sync.models.owned import in_no_list
from stripe_mongo_sync.models.state import State
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.process.screen import word
from stripe_mongo_sync.sync.runs.owners import Owners, Walk
from stripe_mongo_sync.sync.runs.progress import ProgressStep
from stripe_mongo_sync.sync.stripe.listing import EVENT_RETENTION, ListCursor

SHOWN = 20  # troubles that are kept of each kind; every one is counted and logged
TROUBLES = ("failed", "doubt")  # counts of objects that were not copied

Model = type[SyncedDocument]


@dataclass
class KindProgress:
    """How far one kind is."""

    mark: ListCursor | None = None  # after the last page that is wholly stored
    counts: Counter[str] = field(default_factory=Counter)  # what became of its objects: see `Comparison`
    troubles: list[list[str]] = field(default_factory=list)  # the id of an object that was not copied, and why
    missing: str | None = None  # why this account has no such list
    done: bool = False

    def trouble(self, id: str, why: str) -> None:
        """Note an object that was not copied."""
        if len(self.troubles) < SHOWN:
            self.troubles.append([id, why])

    @classmethod
    def recalled(cls, told: dict[str, Any]) -> "KindProgress":
        """Return what `asdict` made a dictionary of."""
        return cls(**{**told, "mark": told["mark"] and ListCursor(**told["mark"]), "counts": Counter(told["counts"])})


@dataclass
class Backfill:
    """One backfill, from its first start to its end, however often it is killed in between."""

    name: str  # under which its progress is remembered
    models: dict[str, Model]
    since: int | None
    began_at: int  # by MongoDB's clock, in seconds
    events_from: int  # events before that second can tell nothing that it does not see
    owners: Owners = field(default_factory=lambda: Owners(set()))
    parts: dict[str, KindProgress] = field(default_factory=dict)
    unseen: list[str] = field(default_factory=list)  # what could not be looked at, and why
    resumed: bool = False
    stopped: bool = False  # before everything was read
    account_created: int | None = None

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
        return [kind for kind, model in self.models.items() if model.resource.listable]

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

    def share(self, part: KindProgress) -> float | None:
        """Return how much of the account's time a kind has covered, or None where nobody knows.

        Stripe does not tell how many objects there are. They come newest first, so their age tells how far we are.
        """
        start = self.account_created if self.since is None else self.since
        if part.done:
            return 1.0
        if start is None or part.mark is None or part.mark.born is None or self.began_at <= start:
            return None
        return min(max((self.began_at - part.mark.born) / (self.began_at - start), 0.0), 1.0)

    def step(self, kind: str) -> ProgressStep:
        """Return how far a kind is, for whoever shows it."""
        part = self.parts[kind]
        return ProgressStep(kind, self._place(kind), part.counts.total(), lambda: self.share(part), part.done)

    def walked(self, walk: Walk) -> ProgressStep:
        """Return how far the owners of a kind are asked; how many there are, nobody knows."""
        name = f"of each {walk.owner}"
        return ProgressStep(name, self._place(name), walk.asked, done=walk.done)

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

    def store(self) -> None:
        """Write down how far it is."""
        parts = [{**asdict(part), "kind": kind, "counts": dict(part.counts)} for kind, part in self.parts.items()]
        times = {"began_at": self.began_at, "events_from": self.events_from}
        State.write(self.name, {**times, "parts": parts, "owners": self.owners.as_json()})

    def resume(self) -> None:
        """Go on where it was killed; if that is so long ago that events cannot tell what was missed, begin anew."""
        value = State.read(self.name)
        if value is None or self.began_at - value["began_at"] > EVENT_RETENTION.total_seconds():
            return
        self.began_at, self.events_from, self.resumed = value["began_at"], value["events_from"], True
        self.parts = {told.pop("kind"): KindProgress.recalled(told) for told in value["parts"]}
        self.owners.recall(value.get("owners", ()))
        if "owners" not in value:  # of a version that asked for a part of these lists
            self.parts = {
                kind: part for kind, part in self.parts.items() if len(kinds()[kind].resource.list_params) == 1
            }
        log.info("goes on where it was: %s objects were read", f"{self.counts.total():,}")
