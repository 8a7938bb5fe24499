"""The parameters that a caller may not give, each with the reason, and those that name a document of this service."""

from collections.abc import Mapping

OURS: Mapping[str, str] = {  # at any depth
    "expand": "is chosen by this service, which stores what Stripe shows",
    "metadata": "is not written by this service: keep data of your own in MongoDB",
}
_SOLD = "would change what is sold, and an order sells its `items`: use a checkout session"
_PAGE = "belongs to a page of your own: an order is paid on Stripe's, see its `url`"
_MODE = "belongs to another mode: an order is one payment"
_SET = "is set by the order, from its `username` and `items`"
OURS_AT: Mapping[str, str] = {  # by the kind and the path
    "checkout.session.client_reference_id": "holds this service's correlation id",
    # An order takes what its checkout session or payment intent takes, but for these.
    **dict.fromkeys((f"order.{name}" for name in ("amount", "currency", "customer", "customer_account")), _SET),
    "order.line_items": "is given by the order's `items`",
    "order.client_reference_id": "holds this service's correlation id",
    "order.mode": "is payment: an order is one payment",
    "order.confirm": "follows from what the order is given to pay with at once",
    "order.after_expiration": "would let another session be paid, which is not the order's",
    "order.optional_items": _SOLD,
    "order.permissions": _SOLD,
    **dict.fromkeys((f"order.{name}" for name in ("ui_mode", "redirect_on_completion")), _PAGE),
    **dict.fromkeys(
        (f"order.{name}" for name in ("setup_intent_data", "subscription_data", "payment_method_collection")), _MODE
    ),
    "payment_method.card.number": "must not reach this service: send the token that Stripe makes of it in the browser",
    "payment_method.card.cvc": "must not reach this service: send the token that Stripe makes of it in the browser",
}
# The options of a request (`stripe.RequestOptions`) are no parameters: the engine sets them, and its idempotency key.

REFERENCES: Mapping[str, str] = {  # at any depth: the kind to which the id, or each id in the list, belongs
    **{name: name for name in ("coupon", "customer", "invoice", "payment_intent", "payment_method", "price")},
    **{name: name for name in ("product", "promotion_code", "shipping_rate", "subscription")},
    **{"default_payment_method": "payment_method", "default_price": "price", "products": "product"},
    **{"meter": "billing.meter", "quote": "quote"},
    **{"from_subscription": "subscription", "schedule": "subscription_schedule"},
    **dict.fromkeys(("default_tax_rates", "tax_rates"), "tax_rate"),
}
REFERENCES_AT: Mapping[str, str] = {  # by the kind and the path, where the name says something else
    "billing.credit_grant.applicability_config.scope.prices.id": "price",
    "credit_note.refunds.refund": "refund",
}


def why_ours(kind: str, path: str) -> str | None:
    """Return why a caller may not give this parameter of a kind, or None."""
    return OURS.get(path.rpartition(".")[2]) or OURS_AT.get(f"{kind}.{path}")


def reference(kind: str, path: str) -> str | None:
    """Return the kind whose ids this parameter of a kind takes, or None; the path is without the places in lists."""
    return REFERENCES_AT.get(f"{kind}.{path}") or REFERENCES.get(path.rpartition(".")[2])
