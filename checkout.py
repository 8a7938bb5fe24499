"""In a checkout, `sync` and `stripe_mongo_sync.sync` can both be imported: this module makes them one and the same.

Two copies would have two registries of documents, and an `except` of one would not catch the errors of the other.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

PACKAGE = __name__.partition(".")[0]


class _Alias(MetaPathFinder, Loader):
    """Finds `sync.errors` as `stripe_mongo_sync.sync.errors`, for each top-level name that was given to `alias`."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        top, _, rest = fullname.partition(".")
        if top not in self.names or not rest or rest == "__main__":  # `python -m sync` must run the file itself
            return None
        return ModuleSpec(fullname, self)

    def exec_module(self, module: ModuleType) -> None:
        sys.modules[module.__name__] = import_module(f"{PACKAGE}.{module.__name__}")


ALIAS = _Alias()


def alias(name: str) -> None:
    """Replace the package `name`, which is being imported, by `stripe_mongo_sync.<name>`, unless it is that already."""
    if name.startswith(f"{PACKAGE}."):
        return
    if not ALIAS.names:
        sys.meta_path.insert(0, ALIAS)
    ALIAS.names.add(name)
    sys.modules[name] = import_module(f"{PACKAGE}.{name}")
