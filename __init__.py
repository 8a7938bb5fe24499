"""Stripe and MongoDB kept as one: `connect()` once, then `create_customer("user@here.com")`.

`__all__` is the public API. Each name is loaded on first use, as the command line and gunicorn's master import this
package, too, and need none of them.
"""

import warnings
from importlib import import_module
from typing import Any

__version__ = "0.2.0"
SERVED = {
    "create_app": "api.app",
    "init_app": "api.app",
    "requires_access": "api.access",
}  # names that are not in `sync.library`
RENAMED = {"CannotLook": "CannotReadStripe"}  # old names, each for one more release
__all__ = [
    "AlreadyConnected",
    "AlreadyExists",
    "BadSettings",
    "CannotReadStripe",
    "Deleted",
    "InProgress",
    "Invalid",
    "KeyReused",
    "NotConnected",
    "NotDeletable",
    "NotFound",
    "NotPossible",
    "Notice",
    "ReadOnly",
    "Refused",
    "RolledBack",
    "SyncError",
    "Unavailable",
    "access",
    "act",
    "attach_evidence",
    "connect",
    "create",
    "create_app",
    "create_customer",
    "create_order",
    "create_preview",
    "current",
    "delete",
    "disconnect",
    "find",
    "get",
    "init_app",
    "on",
    "open_portal",
    "quote_pdf",
    "record_usage",
    "refund_order",
    "requires_access",
    "set_payment_method",
    "update",
]


def __getattr__(name: str) -> Any:
    if name in RENAMED:
        warnings.warn(
            f"{name} is now called {RENAMED[name]}; the old name will be removed in 0.3", DeprecationWarning, 2
        )
        name = RENAMED[name]
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{SERVED.get(name, 'sync.library')}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
