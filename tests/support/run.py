"""How tests run a command: in this process, for its exit code and what its --json says."""

from collections.abc import Callable
from typing import Any

Run = Callable[..., tuple[int, Any]]
