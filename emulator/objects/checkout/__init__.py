"""Stripe's hosted pages; of `objects` it may import `billing`, `payments` and `catalog`."""
