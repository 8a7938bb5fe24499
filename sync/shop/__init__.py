"""Calls in the shop's words: customers, orders, refunds, and what they come to. It may import the inbox, the engine and
what is below."""
