"""What a test does that needs a package index where none can be reached: it is skipped, and in CI it fails."""

import os
import re
from collections.abc import Mapping

import pytest

UNREACHABLE = re.compile("NewConnectionError|ConnectTimeout|name resolution|Connection(Refused|Reset)?Error|ProxyError")


def settings() -> Mapping[str, str]:
    """Return the variables by which pip here finds an index."""
    return {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "REQUESTS_"))}


def needs_the_index(said: str) -> None:
    """Skip this test if what pip said is that it reached no index."""
    if UNREACHABLE.search(said):
        (pytest.fail if "CI" in os.environ else pytest.skip)(f"no package index can be reached: {said[-300:]}")
