"""The progress and the report of a backfill: the counts of each kind, the saved state, and the printed lines."""

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

SHOWN = 20  # failures that are stored for each kind; all are counted and logged
TROUBLES = ("failed", "doubt")  # counts of objects that were not copied

Model = type[SyncedDocument]


@dataclass
class KindProgress:
    """The progress of one kind."""

    mark: ListCursor | None = None  # after the last stored page
    counts: Counter[str] = field(default_factory=Counter)  # what became of its objects: see `Comparison`
    troubles: list[list[str]] = field(default_factory=list)  # the id of an object that was not copied, and why
    missing: str | None = None  # why this account has no such list
    done: bool = False

    def trouble(self, id: str, why: str) -> None:
        """Record an object that was not copied."""
        if len(self.troubles) < SHOWN:
            self.troubles.append([id, why])

    @classmethod
    def recalled(cls, told: dict[str, Any]) -> "KindProgress":
        """Return the progress that was saved as a dictionary."""
        return cls(**{**told, "mark": told["mark"] and ListCursor(**told["mark"]), "counts": Counter(told["counts"])})


@dataclass
class Backfill:
    """One backfill from its first start to its end, even if it is killed and resumed in between."""

    name: str  # under which its progress is remembered
    models: dict[str, Model]
    since: int | None
    began_at: int  # by MongoDB's clock, in seconds
    events_from: int  # events before that second show nothing that the lists do not
    owners: Owners = field(default_factory=lambda: Owners(set()))
    parts: dict[str, KindProgress] = field(default_factory=dict)
    unseen: list[str] = field(default_factory=list)  # what could not be read, and why
    resumed: bool = False
    stopped: bool = False  # before everything was read
    account_created: int | None = None

    @property
    def counts(self) -> Counter[str]:
        """The counts of all kinds together."""
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
        """The kinds that this account does not have, and Stripe's reason."""
        return {kind: part.missing for kind, part in self.parts.items() if part.missing} | self.owners.missing

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

    def step(self, kind: str) -> ProgressStep:
        """Return the progress of a kind."""
        part = self.parts[kind]
        return ProgressStep(kind, self._place(kind), part.counts.total(), lambda: self.share(part), part.done)

    def walked(self, walk: Walk) -> ProgressStep:
        """Return the progress through the owners of a kind, whose number is unknown."""
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
        copied = sum(self.parts[kind].done for kind in self.listed if kind in self.parts)
        told = f"backfill incomplete: {copied} of {len(self.listed)} types are copied"
        return [*lines, f"{told}. Run the same command again to resume"]

    def _troubles(self) -> list[tuple[str, str, str]]:
        return [(kind, id, why) for kind, part in self.parts.items() for id, why in part.troubles]

    # --- its memory ---

    def store(self) -> None:
        """Save the progress."""
        parts = [{**asdict(part), "kind": kind, "counts": dict(part.counts)} for kind, part in self.parts.items()]
        times = {"began_at": self.began_at, "events_from": self.events_from}
        State.write(self.name, {**times, "parts": parts, "owners": self.owners.as_json()})

    def resume(self) -> None:
        """Continue the saved backfill, unless it is so old that Stripe no longer lists the events since then."""
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
        log.info("backfill resumes after %s objects", f"{self.counts.total():,}")
