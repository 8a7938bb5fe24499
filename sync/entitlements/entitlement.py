"""What entitles a customer: a pure function of what their documents say, of the settings, and of the time.

A subscription entitles by its status at Stripe, an order by the status of its payment, and a feature by Stripe's own
summary. The two tables are complete: a status that Stripe adds entitles to nothing until it is in one of them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from stripe_mongo_sync.models.order import PaymentStatus


class Rule(StrEnum):
    """What a status means."""

    YES = "entitles"
    GRACE = "entitles for ACCESS_GRACE_DAYS from the start of the unpaid period"
    NO = "does not entitle"


SUBSCRIPTIONS: Mapping[str, Rule] = {  # by Stripe's status; until its end, if that is set
    "trialing": Rule.YES,
    "active": Rule.YES,
    "past_due": Rule.GRACE,
    "incomplete": Rule.NO,  # its first invoice was never paid
    "incomplete_expired": Rule.NO,
    "unpaid": Rule.NO,  # Stripe gave up collecting
    "paused": Rule.NO,  # its trial ended without a card; a paused collection is no status
    "canceled": Rule.NO,
}
ORDERS: Mapping[str, Rule] = {  # by the status of the payment
    PaymentStatus.PENDING: Rule.NO,
    PaymentStatus.AWAITING_PAYMENT: Rule.NO,
    PaymentStatus.PAID: Rule.YES,
    PaymentStatus.PARTIALLY_REFUNDED: Rule.YES,
    PaymentStatus.REFUNDED: Rule.NO,
    PaymentStatus.DISPUTED: Rule.YES,  # until it is lost
    PaymentStatus.LOST: Rule.NO,
    PaymentStatus.FAILED: Rule.NO,
    PaymentStatus.EXPIRED: Rule.NO,
    PaymentStatus.CANCELED: Rule.NO,
}


@dataclass(frozen=True)
class Rules:
    """What the settings say."""

    grace: timedelta = timedelta(days=7)
    while_paused: bool = True


@dataclass(frozen=True)
class Ground:
    """A document that may entitle, and to what: ids of prices and products, ids and lookup keys of features."""

    kind: str
    id: str
    status: str | None = None
    prices: frozenset[str] = frozenset()
    products: frozenset[str] = frozenset()
    features: frozenset[str] = frozenset()
    ends_at: datetime | None = None  # of a subscription that was canceled for later
    unpaid_since: datetime | None = None  # when its unpaid period began
    is_paused: bool = False  # its collection is
    is_unsure: bool = False  # an operation on it is pending, or an operator must decide about it
    is_partial: bool = False  # it may entitle to more than what is known of it

    def until(self, rules: Rules, now: datetime) -> tuple[bool, datetime | None]:
        """Return whether it entitles, and until when; None for what does not end."""
        if self.kind == "subscription":
            rule, end = SUBSCRIPTIONS.get(str(self.status), Rule.NO), self.ends_at
            if self.is_paused and not rules.while_paused:
                rule = Rule.NO
            if rule == Rule.GRACE:
                grace = (self.unpaid_since or now) + rules.grace
                end = grace if end is None else min(end, grace)
        else:
            rule, end = ORDERS.get(str(self.status), Rule.NO) if self.kind == "order" else Rule.YES, None
        return rule != Rule.NO and (end is None or now < end), end

    def has(self, query: Mapping[str, str]) -> bool:
        """Whether it is about what is asked."""
        return all(value in getattr(self, f"{name}s") for name, value in query.items())

    def leaves_doubt(self, query: Mapping[str, str]) -> bool:
        """Whether the answer may soon be another one. A pending change may give a subscription any other price."""
        if self.is_unsure and (self.has(query) or self.kind == "subscription"):
            return True
        return self.is_partial and (not query or ("feature" in query and not self.has(query)))


def answer(
    grounds: Iterable[Ground], query: Mapping[str, str], rules: Rules, now: datetime, *, certain: bool = True
) -> dict[str, Any]:
    """Return whether what is asked is entitled: by what, until when, and whether that is certain. Pure.

    Without a query, it is about everything, and lists the prices, products and features, each with its own `until`.
    """
    known = list(grounds)
    judged = [(ground, *ground.until(rules, now)) for ground in known if ground.has(query)]
    by = sorted(((ground, end) for ground, yes, end in judged if yes), key=lambda each: (each[0].kind, each[0].id))
    told: dict[str, Any] = {
        "entitled": bool(by),
        "by": [
            {"kind": ground.kind, "id": ground.id, "stripe_status": ground.status, "until": end} for ground, end in by
        ],
        "until": latest(end for _, end in by),
        "certain": certain and not any(ground.leaves_doubt(query) for ground in known),
    }
    if not query:
        for name in ("prices", "products", "features"):
            ids = sorted({id for ground, _ in by for id in getattr(ground, name)})
            ends = {id: [end for ground, end in by if id in getattr(ground, name)] for id in ids}
            told[name] = [{"id": id, "until": latest(ends[id])} for id in ids]
    return told


def latest(ends: Iterable[datetime | None]) -> datetime | None:
    """Return the latest of these ends; None if one has no end, or if there are none."""
    known = list(ends)
    return None if None in known else max((end for end in known if end), default=None)
