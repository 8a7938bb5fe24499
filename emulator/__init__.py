"""A small stateful Stripe for offline demos and tests: `Emulator` in process, `python -m emulator` as a server.

A request passes `engine` (auth, limiter, idempotency, validation, execution); `calls` finds its row in the table
`resources`; `act` does it and announces it; `events` and `webhooks` carry the news. `transport` and `server` are two
fronts of the same engine. To serve another Stripe type, write its row and add it to the table in `resources`.
What a row does not know is refused as unknown: a parameter is never taken without effect.

Comments cite "facts, section n": the project's notes on how Stripe really behaves, with their sources.
"""

from emulator.errors import Problem
from emulator.faults import FAULTS, WEBHOOKS, Fault
from emulator.service import Emulator
from emulator.webhooks import Delivery
from emulator.wire import API_VERSION, Cut, Logged

__all__ = ["API_VERSION", "FAULTS", "WEBHOOKS", "Cut", "Delivery", "Emulator", "Fault", "Logged", "Problem"]
