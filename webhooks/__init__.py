"""The Stripe webhook endpoint and its signature check."""

from stripe_mongo_sync.checkout import alias
from stripe_mongo_sync.webhooks.routes import blueprint

alias(__name__)

__all__ = ["blueprint"]
