"""Isolation: a row whose processing fails is logged and counted as `failed`, and the run continues with the others.

Errors that concern more than one row are raised: MongoDB or Stripe does not answer, or the run was asked to stop, which
it does when the present row is finished.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pymongo.errors import PyMongoError

from stripe_mongo_sync.models.rows.claimable import Broken, is_away
from stripe_mongo_sync.sync.errors import CannotReadStripe
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.process.stop import STOP, Stopped


@contextmanager
def isolated(
    counts: Counter[str], about: str, aside: Callable[[Exception], object] = lambda error: None
) -> Iterator[None]:
    """Count any error of one row as one `failed`, drop its other counts, and put the row `aside`, which gets the error.

    Raises CannotReadStripe, Stopped, and PyMongoError if MongoDB does not answer or the row cannot be put aside.
    """
    before = counts.copy()
    with STOP.in_hand():
        try:
            yield
        except (CannotReadStripe, Stopped):
            raise
        except Exception as error:
            if isinstance(error, PyMongoError) and is_away(error):
                raise
            log.exception("%s cannot be worked on", about)
            counts.clear()
            counts.update(before)
            counts["failed"] += 1
            aside(error)


def counted(counts: Counter[str], kind: str) -> Broken:
    """Return a callback that logs and counts a row that cannot be claimed or read. The error's message may quote the
    row, so only its type is logged.
    """

    def note(id: Any, error: Exception) -> None:
        log.error("%s %s cannot be read or changed: %s", kind, id, type(error).__name__)
        counts["failed"] += 1

    return note
