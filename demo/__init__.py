"""Runs the whole service on one machine without configuration: MongoDB, a small Stripe, the API and reconcile."""
