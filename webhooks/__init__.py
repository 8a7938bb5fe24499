"""Stripe's way in: one endpoint, and the check that it is really Stripe who calls."""

from webhooks.routes import blueprint

__all__ = ["blueprint"]
