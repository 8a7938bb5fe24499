"""Buyers, cardholders and banks. Their events carry no caller's key (stripe-facts.md#the-request-of-an-event)."""

from __future__ import annotations

import copy
from contextlib import suppress

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.engine import Engine
from stripe_mongo_sync.emulator.objects.checkout import purchases
from stripe_mongo_sync.emulator.objects.payments import disputes, ledger, payments, setups
from stripe_mongo_sync.emulator.protocol.errors import Problem
from stripe_mongo_sync.emulator.protocol.wire import Json


class Buyer:
    """Acts as a buyer, a cardholder or a bank; also as Stripe's schedule of payouts."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def authenticate(self, id: str, agrees: bool = True, livemode: bool = False) -> Json:
        """Confirm or refuse 3-D Secure for an intent, and return the intent. Raises ValueError if it does not wait."""
        kind, answer = (
            ("setup_intent", setups.authenticated)
            if id.startswith("seti_")
            else ("payment_intent", payments.authenticated)
        )
        engine = self._engine
        with engine.state():
            ctx = self._execution(
                livemode, {"id": None, "idempotency_key": f"{id}-src_{engine.ids.draw(24, 'base62')}"}
            )
            intent = copy.deepcopy(ctx.need(kind, id))
            if intent["status"] != "requires_action":
                raise ValueError(f"{id} does not wait for its cardholder: it has a status of {intent['status']}")
            with suppress(Problem):  # a decline, which the intent shows
                answer(ctx, intent, agrees)
            return copy.deepcopy(ctx.need(kind, id))

    def pay_session(self, id: str, card: str, email: str, code: str | None, livemode: bool) -> Json:
        """Pay a checkout session, or be declined, and return the session. Raises ValueError unless it is open."""
        with self._engine.state():
            ctx = self._execution(livemode, None)
            session = copy.deepcopy(ctx.need("checkout.session", id))
            if session["status"] != "open":
                raise ValueError(f"{id} cannot be paid: it has a status of {session['status']}")
            with suppress(Problem):  # a decline, which the session's payment intent shows
                purchases.complete(ctx, session, card, email, code)
            return copy.deepcopy(ctx.need("checkout.session", id))

    def dispute(self, id: str, amount: int | None, reason: str, inquiry: bool, livemode: bool) -> Json:
        """Let the bank dispute a charge, or the latest charge of a payment intent; return the dispute."""
        with self._engine.state():
            ctx = self._execution(livemode, None)
            charge = ctx.need("payment_intent", id)["latest_charge"] if id.startswith("pi_") else id
            return copy.deepcopy(disputes.dispute(ctx, charge, amount, reason, inquiry))

    def decide(self, id: str, status: str, livemode: bool) -> Json:
        """Let the bank decide a dispute ("won" or "lost") or an inquiry ("needs_response" too); return it."""
        with self._engine.state():
            ctx = self._execution(livemode, None)
            return copy.deepcopy(disputes.decide(ctx, copy.deepcopy(ctx.need("dispute", id)), status))

    def pay_out(self, currency: str, livemode: bool) -> Json:
        """Pay out what is due in a currency, as Stripe's schedule does; return the payout. Raises ValueError."""
        with self._engine.state():
            return copy.deepcopy(ledger.pay_out(self._execution(livemode, None), currency))

    def _execution(self, livemode: bool, cause: Json | None) -> Effects:
        return self._engine.execution(self._engine.realm(livemode), cause)
