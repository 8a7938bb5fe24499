"""Invoices, subscriptions and quotes. Of `objects`, may import `payments` and `catalog`."""
