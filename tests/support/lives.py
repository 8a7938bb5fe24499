"""Lives: what is done is done once, and both sides are copied before each of its effects. Each copy is a death.

A process that dies leaves nothing but MongoDB, Stripe and the time: who begins from a copy begins where one has died,
and needs neither to arrange the scene nor to come to that point again.
"""

import copy
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from bson.raw_bson import RawBSONDocument
from pymongo.database import Database

from stripe_mongo_sync.emulator import Emulator
from stripe_mongo_sync.models.rows import clock
from tests.support.fuse import Fuse
from tests.support.world import World

Rows = dict[str, list[RawBSONDocument]]


@dataclass(frozen=True)
class Death:
    """Before which effect a process died, and the number of that, `of` so many; None where it survived them all."""

    effect: int
    died: str | None
    of: int


@dataclass(frozen=True)
class _Scene:
    """All that a process leaves behind, as it was at one moment, and what the listeners had heard."""

    rows: Rows
    stripe: Emulator
    ahead: timedelta
    heard: list[dict[str, Any]]  # by each listener


class Lives:
    """A world, and what becomes of it when its process dies before one effect or the other of what it does."""

    def __init__(self, address: str, database: Database[Any]) -> None:
        self.fuse = Fuse()
        self.world = World(address, fuse=self.fuse)
        self._database = database.with_options(database.codec_options.with_options(document_class=RawBSONDocument))
        self._rows: Rows = {}  # what is known to be in the collections that nobody wrote to since

    def deaths(
        self,
        act: Callable[[], Any],
        *,
        least: int,
        at: Callable[[int], bool] | None = None,
        since: Collection[str] = (),
    ) -> Iterator[Death]:
        """Do `act`, and yield once for each of its effects, with the world as it was before it, and once as it is after
        them all. Asserts that there were `least` or more.

        `at` says of the number of an effect whether to die there. Where `since` names effects, it dies only after one
        of them.
        """
        scenes: list[tuple[int, str | None, _Scene]] = []
        effects, begun = 0, not since

        def note(effect: str) -> None:
            nonlocal effects, begun
            effects += 1
            if begun and (at is None or at(effects)):
                scenes.append((effects, effect, self._scene()))
            begun = begun or effect in since

        with self.fuse.watched(note):
            act()
        assert effects >= least, f"it had but {effects} effects"
        scenes.append((effects + 1, None, self._scene()))
        for number, died, scene in scenes:
            self._restore(scene)
            yield Death(number, died, effects)

    def _scene(self) -> _Scene:
        self._read()
        heard = [copy.deepcopy(vars(listener)) for listener in self.world.listeners]
        return _Scene(dict(self._rows), self.world.stripe.copy(), clock.TEST_OFFSET, heard)

    def _read(self) -> None:
        """Read what may have changed."""
        written, self.fuse.written = self.fuse.written, set()
        for name in written:
            self._rows[name] = list(self._database[name].find())

    def _restore(self, scene: _Scene) -> None:
        """Bring everything back to a scene. What a process keeps in memory decides nothing, and stays."""
        written, self.fuse.written = self.fuse.written, set()
        for name in written | self._rows.keys():
            then = scene.rows.get(name, [])
            if name in written or self._rows[name] != then:
                self._database[name].delete_many({})
                if then:
                    self._database[name].insert_many(then)
                self._rows[name] = then
        clock.TEST_OFFSET = scene.ahead
        self.world.stripe.become(scene.stripe)
        for listener, heard in zip(self.world.listeners, scene.heard, strict=True):
            vars(listener).update(heard)
