"""The state of one customer, order or object on both sides, as it is seen or expected."""

from dataclasses import dataclass


@dataclass(frozen=True)
class BothSides:
    """One customer: the document's status, the count of usable objects at Stripe, and whether they are linked."""

    here: str
    at_stripe: int
    linked: bool


SYNCED = BothSides("active", at_stripe=1, linked=True)
IN_DOUBT = BothSides("pending", at_stripe=1, linked=False)
UNKNOWN = BothSides("pending", at_stripe=0, linked=False)
ROLLED_BACK = BothSides("rolled_back", at_stripe=0, linked=False)
LATE_ORPHAN = BothSides("rolled_back", at_stripe=1, linked=False)
NOBODY = BothSides("nobody", at_stripe=0, linked=False)


@dataclass(frozen=True)
class Sale:
    """One order: its payment status, and the money at Stripe in the minor unit."""

    here: str
    received: int = 0
    refunded: int = 0
    refunded_here: int = 0


def refunded(here: str, amount: int, of: int) -> Sale:
    """Return a paid order of which this amount was refunded, on both sides."""
    return Sale(here, received=of, refunded=amount, refunded_here=amount)


def on_both_sides(*values: object) -> tuple[list[object], list[object]]:
    """Return what `Shop.both` returns if MongoDB and Stripe have these values."""
    return [*values], [*values]
