"""A small stateful Stripe for offline demos and tests: `Emulator` in process, `python -m emulator` as a server.

A request passes `engine` (auth, limiter, idempotency, validation, execution); `calls` finds its row in the table that
lies in `resource`; `act` does it and announces it; `events` and `webhooks` carry the news. `transport`, `wsgi` and
`server` are fronts of the same `service`. To serve another Stripe type, write its row and add it in `resources`, which
fills the table. What a row does not know is refused as unknown: a parameter is never taken without effect.

Comments cite "facts, section n": the project's notes on how Stripe really behaves, with their sources.
"""

from stripe_mongo_sync.checkout import alias
from stripe_mongo_sync.emulator.engine.faults import FAULTS, WEBHOOKS, Fault
from stripe_mongo_sync.emulator.fronts.in_process import Emulator
from stripe_mongo_sync.emulator.protocol.errors import Problem
from stripe_mongo_sync.emulator.protocol.wire import API_VERSION, Cut, Logged
from stripe_mongo_sync.emulator.state.webhooks import Delivery

alias(__name__)

__all__ = ["API_VERSION", "FAULTS", "WEBHOOKS", "Cut", "Delivery", "Emulator", "Fault", "Logged", "Problem"]
