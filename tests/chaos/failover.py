"""What happens to the primary of a replica set, and how it comes back: by then another one is primary."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from tests.chaos.replica_set import Member, ReplicaSet
from tests.support import eventually

Trouble = Callable[[ReplicaSet], AbstractContextManager[Member]]


@contextmanager
def killed_primary(members: ReplicaSet) -> Iterator[Member]:
    """Let it die as in a power cut; it comes back with its data after the block."""
    primary = _primary(members)
    primary.kill()
    try:
        eventually(lambda: members.primary() not in (primary, None), 30)
        yield primary
    finally:
        primary.restart()
    eventually(members.whole, 60)


@contextmanager
def frozen_primary(members: ReplicaSet) -> Iterator[Member]:
    """Let it answer nothing, and then go on as if it still were primary."""
    primary = _primary(members)
    primary.pause()
    try:
        eventually(lambda: members.primary() not in (primary, None), 30)
        yield primary
    finally:
        primary.resume()
    eventually(members.whole, 60)


def _primary(members: ReplicaSet) -> Member:
    primary = members.primary()
    assert primary, "there is no primary to break"
    return primary
