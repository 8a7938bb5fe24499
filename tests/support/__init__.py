"""What tests of every kind share."""

import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]  # of the checkout


def eventually(claim: Callable[[], object], within: float = 10.0) -> None:
    """Wait until `claim` holds. For what another process does; everything in this one is waited for by name."""
    deadline = time.monotonic() + within
    while not claim():
        assert time.monotonic() < deadline, f"still not so after {within:.0f} s"
        time.sleep(0.02)
