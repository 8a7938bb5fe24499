"""A small stateful Stripe for offline demos and tests: `Emulator` in process, `python -m emulator` as a server.

A request passes `engine`: authentication, rate limit, idempotency, validation, execution. `calls` finds the row of its
Stripe type in the table in `resource`, `execution` executes it, and `events` and `webhooks` announce what changed.
`transport`, `wsgi` and `server` are fronts of one `service`. To add a Stripe type, write its row and name it in
`resources`, which fills the table. A parameter that neither its row nor stripe-python knows is refused
as unknown; one that the row does not know is shown where the object has such a field, and has no other effect.

Comments cite docs/stripe-facts.md, which says how the real Stripe behaves and where that is documented.
"""

from stripe_mongo_sync import signals as signals  # first: the others take a second

# isort: split
from typing import TYPE_CHECKING

from stripe_mongo_sync.checkout import alias
from stripe_mongo_sync.emulator.engine.faults import FAULTS, WEBHOOKS, Fault
from stripe_mongo_sync.emulator.fronts.in_process import Emulator
from stripe_mongo_sync.emulator.protocol import renamed
from stripe_mongo_sync.emulator.protocol.errors import Problem
from stripe_mongo_sync.emulator.protocol.wire import API_VERSION, ConnectionCut, LogEntry
from stripe_mongo_sync.emulator.state.webhooks import Delivery

alias(__name__)

__all__ = ["API_VERSION", "FAULTS", "WEBHOOKS", "ConnectionCut", "Delivery", "Emulator", "Fault", "LogEntry", "Problem"]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> type:
        """Return a class by its old name, with a warning; raise AttributeError for any other name."""
        if name not in renamed.CLASSES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        renamed.warn(name, renamed.CLASSES[name])
        return globals()[renamed.CLASSES[name]]
