"""What is seen of one customer, order or object on both sides, and what should be."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sides:
    """One customer: the status of the document, the usable objects at Stripe, and whether one names the other."""

    here: str
    at_stripe: int
    linked: bool


SYNCED = Sides("active", at_stripe=1, linked=True)
IN_DOUBT = Sides("pending", at_stripe=1, linked=False)
UNKNOWN = Sides("pending", at_stripe=0, linked=False)
GIVEN_UP = Sides("rolled_back", at_stripe=0, linked=False)
LATE_TWIN = Sides("rolled_back", at_stripe=1, linked=False)
NOBODY = Sides("nobody", at_stripe=0, linked=False)


@dataclass(frozen=True)
class Sale:
    """One order: how far its payment is, and the money at Stripe, in the minor unit."""

    here: str
    received: int = 0
    refunded: int = 0
    refunded_here: int = 0


def refunded(here: str, amount: int, of: int) -> Sale:
    """Return an order that was paid, and of which so much was given back, as both sides should say."""
    return Sale(here, received=of, refunded=amount, refunded_here=amount)


def twice(*values: object) -> tuple[list[object], list[object]]:
    """Return what `both` sees when MongoDB and Stripe agree on these values."""
    return [*values], [*values]
