"""The emulator in this process: the service with a client for stripe-python and a WSGI application."""

from __future__ import annotations

from pathlib import Path

from stripe_mongo_sync.emulator.fronts.transport import Transport
from stripe_mongo_sync.emulator.fronts.wsgi import WsgiApp
from stripe_mongo_sync.emulator.objects.account import DEFAULT
from stripe_mongo_sync.emulator.people.service import Service
from stripe_mongo_sync.emulator.protocol.wire import API_VERSION


class Emulator(Service):
    """A small stateful Stripe. With `path`, state survives a restart; the same `seed` draws the same ids."""

    def __init__(
        self,
        seed: int = 0,
        path: str | Path | None = None,
        *,
        account: str = DEFAULT,
        api_version: str = API_VERSION,
    ) -> None:
        super().__init__(seed, path, account=account, api_version=api_version)
        self.wsgi = WsgiApp(self)

    def transport(self) -> Transport:
        """Return a client for `StripeClient("sk_test_x", http_client=stripe.transport())`."""
        return Transport(lambda request: self.engine.answer(request))
