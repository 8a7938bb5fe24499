"""The engine, in rooms: each says what lives there and what it may import. `import-linter` holds their floors.

The public API is `stripe_mongo_sync`; its names are here, too, for code that imported them before it was a package.
"""

from stripe_mongo_sync.sync.process import starting as starting  # first: the others take a second

# isort: split
import warnings
from importlib import import_module
from typing import Any

import stripe_mongo_sync
from stripe_mongo_sync.checkout import alias

alias(__name__)


def create(model: Any, *body: Any, **more: Any) -> Any:
    """Deprecated: `stripe_mongo_sync.create` returns the document. Given a class, this one returns the document and
    whether the call repeated an earlier one with the same key, as it did before.
    """
    if isinstance(model, str):
        return import_module("stripe_mongo_sync.sync.library").create(model, *body, **more)
    warnings.warn(
        "sync.create returns two values: call stripe_mongo_sync.create, which returns the document",
        DeprecationWarning,
        stacklevel=2,
    )
    return import_module("stripe_mongo_sync.sync.engine.buyer").create(model, *body, **more)


def __getattr__(name: str) -> Any:
    if name in stripe_mongo_sync.RENAMED:
        return getattr(stripe_mongo_sync, name)
    if name not in stripe_mongo_sync.__all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("stripe_mongo_sync.sync.library"), name)
