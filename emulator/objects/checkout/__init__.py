"""Stripe's hosted pages. Of `objects`, may import `subscriptions`, `billing`, `payments` and `catalog`."""
