"""Stripe's test cards, and how each behaves (stripe-facts.md#test-cards)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.errors import Problem
from stripe_mongo_sync.emulator.protocol.wire import Json


@dataclass(frozen=True)
class Card:
    """A test card, identified by its last four digits."""

    last4: str
    brand: str = "visa"
    refused: str = ""  # decline code of its payments
    attaches: bool = False  # can be attached although its payments are declined
    asks: bool = False  # requires 3-D Secure
    clears: bool = False  # the money is available immediately
    disputed: str = ""  # reason of the dispute that follows each payment
    inquiry: bool = False  # that dispute is an inquiry
    keeps: bool = False  # its bank returns each refund, some time later


# Names as in pm_card_<name> and tok_<name>.
CARDS: dict[str, Card] = {
    "visa": Card("4242"),
    "visa_debit": Card("5556"),
    "mastercard": Card("4444", "mastercard"),
    "amex": Card("8431", "amex"),
    "bypassPending": Card("0077", clears=True),
    "chargeDeclined": Card("0002", refused="generic_decline"),
    "chargeDeclinedInsufficientFunds": Card("9995", refused="insufficient_funds"),
    "chargeDeclinedLostCard": Card("9987", refused="lost_card"),
    "chargeDeclinedStolenCard": Card("9979", refused="stolen_card"),
    "chargeDeclinedExpiredCard": Card("0069", refused="expired_card"),
    "chargeDeclinedIncorrectCvc": Card("0127", refused="incorrect_cvc"),
    "chargeDeclinedProcessingError": Card("0119", refused="processing_error"),
    "chargeCustomerFail": Card("0341", refused="generic_decline", attaches=True),
    "authenticationRequired": Card("3184", asks=True),
    "threeDSecure2Required": Card("3220", asks=True),
    "refundFail": Card("5126", keeps=True),
    "createDispute": Card("0259", disputed="fraudulent"),
    "createDisputeProductNotReceived": Card("2685", disputed="product_not_received"),
    "createDisputeInquiry": Card("1976", disputed="fraudulent", inquiry=True),
}
BY_LAST4 = {card.last4: card for card in CARDS.values()}
ALIASES = {f"visa_{name}": name for name in CARDS if name.startswith("charge")}
# Reasons that are error codes themselves. All others are a decline_code of card_declined.
CODES = {
    "expired_card": ("Your card has expired.", "exp_month"),
    "incorrect_cvc": ("Your card's security code is incorrect.", "cvc"),
    "processing_error": ("An error occurred while processing your card. Try again in a little bit.", None),
}
MESSAGES = {
    "insufficient_funds": "Your card has insufficient funds.",
    "authentication_required": "Your card was declined. This transaction requires authentication.",
}
SPENT = "spent"  # table: ids of payment methods that cannot be used again


def card_details(card: Card) -> Json:
    """Return the `card` of a payment method."""
    return {
        "brand": card.brand,
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
        "country": "US",
        "display_brand": card.brand,
        "exp_month": 12,
        "exp_year": 2034,
        "fingerprint": f"Emulated0000{card.last4}",
        "funding": "credit",
        "generated_from": None,
        "last4": card.last4,
        "networks": {"available": [card.brand], "preferred": None},
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }


def template(name: str) -> Json:
    return {"type": "card", "card": card_details(CARDS[ALIASES.get(name, name)])}


# Each use of an id such as pm_card_visa makes a new payment method with these fields.
TEMPLATES: dict[str, Json] = {f"pm_card_{name}": template(name) for name in (*CARDS, *ALIASES)}


def peek(ctx: Effects, id: str) -> Json:
    """Return a payment method, or what a template would make. Raises Stripe's 404."""
    template = TEMPLATES.get(id)
    return {"id": id, "customer": None, **template} if template is not None else ctx.need("payment_method", id)


def card_of(method: Json) -> Card:
    return BY_LAST4[method["card"]["last4"]]


def refusal(reason: str, **extra: Any) -> Problem:
    """Return the 402 with Stripe's message for this reason."""
    if reason in CODES:
        message, param = CODES[reason]
        return Problem(402, message, code=reason, param=param, type="card_error", **extra)
    message = MESSAGES.get(reason, "Your card was declined.")
    code = "authentication_required" if reason == "authentication_required" else "card_declined"
    return Problem(402, message, code=code, type="card_error", decline_code=reason, **extra)


def usable(ctx: Effects, method: Json, customer: str | None) -> None:
    """Refuse another customer's method, and one that was detached (docs.stripe.com/api/payment_methods/detach)."""
    id = method["id"]
    if id in ctx.realm.table(SPENT):
        raise errors.invalid(
            "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, shared "
            "with a connected account without Customer attachment, or was detached from a Customer. It may not be "
            "used again. To use a PaymentMethod multiple times, you must attach it to a Customer first.",
            "payment_method",
        )
    if method["customer"] is not None and method["customer"] != customer:
        raise _not_theirs(id, "payment_method")


def _not_theirs(id: str, param: str) -> Problem:
    message = f"The customer does not have a payment method with the ID {id}. The payment method must be attached to "
    return errors.invalid(message + "the customer.", param, "resource_missing")


def spend(ctx: Effects, method: Json) -> None:
    if method["customer"] is None:
        ctx.realm.put(SPENT, method["id"], {})


def belongs(ctx: Effects, id: str, customer: str, param: str) -> None:
    """Refuse a default payment method that is not the customer's."""
    if peek(ctx, id)["customer"] != customer:
        raise _not_theirs(id, param)


def attach(ctx: Effects, method: Json, customer: str) -> Json:
    """Attach a method to a customer and announce that, unless it is attached already."""
    if method["customer"] == customer:
        return method
    usable(ctx, method, customer)
    method["customer"] = customer
    ctx.keep("payment_method", method)
    ctx.announce("payment_method.attached", method)
    return method


def attachable(ctx: Effects, method: Json, customer: str | None) -> None:
    """Refuse a method that cannot become the customer's."""
    if method["customer"] not in (None, customer):
        message = "The payment method you provided has already been attached to a customer."
        raise errors.invalid(message, "payment_method")
    usable(ctx, method, customer)
    if method["type"] != "card":
        return
    card = card_of(method)
    if card.refused and not card.attaches:
        raise refusal(card.refused)
