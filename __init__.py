"""Stripe and MongoDB kept as one: `connect()` once, then `create_customer("user@here.com")`.

`__all__` is the public API. Each name is loaded on first use, as the command line and gunicorn's master import this
package, too, and need none of them.
"""

from importlib import import_module
from typing import Any

__version__ = "0.2.0"
SERVED = {"create_app": "api.app", "init_app": "api.app"}  # names that are not in `sync.library`
__all__ = [
    "AlreadyConnected",
    "AlreadyExists",
    "BadSettings",
    "CannotLook",
    "Deleted",
    "InProgress",
    "Invalid",
    "KeyReused",
    "NotConnected",
    "NotDeletable",
    "NotFound",
    "Notice",
    "ReadOnly",
    "Refused",
    "RolledBack",
    "SyncError",
    "Unavailable",
    "act",
    "connect",
    "create",
    "create_app",
    "create_customer",
    "create_order",
    "current",
    "delete",
    "disconnect",
    "find",
    "get",
    "init_app",
    "on",
    "open_portal",
    "set_payment_method",
    "update",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{SERVED.get(name, 'sync.library')}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
