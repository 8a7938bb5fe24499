"""A small stateful Stripe for offline demos and tests: `Emulator` in process, `python -m emulator` as a server."""

from emulator.errors import Problem
from emulator.faults import FAULTS, WEBHOOKS, Fault
from emulator.service import Emulator
from emulator.webhooks import Delivery
from emulator.wire import API_VERSION, Cut, Logged

__all__ = ["API_VERSION", "FAULTS", "WEBHOOKS", "Cut", "Delivery", "Emulator", "Fault", "Logged", "Problem"]
