"""When a batch begins. What it writes is the claim of `tests/integration/sync/inbox/test_batch.py`."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from stripe_mongo_sync.sync.inbox import committer
from stripe_mongo_sync.sync.inbox.arrival import Arrival, arrive
from stripe_mongo_sync.sync.inbox.committer import Committer, Waiting

LONG, SHORT = 1000.0, 0.001  # s; nobody waits for so long


class Queue(Committer):
    """A committer whose batches are only counted."""

    def __init__(self, patch: pytest.MonkeyPatch, pause: float) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self.answers: list[Any] = []
        patch.setattr(committer, "commit", self._count)
        patch.setattr(committer, "PAUSE", pause)

    def _count(self, arrivals: Sequence[Arrival]) -> list[str | None]:
        self.sizes.append(len(arrivals))
        return ["applied"] * len(arrivals)

    def come(self, count: int) -> None:
        """Let so many events come together."""
        event = json.dumps({"id": "evt_1", "type": "customer.updated", "data": {}}).encode()
        self.put(*(Waiting(arrive(event), self.answers.append) for _ in range(count)))

    def answer(self, count: int) -> None:
        """Serve until so many events are answered in all."""
        assert self.serve(lambda: len(self.answers) == count)


def test_after_a_batch_of_several_as_many_are_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue(monkeypatch, pause=LONG)
    queue.come(3)
    queue.answer(3)

    monkeypatch.setattr(committer, "LONGEST", SHORT)
    queue.come(2)
    assert not queue.serve(lambda: len(queue.answers) == 5)
    queue.come(1)
    queue.answer(6)

    assert queue.sizes == [3, 3]


@pytest.mark.parametrize("before", [0, 1], ids=["the first of all", "after another lone one"])
def test_a_lone_event_waits_for_nobody(monkeypatch: pytest.MonkeyPatch, before: int) -> None:
    queue = Queue(monkeypatch, pause=LONG)
    queue.come(before)
    queue.answer(before)

    queue.come(1)
    queue.answer(before + 1)

    assert queue.sizes == [1] * (before + 1)


def test_an_event_waits_no_longer_than_the_pause_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue(monkeypatch, pause=SHORT)
    queue.come(3)
    queue.answer(3)

    queue.come(1)
    queue.answer(4)

    assert queue.sizes == [3, 1]
