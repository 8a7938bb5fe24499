"""Delivers notices to the hooks that subscribed to them. A hook may raise, hang, or end the process that runs it.

First the notices are moved from their rows into one delivery per hook; then each due delivery is attempted. The attempt
is counted and leased before the hook is called, so if this process ends, the next run continues.
"""

import faulthandler
import json
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

from stripe_mongo_sync.models import Delivery, Event, StagedDocument, kinds, present_kinds
from stripe_mongo_sync.models.base.notice import NoticeOutbox
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.sure import sure
from stripe_mongo_sync.models.rows.tally import having
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.notices.hooks import HOOKS, Notice
from stripe_mongo_sync.sync.process.backoff import BACKOFF, backoff
from stripe_mongo_sync.sync.process.stop import STOP

BATCH = 100
LONGEST_ERROR = 1000  # characters
DOCUMENT_GONE = "not told: its document is no longer there"


@dataclass(frozen=True)
class Limits:
    """The time limit of one call of a hook, the number of attempts, and the wait after the first failure."""

    timeout: float = 60.0  # seconds
    attempts: int = 15  # with the waits below, about six hours
    wait: timedelta = timedelta(seconds=30)


class HookTimeout(BaseException):
    """The hook exceeded its time limit. It is no Exception, so a hook that catches those does not catch it."""


def deliver(limits: Limits = Limits()) -> Counter[str]:
    """Move the notices and attempt the due deliveries; return how many are done, failed or dead, even when stopped.

    Two processes share the work. Call it in the main thread, because the time limit needs a signal.
    """
    relay_notices()
    counts: Counter[str] = Counter()
    moment = clock.now()
    while rows := Delivery.overdue(moment, BATCH):
        for row in rows:
            if STOP.asked:
                return counts
            outcome = _attempt(row, limits)
            counts.update([outcome] if outcome else [])
    return counts


def relay_notices() -> None:
    """Move every notice from its row into one delivery for each hook that subscribed to it. This is idempotent."""
    sources: list[type[StagedDocument] | type[Event]] = [*present_kinds().values(), Event]
    waiting = having(sources, NoticeOutbox.HAS_NOTICES)
    for source in (source for source in sources if source in waiting):
        while rows := source.with_notices(BATCH):
            for row in rows:
                if STOP.asked:
                    return
                about = _about(row)
                for notice in row.notices or []:
                    for hook in notice["hooks"]:
                        Delivery.enqueue(notice, hook, **about)
                row.drop_notices()


def _about(row: StagedDocument | Event) -> dict[str, Any]:
    if isinstance(row, Event):
        return {"kind": "event", "event_body": row.raw, "owners": row.owners or None}
    return {"kind": row.resource.kind, "document": row.id}


def _attempt(row: Delivery, limits: Limits) -> str | None:
    """Attempt one delivery and return the outcome; None when another process has claimed it."""
    if row.attempts >= limits.attempts:  # the last attempt ended its process
        return _logged(row.mark_dead(row.reason), "dead")
    wait = backoff(row.attempts + 1, (limits.wait, max(limits.wait, BACKOFF[1])))
    lease = timedelta(seconds=2 * limits.timeout) + wait  # if this process ends, the wait is that of a failure
    claimed = row.claim_attempt(lease)
    if claimed is None:
        return None
    notice = None
    try:
        notice = _notice(claimed)
        if notice is None:
            return _logged(claimed.succeed(DOCUMENT_GONE, bare=DOCUMENT_GONE), "done")
        with time_limit(limits.timeout):
            _hook(claimed.hook)(notice)
    except (Exception, SystemExit, HookTimeout) as error:
        bare = _storable(without_words(error)[:LONGEST_ERROR])
        forgotten = notice is not None and getattr(notice.document, "erased_at", None) is not None
        log.warning("hook %s failed on %s: %s", row.hook, row.notice, bare, exc_info=None if forgotten else error)
        said = _storable("".join(traceback.format_exception_only(error)).strip()[:LONGEST_ERROR])
        why = bare if forgotten else said
        if claimed.attempts >= limits.attempts:
            return _logged(claimed.mark_dead(why, bare=bare), "dead")
        return _logged(claimed.fail(why, wait, bare=bare), "failed")
    return _logged(claimed.succeed(), "done")


def _notice(row: Delivery) -> Notice | None:
    """Return the notice for the hook; None when its document no longer exists."""
    if row.event_body is not None:
        return Notice(row.notice, row.name, row.occurred_at, row.kind, event=json.loads(row.event_body))
    document = kinds()[row.kind].objects(id=row.document).first()
    return document and Notice(row.notice, row.name, row.occurred_at, row.kind, document=document)


def _hook(name: str) -> Callable[[Notice], object]:
    if name not in HOOKS:
        raise LookupError(f"there is no hook {name}; does HOOKS of this process name its module?")
    return HOOKS[name]


def _logged(row: Delivery | None, outcome: str) -> str | None:
    if row is not None and outcome != "failed":
        log.info("delivery %s → %s", row.id, row.state)
    return None if row is None else outcome


def without_words(error: BaseException) -> str:
    """Return the class of an error and where it was raised, without its text, which may contain personal data."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"


def _storable(text: str) -> str:
    return text.encode(errors="replace").decode()  # an error may contain half of a surrogate pair


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise HookTimeout in the block after `seconds`; if it still runs after twice that time, end the process.

    A thread outside of Python ends it, so that no code can catch or delay it.
    """

    def ring(number: int, frame: object) -> NoReturn:
        raise HookTimeout(f"it took longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    faulthandler.dump_traceback_later(2 * seconds, exit=True, file=sure(sys.__stderr__))  # it says why the process ends
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, before)
