"""The layers that a request passes, and the table of Stripe types. Imports `state` and `protocol`."""
