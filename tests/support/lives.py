"""Lives: a world that dies before the first effect of what it does, another before the second, until one survives."""

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

from tests.support.fuse import Fuse
from tests.support.world import World


@dataclass
class Life:
    """A world, and before which effect it dies."""

    world: World
    fuse: Fuse
    effect: int
    died: str | None = ""  # before which effect; None when there were fewer; "" as long as nothing was killed

    def kill(self, act: Callable[[], Any]) -> str | None:
        """Let `act` die before the effect, and say which it was; None when it had fewer, and this life is the last."""
        self.died = self.fuse.kill(act, self.effect)
        return self.died


Lives = Callable[..., Iterator[Life]]


def live(
    database: str, clean: Callable[[], None], *, least: int, at: Iterable[int] | None = None, **options: Any
) -> Generator[Life, None, None]:
    """Yield one life after the other, each in an empty database, and assert that the last had `least` effects or more.

    `at` are the effects to die before, by default every one, and `options` the world's.
    """
    fuse = Fuse()
    for effect in at or count(1):
        clean()
        life = Life(World(database, fuse=fuse, **options), fuse, effect)
        try:
            yield life
        finally:
            life.world.stop()
        assert life.died != "", "nothing was ever killed"
        if life.died is None:
            assert effect > least, f"it had but {effect - 1} effects"
            return
