"""The walk through Stripe's lists, page by page beside our documents: what backfill and the full comparison both are.

Each list is read newest first, as it is when the walk begins; later objects arrive by their events. Then the lists that
need an owner are read, a share of them in each run (`sync/runs/owners.py`). A few pages are compared and stored
together, while a thread reads the next ones. Then the place is saved, so a killed walk goes on there. A page may be
compared any number of times, so two walks at once are safe.
"""

from collections import Counter
from collections.abc import Collection, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from typing import Any, TypeVar

from stripe_mongo_sync.models import StagedDocument, SyncedDocument
from stripe_mongo_sync.models.rows.tally import having
from stripe_mongo_sync.models.state import State
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.errors import BadKey, CannotReadStripe, MissingPermission, ReadRefused, WrongAccount
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.process.stop import STOP
from stripe_mongo_sync.sync.runs.compare import Comparison
from stripe_mongo_sync.sync.runs.owners import Owners, OwnerWalk
from stripe_mongo_sync.sync.runs.progress import OnProgress, ProgressStep, no_progress
from stripe_mongo_sync.sync.stripe.answers import Reply
from stripe_mongo_sync.sync.stripe.listing import ListCursor, is_not_there, list_pages

TOGETHER = 4  # pages that are compared and stored at once: one by one would take twice as long
SHOWN = 20  # failures that are stored for each kind; all are counted and logged

Model = type[SyncedDocument]
T = TypeVar("T")


@dataclass
class KindProgress:
    """The progress of one kind."""

    mark: ListCursor | None = None  # after the last stored page
    counts: Counter[str] = field(default_factory=Counter)  # what became of its objects: see `Comparison`
    troubles: list[list[str]] = field(default_factory=list)  # the id of an object that was not copied, and why
    missing: str | None = None  # why this account has no such list
    listed: bool = False  # its list is read to the end
    unlisted: int = 0  # documents that no list may show
    done: bool = False

    def trouble(self, id: str, why: str) -> None:
        """Record an object that was not copied."""
        if len(self.troubles) < SHOWN:
            self.troubles.append([id, why])

    def told(self, kind: str) -> dict[str, Any]:
        """Return it as a dictionary to be saved; `asdict` takes as long as a page where there are a hundred kinds."""
        return {**vars(self), "kind": kind, "mark": self.mark and vars(self.mark), "counts": dict(self.counts)}

    @classmethod
    def recalled(cls, told: dict[str, Any]) -> "KindProgress":
        """Return the progress that was saved as a dictionary."""
        return cls(**{**told, "mark": told["mark"] and ListCursor(**told["mark"]), "counts": Counter(told["counts"])})


@dataclass
class Walk:
    """One walk from its first start to its end, even if it is killed and resumed in between."""

    name: str  # under which its progress is remembered
    models: dict[str, Model]
    since: int | None
    began_at: int  # by MongoDB's clock, in seconds
    events_from: int  # events before that second show nothing that the lists do not
    owners: Owners = field(default_factory=lambda: Owners(set()))
    parts: dict[str, KindProgress] = field(default_factory=dict)
    unseen: list[str] = field(default_factory=list)  # what could not be read, and why
    resumed: bool = False
    asked: bool = False  # for these kinds: an account that lacks one is then a failure
    on_progress: OnProgress = no_progress
    _alive: Collection[type[StagedDocument]] | None = field(default=None, init=False, repr=False)

    @property
    def counts(self) -> Counter[str]:
        """The counts of all kinds together."""
        return sum((part.counts for part in self.parts.values()), Counter())

    @property
    def listed(self) -> list[str]:
        """The kinds that have a list of their own."""
        return [kind for kind, model in self.models.items() if model.resource.listable]

    @property
    def unread(self) -> set[str]:
        """Those of them whose list was not read to its end."""
        return {kind for kind in self.listed if kind not in self.parts or not self.parts[kind].done}

    @property
    def finished(self) -> bool:
        """Whether every list was read to its end."""
        return not self.owners.unfinished and not self.unread

    @property
    def not_available(self) -> dict[str, str]:
        """The kinds that this account does not have, and Stripe's reason."""
        return {kind: part.missing for kind, part in self.parts.items() if part.missing} | self.owners.missing

    def go(self) -> bool:
        """Compare what is left, and return whether Stripe answered throughout: what it refuses is an answer, too.

        What could not be read is in `unseen`. Raises Stopped.
        """
        silences = in_a_row = 0
        for kind in filter(self.unread.__contains__, self.listed):
            try:
                self._compare(kind)
                in_a_row = 0
            except (MissingPermission, ReadRefused) as error:
                in_a_row = 0
                self._refused(kind, error)
            except CannotReadStripe as error:
                self.unseen.append(f"{kind}: {error.advised}")
                silences, in_a_row = silences + 1, in_a_row + 1
                if in_a_row > 1 or isinstance(error, BadKey | WrongAccount):
                    return False  # it is Stripe's silence or our key, and not this kind's
        try:
            self._compare_owned()
        except CannotReadStripe as error:
            self.unseen.append(error.advised)
            silences += 1
        refused = self.owners.unseen | (self.owners.missing if self.asked else {})
        self.unseen.extend(f"{name}: {why}" for name, why in refused.items())
        return not silences

    @property
    def alive(self) -> Collection[type[StagedDocument]]:
        """The types that had documents when this was first asked."""
        if self._alive is None:
            self._alive = having(self.models.values(), {"is_current": True})
        return self._alive

    def _refused(self, kind: str, error: CannotReadStripe) -> None:
        if not self.asked and is_not_there(current().gateway, error, self.models[kind], alive=self.alive):
            part = self.parts[kind]
            part.missing, part.done = str(error), True
        else:
            log.warning("%s cannot be read: %s", kind, error)
            self.unseen.append(f"{kind}: {error}")

    def _compare(self, kind: str) -> None:
        part = self.parts.setdefault(kind, KindProgress())
        if not part.listed:
            self._compare_list(kind, part)
            part.listed = True
        self.end(kind)
        part.done = True
        if part.counts:  # else the next page saves it, and nothing is lost if a kind without objects is read again
            self.store()
        self.on_progress(self.step(kind))

    def _compare_list(self, kind: str, part: KindProgress) -> None:
        comparison = self.comparison(kind)
        pages = list_pages(current().gateway, self.models[kind], self.since, part.mark)
        with closing(_ahead(_together((comparison.read(page), cursor) for page, cursor in pages))) as ahead:
            for read in ahead:
                listed = [each for page, _ in read for each in page]
                self.saw(kind, comparison.compare(listed))
                part.mark = read[-1][1]
                if listed:
                    self.store()
                self.on_progress(self.step(kind))
                STOP.here()

    def _compare_owned(self) -> None:
        comparisons: dict[str, Comparison] = {}

        def take(kind: str, page: Reply) -> None:
            if kind not in comparisons:
                self.parts.setdefault(kind, KindProgress())
                comparisons[kind] = self.comparison(kind)
            comparison = comparisons[kind]
            self.saw(kind, comparison.compare(comparison.read(page)))

        for walk in self.owners.unfinished:
            walk.done = self.skips(walk.owner)
        self.owners.read(take, self.walked, but=self.unread)

    # --- what a full comparison does besides ---

    def comparison(self, kind: str) -> Comparison:
        """Return what compares the pages of a kind."""
        part = self.parts[kind]
        return Comparison(self.models[kind], report=part.trouble, counts=part.counts)

    def saw(self, kind: str, ids: list[str]) -> None:
        """Note the ids on a page."""

    def end(self, kind: str) -> None:
        """End a kind whose list was read to its end. Raises CannotReadStripe."""

    def skips(self, owner: str) -> bool:
        """Whether the owners of this kind are not walked through: this account does not have them."""
        return owner in self.parts and self.parts[owner].missing is not None

    def walked(self, walk: OwnerWalk) -> None:
        """Save and report that one more owner's lists are read."""
        self.store()
        self.on_progress(self.step_of(walk))

    # --- its progress ---

    def share(self, part: KindProgress) -> float | None:
        """Return which fraction of a kind's objects was read; None when unknown."""
        return 1.0 if part.done else None

    def step(self, kind: str) -> ProgressStep:
        """Return the progress of a kind."""
        part = self.parts[kind]
        return ProgressStep(kind, self._place(kind), part.counts.total(), lambda: self.share(part), part.done)

    def step_of(self, walk: OwnerWalk) -> ProgressStep:
        """Return the progress through the owners of a kind, whose number is unknown."""
        name = f"of each {walk.owner}"
        return ProgressStep(name, self._place(name), walk.asked, done=walk.done)

    def _place(self, name: str) -> str:
        places = [*self.listed, *(f"of each {owner}" for owner in self.owners.walks)]
        return f"{places.index(name) + 1}/{len(places)}"

    def store(self) -> None:
        """Save the progress."""
        parts = [part.told(kind) for kind, part in self.parts.items()]
        times = {"began_at": self.began_at, "events_from": self.events_from}
        State.note(self.name, {**times, "parts": parts, "owners": self.owners.as_json()})

    def resume(self, within: timedelta) -> None:
        """Continue the saved walk, unless it began longer ago."""
        value = State.read(self.name)
        if value is None or self.began_at - value["began_at"] > within.total_seconds():
            return
        self.began_at, self.events_from, self.resumed = value["began_at"], value["events_from"], True
        self.parts = {told.pop("kind"): KindProgress.recalled(told) for told in value["parts"]}
        self.owners.recall(value.get("owners", ()))
        if "owners" not in value:  # of a version that asked for a part of these lists
            alone = {kind for kind, model in self.models.items() if len(model.resource.list_params) == 1}
            self.parts = {kind: part for kind, part in self.parts.items() if kind in alone}
        log.info("%s resumes after %s objects", self.name, f"{self.counts.total():,}")


def _together(pages: Iterator[T]) -> Iterator[list[T]]:
    """Yield several pages at once; before an error, those that were read."""
    while True:
        read, failed = [], None
        try:
            for page in islice(pages, TOGETHER):
                read.append(page)
        except Exception as error:
            failed = error
        if read:
            yield read
        if failed is not None:
            raise failed
        if len(read) < TOGETHER:
            return


def _ahead(read: Iterator[T]) -> Generator[T]:
    """Yield each, and read the next one in a thread while one is compared."""
    context = copy_context()  # with the throttle of this run

    def more() -> T | None:
        return context.run(lambda: next(read, None))

    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(more)
        while (one := coming.result()) is not None:
            coming = reader.submit(more)
            yield one
