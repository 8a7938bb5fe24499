"""Payments, payment methods and the account's balance. Of `objects`, may import `catalog`."""
