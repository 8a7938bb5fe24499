"""The HTTP API, and the application that serves it beside the webhook endpoint, alone or mounted in another one."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from stripe_mongo_sync.checkout import alias

if TYPE_CHECKING:
    from stripe_mongo_sync.api.app import create_app, init_app

alias(__name__)

__all__ = ["create_app", "init_app"]


def __getattr__(name: str) -> Any:
    """Load the application on first use: gunicorn's master imports this package for its worker class only."""
    if name not in __all__:
        raise AttributeError(name)
    return getattr(import_module(f"{__name__}.app"), name)
