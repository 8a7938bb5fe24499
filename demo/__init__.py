"""The whole service on one machine, with nothing to configure: MongoDB, a small Stripe, the API and reconcile."""
