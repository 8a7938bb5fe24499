"""The rate limiter: 429 for the requests of an account beyond its rate (stripe-facts.md#rate-limits)."""

from __future__ import annotations

from collections import deque

from stripe_mongo_sync.emulator.state.store import Realm


class Limiter:
    """Counts the requests of the last second. Without a `rate` it limits nothing."""

    def __init__(self) -> None:
        self.rate: int | None = None
        self._passed: dict[tuple[str, bool], deque[float]] = {}  # (account, livemode) -> times within the last second

    def exceeded(self, realm: Realm, now: float) -> bool:
        """Count this request, and return whether it exceeds the rate."""
        if self.rate is None:
            return False
        passed = self._passed.setdefault((realm.account, realm.livemode), deque())
        while passed and passed[0] <= now - 1:
            passed.popleft()
        if len(passed) >= self.rate:
            return True
        passed.append(now)
        return False
