"""Runs the whole service on one machine without configuration: MongoDB, a small Stripe, the API and reconcile."""

from stripe_mongo_sync import signals as signals  # first: what follows takes a second
