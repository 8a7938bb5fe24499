"""Reads the lists that need an owner, owner by owner: a share of them in each run, resuming where the last one ended.

Backfill and the full comparison read them after the lists that need no owner.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from stripe_mongo_sync.models import synced_kinds
from stripe_mongo_sync.models.owned import CLOCK, OWNED, OWNERS, Owned
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.errors import CannotReadStripe, MissingPermission, NoOwner, ReadRefused
from stripe_mongo_sync.sync.process.limits import OWNER_READS
from stripe_mongo_sync.sync.process.stop import STOP
from stripe_mongo_sync.sync.stripe.answers import Reply
from stripe_mongo_sync.sync.stripe.listing import (
    ListCursor,
    created_second,
    has_id,
    is_not_there,
    list_pages,
    made_since,
)

Json = dict[str, Any]
Take = Callable[[str, Reply], None]  # what is done with the objects of one kind on a page


@dataclass
class OwnerWalk:
    """The progress through the owners of one kind, over several runs."""

    owner: str
    mark: ListCursor | None = None  # the last owner whose lists are read
    asked: int = 0
    done: bool = False

    @classmethod
    def recalled(cls, told: Json) -> "OwnerWalk":
        """Return the walk that `asdict` saved as a dictionary."""
        return cls(**{**told, "mark": told["mark"] and ListCursor(**told["mark"])})

    def __str__(self) -> str:
        what = ", ".join(dict.fromkeys(kind for owned in OWNED if owned.owner == self.owner for kind in owned.kinds))
        return f"of each {self.owner} ({what}): {self.asked:,} were read, and the next run continues"


@dataclass
class Owners:
    """The walks of one run."""

    wanted: set[str]  # the kinds to read
    since: int | None = None
    reads: int = OWNER_READS
    walks: dict[str, OwnerWalk] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)  # by list: why this account does not have it
    unseen: dict[str, str] = field(default_factory=dict)  # by list: why it could not be read
    asked: dict[Owned, set[str]] = field(default_factory=dict)  # the owners whose list was completely read in this run

    def __post_init__(self) -> None:
        for owner in OWNERS:
            if self._lists(owner) and not (owner == CLOCK and current().settings.livemode):
                self.walks.setdefault(owner, OwnerWalk(owner))

    @property
    def unfinished(self) -> list[OwnerWalk]:
        """The walks that the next run continues."""
        return [walk for walk in self.walks.values() if not walk.done]

    def as_json(self) -> list[Json]:
        """Return the walks as they are saved."""
        return [asdict(walk) for walk in self.walks.values()]

    def recall(self, told: Iterable[Json]) -> None:
        """Continue the saved walks."""
        for each in told:
            if each["owner"] in self.walks:
                self.walks[each["owner"]] = OwnerWalk.recalled(each)

    def read(
        self, take: Take, on_walk: Callable[[OwnerWalk], None] = lambda walk: None, *, but: Collection[str] = ()
    ) -> None:
        """Read the lists of owners while there are reads left: `take` gets each page, and `on_walk` the progress.

        Owners of the kinds in `but` are skipped. Raises CannotReadStripe.
        """
        self._take = take
        for walk in self.unfinished:
            if walk.owner not in but:
                self._go_on(walk, on_walk)

    def _go_on(self, walk: OwnerWalk, on_walk: Callable[[OwnerWalk], None]) -> None:
        model = synced_kinds()[walk.owner]
        try:
            for page, _ in list_pages(current().gateway, model, None, walk.mark) if self.reads > 0 else ():
                self.reads -= 1
                for owner in filter(has_id, page.remote["data"]):
                    if self.reads <= 0 or self._nothing_to_ask(walk):
                        return
                    STOP.here()
                    self._ask(walk.owner, owner, page)
                    walk.mark, walk.asked = ListCursor(owner["id"], created_second(owner)), walk.asked + 1
                    on_walk(walk)
            walk.done = self.reads > 0
        except (MissingPermission, ReadRefused) as error:
            walk.done = self._refused(f"what each {walk.owner} has", error, walk.owner)

    def _nothing_to_ask(self, walk: OwnerWalk) -> bool:
        """Whether none of these lists can be read. If the account does not have them, the walk is done."""
        names = {_name(owned) for owned in self._lists(walk.owner)}
        walk.done = names <= self.missing.keys()
        return names <= self.missing.keys() | self.unseen.keys()

    def _ask(self, kind: str, owner: Json, seen: Reply) -> None:
        for owned in self._lists(kind):
            name = _name(owned)
            if name in self.missing or name in self.unseen or not owned.is_asked(owner):
                continue
            try:
                self._read_list(owned, owner, seen)
                self.asked.setdefault(owned, set()).add(owner["id"])
            except NoOwner:
                return
            except (MissingPermission, ReadRefused) as error:
                if isinstance(error, ReadRefused) and owned in self.asked:  # other owners have such a list
                    self.unseen[f"{name}: {owner['id']}"] = str(error)
                else:
                    self._refused(name, error, *owned.kinds)

    def _read_list(self, owned: Owned, owner: Json, seen: Reply) -> None:
        shown = owner.get(owned.shown) if owned.shown else None
        if isinstance(shown, dict) and not shown.get("has_more"):
            self._hand_on(owned, replace(seen, remote=shown))
            return
        for page in current().gateway.pages(owned.address(owner), **owned.params(owner)):
            self.reads -= 1
            self._hand_on(owned, made_since(page, self.since))
            for kind in {*owned.kinds} & self.walks.keys() if owned.owner == CLOCK else ():
                for each in filter(has_id, page.remote["data"]):  # the customers of a clock are in no other list
                    self._ask(kind, each, page)

    def _hand_on(self, owned: Owned, page: Reply) -> None:
        for kind in owned.kinds:
            if kind in self.wanted:
                data = [each for each in page.remote["data"] if isinstance(each, dict) and each.get("object") == kind]
                self._take(kind, replace(page, remote={**page.remote, "data": data}))

    def _lists(self, owner: str) -> list[Owned]:
        """Return the lists to read of such an owner. A test clock's customers are read for what they own, too."""
        deeper = self.wanted & {kind for owned in OWNED if owned.owner == "customer" for kind in owned.kinds}
        return [
            owned
            for owned in OWNED
            if owned.owner == owner
            and (self.wanted.intersection(owned.kinds) or (owner == CLOCK and "customer" in owned.kinds and deeper))
        ]

    def _refused(self, name: str, error: CannotReadStripe, *of: str) -> bool:
        is_missing = is_not_there(current().gateway, error, *(synced_kinds()[kind] for kind in of))
        (self.missing if is_missing else self.unseen)[name] = str(error)
        return is_missing


def _name(owned: Owned) -> str:
    return f"{', '.join(owned.kinds)} of each {owned.owner}"
