"""Invoices, subscriptions, quotes; of `objects` it may import `payments` and `catalog`."""
