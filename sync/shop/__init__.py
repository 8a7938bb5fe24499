"""Calls in the shop's words: customers, orders, what they come to, and forgetting a person. It may import the inbox,
the engine and what is below."""
