"""The engine, in rooms: each says what lives there and what it may import. `import-linter` holds their floors.

The public API is `stripe_mongo_sync`; its names are here, too, for who imported them from here before it was a package.
"""

from stripe_mongo_sync.sync.process import starting as starting  # first: the others take a second

# isort: split
from importlib import import_module
from typing import Any

import stripe_mongo_sync
from stripe_mongo_sync.checkout import alias

alias(__name__)


def __getattr__(name: str) -> Any:
    if name not in stripe_mongo_sync.__all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("stripe_mongo_sync.sync.library"), name)
