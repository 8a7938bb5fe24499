"""The parameters that a caller may not give, each with the reason, and those that name a document of this service."""

from collections.abc import Mapping

OURS: Mapping[str, str] = {  # at any depth
    "expand": "is chosen by this service, which stores what Stripe shows",
    "metadata": "is not written by this service: keep data of your own in MongoDB",
}
OURS_AT: Mapping[str, str] = {  # by the kind and the path
    "checkout.session.client_reference_id": "holds this service's correlation id",
    "payment_method.card.number": "must not reach this service: send the token that Stripe makes of it in the browser",
    "payment_method.card.cvc": "must not reach this service: send the token that Stripe makes of it in the browser",
}
# The options of a request (`stripe.RequestOptions`) are no parameters: the engine sets them, and its idempotency key.

REFERENCES: Mapping[str, str] = {  # at any depth: the kind to which the id, or each id in the list, belongs
    **{name: name for name in ("coupon", "customer", "invoice", "payment_intent", "payment_method", "price")},
    **{name: name for name in ("product", "promotion_code", "shipping_rate", "subscription")},
    **{"default_payment_method": "payment_method", "default_price": "price", "products": "product"},
    "meter": "billing.meter",
    **{"from_subscription": "subscription", "schedule": "subscription_schedule"},
    **dict.fromkeys(("default_tax_rates", "tax_rates"), "tax_rate"),
}


def why_ours(kind: str, path: str) -> str | None:
    """Return why a caller may not give this parameter of a kind, or None."""
    return OURS.get(path.rpartition(".")[2]) or OURS_AT.get(f"{kind}.{path}")
