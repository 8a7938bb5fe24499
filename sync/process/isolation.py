"""Isolation: one row that cannot be worked on is logged and counted as `failed`, and the run goes on with the others.

What concerns more than one row rises: MongoDB or Stripe cannot be asked, or the run is told to stop, which it does when
the row in hand is finished.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pymongo.errors import PyMongoError

from stripe_mongo_sync.models.rows.claimable import Broken, is_away
from stripe_mongo_sync.sync.errors import CannotLook
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.process.stop import STOP, Stopped


@contextmanager
def isolated(counts: Counter[str], about: str, aside: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Let whatever goes wrong with one row count as one `failed`, and nothing else; then put it `aside`.

    Raises CannotLook, Stopped, and PyMongoError when MongoDB is away, or when the row cannot even be put aside.
    """
    before = counts.copy()
    with STOP.in_hand():
        try:
            yield
        except (CannotLook, Stopped):
            raise
        except Exception as error:
            if isinstance(error, PyMongoError) and is_away(error):
                raise
            log.exception("%s cannot be worked on", about)
            counts.clear()
            counts.update(before)
            counts["failed"] += 1
            aside()


def counted(counts: Counter[str], kind: str) -> Broken:
    """Return what notes a row of a kind that cannot be claimed or read. What the error says may quote the row."""

    def note(id: Any, error: Exception) -> None:
        log.error("%s %s cannot be read or changed: %s", kind, id, type(error).__name__)
        counts["failed"] += 1

    return note
