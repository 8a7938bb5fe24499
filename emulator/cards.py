"""Payment methods: Stripe's test cards, and how each behaves when it is used (facts, section 6)."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emulator import errors
from emulator.errors import Problem
from emulator.fields import Email, Fields, Hash, Metadata, OneOf, Ref, Text, Whole
from emulator.params import ADDRESS
from emulator.resource import Action, Resource, blank, same
from emulator.wire import Json

if TYPE_CHECKING:
    from emulator.act import Act


@dataclass(frozen=True)
class Card:
    """A test card, known by its last four digits. With `refused` it declines; with `asks` its owner must say yes."""

    last4: str
    brand: str = "visa"
    refused: str = ""  # the decline code
    attaches: bool = False  # although it is refused later
    asks: bool = False  # for authentication (3-D Secure)


# Names as in pm_card_<name> and tok_<name>.
CARDS: dict[str, Card] = {
    "visa": Card("4242"),
    "visa_debit": Card("5556"),
    "mastercard": Card("4444", "mastercard"),
    "amex": Card("8431", "amex"),
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
}
BY_LAST4 = {card.last4: card for card in CARDS.values()}
ALIASES = {f"visa_{name}": name for name in CARDS if name.startswith("charge")}
# Reasons that are codes of their own; every other reason is a decline_code of card_declined.
CODES = {
    "expired_card": ("Your card has expired.", "exp_month"),
    "incorrect_cvc": ("Your card's security code is incorrect.", "cvc"),
    "processing_error": ("An error occurred while processing your card. Try again in a little bit.", None),
}
MESSAGES = {
    "insufficient_funds": "Your card has insufficient funds.",
    "authentication_required": "Your card was declined. This transaction requires authentication.",
}
NOBODY: Json = blank("email name phone tax_id") | {"address": blank("city country line1 line2 postal_code state")}
SPENT = "spent"  # ids of payment methods that will not work a second time


def look(card: Card) -> Json:
    """The card as a payment method shows it."""
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


def _template(name: str) -> Json:
    return {"type": "card", "card": look(CARDS[ALIASES.get(name, name)])}


def peek(act: Act, id: str) -> Json:
    """What a payment method is, or will be if its id is a template."""
    template = PAYMENT_METHOD.templates.get(id)
    return {"id": id, "customer": None, **template} if template is not None else act.need("payment_method", id)


def card_of(method: Json) -> Card:
    return BY_LAST4[method["card"]["last4"]]


def refusal(reason: str, **extra: Any) -> Problem:
    """402, in the words that Stripe has for this reason."""
    if reason in CODES:
        message, param = CODES[reason]
        return Problem(402, message, code=reason, param=param, type="card_error", **extra)
    message = MESSAGES.get(reason, "Your card was declined.")
    code = "authentication_required" if reason == "authentication_required" else "card_declined"
    return Problem(402, message, code=code, type="card_error", decline_code=reason, **extra)


def usable(act: Act, method: Json, customer: str | None) -> None:
    """Refuse a method of somebody else, and one that was used up (stripe.com/docs/api/payment_methods/detach)."""
    id = method["id"]
    if id in act.realm.table(SPENT):
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


def spend(act: Act, method: Json) -> None:
    if method["customer"] is None:
        act.realm.put(SPENT, method["id"], {})


def belongs(act: Act, id: str, customer: str, param: str) -> None:
    """Refuse a default payment method that is not the customer's."""
    if peek(act, id)["customer"] != customer:
        raise _not_theirs(id, param)


def hand_over(act: Act, method: Json, customer: str) -> Json:
    """Attach, with its event; nothing if it is attached already."""
    if method["customer"] == customer:
        return method
    usable(act, method, customer)
    method["customer"] = customer
    act.keep("payment_method", method)
    act.announce("payment_method.attached", method)
    return method


def attachable(act: Act, method: Json, customer: str | None) -> None:
    """Refuse a method that cannot become the customer's."""
    if method["customer"] not in (None, customer):
        message = "The payment method you provided has already been attached to a customer."
        raise errors.invalid(message, "payment_method")
    usable(act, method, customer)
    card = card_of(method)
    if card.refused and not card.attaches:
        raise refusal(card.refused)


def _attach(act: Act, method: Json, params: Json) -> Json:
    customer = params.get("customer")
    if customer is None:
        raise errors.missing("customer")
    attachable(act, method, customer)
    return hand_over(act, method, customer)


def _detach(act: Act, method: Json, params: Json) -> Json:
    if method["customer"] is None:
        raise Problem(400, "The payment method you provided is not attached to a customer so detachment is impossible.")
    old = copy.deepcopy(method)
    act.realm.put(SPENT, method["id"], {})
    method["customer"] = None
    act.keep("payment_method", method)
    for customer in act.realm.all("customer"):
        if customer["invoice_settings"]["default_payment_method"] == method["id"]:
            act.update("customer", customer["id"], {"invoice_settings": {"default_payment_method": None}})
    act.announce("payment_method.detached", method, old)
    return method


def _check(params: Json) -> None:
    if params.get("type") is None:
        raise errors.missing("type")
    if params["type"] != "card":
        raise errors.invalid(f"The emulator serves cards only, not {params['type']}.", "type")
    card = params.get("card") or {}
    if card.get("number") is not None:
        raise Problem(
            402,
            "Sending credit card numbers directly to the Stripe API is generally unsafe. We suggest you use test "
            "tokens that map to the test card you are using, see https://stripe.com/docs/testing.",
        )
    if card.get("token") is None:
        raise errors.missing("card[token]")
    token = card["token"].removeprefix("tok_")
    if token not in CARDS and token not in ALIASES:
        raise errors.no_such("token", card["token"], "card[token]", 400)


def _shape(act: Act, params: Json, method: Json) -> None:
    given = params.get("card") or {}
    if "token" in given:
        method |= _template(given["token"].removeprefix("tok_"))
    method["card"] |= {name: given[name] for name in ("exp_month", "exp_year") if given.get(name) is not None}
    method["billing_details"] = NOBODY | {k: v for k, v in method["billing_details"].items() if v is not None}
    method["allow_redisplay"] = method["allow_redisplay"] or "unspecified"


def _guard(act: Act, params: Json, method: Json | None) -> None:
    if method is not None and method["customer"] is None:
        message = "You must save this PaymentMethod to a customer before you can update it."
        raise errors.invalid(message, "payment_method")


DETAILS = Hash(
    fields={"address": Hash(fields=ADDRESS), "email": Email(), "name": Text(), "phone": Text(), "tax_id": Text()},
    merge=True,
)
SHOWN: Fields = {
    "allow_redisplay": OneOf(values=("always", "limited", "unspecified")),
    "billing_details": DETAILS,
    "metadata": Metadata(),
}
EXPIRY: Fields = {"exp_month": Whole(least=1, most=12), "exp_year": Whole(least=2000, most=2100)}
NUMBER: Fields = {"cvc": Text(), "number": Text(), "token": Text()}
PAYMENT_METHOD = Resource(
    kind="payment_method",
    path="payment_methods",
    prefix="pm_",
    label="PaymentMethod",
    create={**SHOWN, "type": Text(), "card": Hash(fields={**EXPIRY, **NUMBER}, hidden=True)},
    update={**SHOWN, "card": Hash(fields=EXPIRY, hidden=True)},
    defaults={
        "allow_redisplay": "unspecified",
        "billing_details": NOBODY,
        "customer": None,
        "customer_account": None,
        "metadata": {},
        "type": "card",
    },
    filters={name: same(name) for name in ("allow_redisplay", "customer", "customer_account", "type")},
    created_filter=False,
    expands={"customer": "customer"},
    events=("updated",),
    check=_check,
    guard=_guard,
    shape=_shape,
    templates={f"pm_card_{name}": _template(name) for name in (*CARDS, *ALIASES)},
    actions={"attach": Action(_attach, {"customer": Ref(kind="customer")}), "detach": Action(_detach)},
)
