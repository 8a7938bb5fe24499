"""Sources: cards of customers, as they were stored before payment methods, and their tokens."""

from __future__ import annotations

import copy

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import Resource, Route, blank
from stripe_mongo_sync.emulator.engine.steps import change
from stripe_mongo_sync.emulator.objects.payments import cards
from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.fields import Flag, Metadata, Text
from stripe_mongo_sync.emulator.protocol.wire import Json
from stripe_mongo_sync.emulator.state.store import Realm

TITLES = {"amex": "American Express", "mastercard": "MasterCard", "visa": "Visa"}
SHOWN = ("country", "exp_month", "exp_year", "fingerprint", "funding", "last4")


def card_of_token(token: str, param: str = "source") -> cards.Card:
    """Return the card of a test token. Raises Stripe's error for an unknown token or a declined card."""
    name = token.removeprefix("tok_")
    known = cards.CARDS.get(cards.ALIASES.get(name, name)) if token.startswith("tok_") else None
    if known is None:
        raise errors.no_such("token" if token.startswith("tok_") else "source", token, param, 400)
    if known.refused and not known.attaches:
        raise cards.refusal(known.refused)
    return known


def keep(ctx: Effects, token: str, customer: str, metadata: Json | None = None) -> Json:
    """Create a card of a customer."""
    known = card_of_token(token)
    seen = cards.card_details(known)
    made = ctx.make(
        "card",
        brand=TITLES[known.brand],
        customer=customer,
        cvc_check="pass",
        metadata=metadata or {},
        **{name: seen[name] for name in SHOWN},
    )
    ctx.announce("customer.source.created", made)
    return made


def as_method(realm: Realm, id: str) -> Json | None:
    """Return a card as a payment method with the same id, or None."""
    card = realm.find("card", id) if id.startswith("card_") else None
    if card is None:
        return None
    known = cards.BY_LAST4[card["last4"]]
    nobody: Json = blank("email name phone tax_id") | {
        "address": blank("city country line1 line2 postal_code state"),
    }
    return {
        "id": id,
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": nobody | {"name": card["name"]},
        "card": cards.card_details(known),
        "created": (realm.find("customer", card["customer"]) or {"created": 0})["created"],
        "customer": card["customer"],
        "customer_account": None,
        "livemode": realm.livemode,
        "metadata": {},
        "type": "card",
    }


def _customer(ctx: Effects, id: str) -> Json:
    return copy.deepcopy(ctx.need("customer", id))


def owned(ctx: Effects, customer: str, id: str, param: str = "id", status: int = 404) -> Json:
    """Return a card of the customer's. Raises Stripe's error."""
    found = ctx.realm.find("card", id)
    if found is None or found["customer"] != customer:
        raise errors.no_such("source", id, param, status)
    return copy.deepcopy(found)


def _add(ctx: Effects, params: Json, id: str) -> Json:
    customer = _customer(ctx, id)
    made = keep(ctx, params["source"], id, params.get("metadata"))
    if customer["default_source"] is None:
        change(ctx, customer, "customer.updated", default_source=made["id"])
    return made


def _update(ctx: Effects, params: Json, customer: str, id: str) -> Json:
    card = owned(ctx, customer, id)
    given: Json = {name: value for name, value in params.items() if name != "metadata"}
    given |= {name: int(given[name]) for name in ("exp_month", "exp_year") if given.get(name)}
    merged = {**card["metadata"], **(params.get("metadata") or {})}
    given["metadata"] = {name: value for name, value in merged.items() if value != ""}
    return change(ctx, card, "customer.source.updated", **given)


def _remove(ctx: Effects, params: Json, customer: str, id: str) -> Json:
    card, owner = owned(ctx, customer, id), _customer(ctx, customer)
    ctx.realm.put("card", id, {"object": card, "deleted": True})
    ctx.announce("customer.source.deleted", card)
    if owner["default_source"] == id:
        left = [each["id"] for each in ctx.realm.all("card") if each["customer"] == customer]
        change(ctx, owner, "customer.updated", default_source=left[-1] if left else None)
    return {"id": id, "object": "card", "deleted": True}


CARD = Resource(
    kind="card",
    path="(card)",
    prefix="card_",
    readable=False,
    created_field="",
    has_livemode=False,
    defaults=blank(
        "address_city address_country address_line1 address_line1_check address_line2 address_state address_zip "
        "address_zip_check customer cvc_check dynamic_last4 name tokenization_method"
    )
    | {"allow_redisplay": "unspecified", "metadata": {}},
    events=(),
)
ROUTES = (
    Route(
        "POST",
        "customers/{}/sources",
        "card",
        _add,
        {"metadata": Metadata(), "source": Text(required=True), "validate": Flag()},
    ),
    Route(
        "POST",
        "customers/{}/sources/{}",
        "card",
        _update,
        {
            "exp_month": Text(pattern="0?[1-9]|1[0-2]"),
            "exp_year": Text(pattern="20[0-9]{2}"),
            "metadata": Metadata(),
            "name": Text(),
        },
    ),
    Route("DELETE", "customers/{}/sources/{}", "card", _remove),
)
