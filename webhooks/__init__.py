"""Stripe's way in: one endpoint, and the check that it is really Stripe who calls."""

from stripe_mongo_sync.checkout import alias
from stripe_mongo_sync.webhooks.routes import blueprint

alias(__name__)

__all__ = ["blueprint"]
