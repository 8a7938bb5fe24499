"""Disputes: what a buyer's bank takes back of a payment, as far as Stripe has reported it.

Stripe takes the money away when a dispute opens and gives it back when it is won (docs.stripe.com/disputes).
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from stripe_mongo_sync.models import kinds


class Outcome(StrEnum):
    """The outcome of a dispute; the bank has the money unless it was won."""

    OPEN = "open"
    WON = "won"
    LOST = "lost"


# By Stripe's status; a test compares it with stripe-python's list. None: it takes no money, so the order is unchanged.
# With an inquiry ("warning") the bank only asks; it may still become a dispute with the same id.
OUTCOMES: dict[str, Outcome | None] = {
    "needs_response": Outcome.OPEN,
    "under_review": Outcome.OPEN,
    "won": Outcome.WON,
    "lost": Outcome.LOST,
    "appeal_needs_response": Outcome.OPEN,  # it was lost, but not for good
    "appeal_under_review": Outcome.OPEN,
    "prevented": None,
    "warning_needs_response": None,
    "warning_under_review": None,
    "warning_closed": None,
}


@dataclass(frozen=True)
class Dispute:
    """A dispute that takes money, or took it."""

    id: str  # Stripe's
    outcome: Outcome
    amount: int
    currency: str


def disputes_of(payment_intents: Collection[str]) -> dict[str, list[Dispute]]:
    """Return the disputes about each of these payment intents, except those that take no money."""
    told: dict[str, list[Dispute]] = {}
    named = {"stripe.payment_intent": {"$in": [*payment_intents]}}
    for document in kinds()["dispute"].objects(__raw__=named) if payment_intents else ():  # gone or not
        remote = document.stripe or {}
        # An unknown status: an operator checks.
        if (outcome := OUTCOMES.get(str(remote.get("status")), Outcome.OPEN)) is not None:
            dispute = Dispute(remote["id"], outcome, remote.get("amount") or 0, remote.get("currency") or "")
            told.setdefault(remote["payment_intent"], []).append(dispute)
    return {intent: sorted(disputes, key=lambda dispute: dispute.id) for intent, disputes in told.items()}
