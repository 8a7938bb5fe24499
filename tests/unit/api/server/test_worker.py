"""A worker ends when it is told, whatever its main thread has in hand; and without room it closes whom it should."""

import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from gunicorn.config import Config

from stripe_mongo_sync.api.server.connection import Connection, Place
from stripe_mongo_sync.api.server.worker import Worker


def test_it_ends_while_its_main_thread_hands_work_to_the_pool() -> None:
    worker = Worker.__new__(Worker)  # without a master
    worker.cfg, worker.tpool = Config(), ThreadPoolExecutor(1)

    with worker.tpool._shutdown_lock, pytest.raises(SystemExit):  # as in `submit`, where the signal meets it
        worker.handle_quit(signal.SIGQUIT, None)


@pytest.mark.parametrize("crowded", ["idle", "answers", "heads", "bodies"])
def test_without_room_whoever_waits_longest_in_the_largest_crowd_makes_it(crowded: str) -> None:
    worker, now, dropped = Worker.__new__(Worker), time.monotonic(), []
    for name in ("idle", "answers", "heads", "bodies", "closing"):
        place = Place(5.0)
        crowd = [Connection.__new__(Connection) for _ in range(20 if name == crowded else 2 * (name != "closing"))]
        place.waiting.update(dict.fromkeys(crowd, now + 5.0))  # all have just come
        setattr(worker, name, place)
    worker.drop = dropped.append

    assert worker._make_room()
    assert dropped == [next(iter(getattr(worker, crowded).waiting))]
    answered = Connection.__new__(Connection)
    worker.closing.waiting[answered] = now
    assert worker._make_room()
    assert dropped[1:] == [answered], "who was told all, before anybody else"
