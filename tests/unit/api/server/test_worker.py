"""A worker that is told to end does, whatever its main thread has in hand."""

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
from gunicorn.config import Config

from stripe_mongo_sync.api.server.worker import Worker


def test_it_ends_while_its_main_thread_hands_work_to_the_pool() -> None:
    worker = Worker.__new__(Worker)  # without a master
    worker.cfg, worker.tpool = Config(), ThreadPoolExecutor(1)

    with worker.tpool._shutdown_lock, pytest.raises(SystemExit):  # as in `submit`, where the signal meets it
        worker.handle_quit(signal.SIGQUIT, None)
