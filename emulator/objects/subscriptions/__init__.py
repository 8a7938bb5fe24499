"""Subscriptions, their items and schedules. Of `objects`, may import `billing`, `payments` and `catalog`."""
