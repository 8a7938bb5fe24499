"""Stripe's hosted pages. Of `objects`, may import `billing`, `payments` and `catalog`."""
