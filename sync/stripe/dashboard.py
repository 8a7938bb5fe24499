"""Links to Stripe's Dashboard, in which a person sees an object."""

from urllib.parse import quote

HOST = "https://dashboard.stripe.com"
# The pages of the kinds that have one by the id of an object. Any other object is found by the Dashboard's search.
PAGES = {
    "charge": "payments",
    "coupon": "coupons",
    "customer": "customers",
    "dispute": "disputes",
    "event": "events",
    "invoice": "invoices",
    "payment_intent": "payments",
    "payout": "payouts",
    "price": "prices",
    "product": "products",
    "quote": "quotes",
    "subscription": "subscriptions",
}


def page_of(kind: str, stripe_id: str, *, livemode: bool) -> str:
    """Return the address at which the Dashboard shows an object; of test mode, below /test/."""
    place = f"{PAGES[kind]}/" if kind in PAGES else "search?query="
    return f"{HOST}/{'' if livemode else 'test/'}{place}{quote(stripe_id, safe='')}"
