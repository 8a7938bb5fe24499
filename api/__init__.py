"""People's way in: the create API, and the application that serves it beside the webhook endpoint."""

from api.app import create_app

__all__ = ["create_app"]
