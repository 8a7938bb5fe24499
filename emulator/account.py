"""GET /v1/account: whose keys these are."""

from __future__ import annotations

from emulator.resource import Resource
from emulator.wire import Json

DEFAULT = "acct_1EmulatedStripe01"
ACCOUNT = Resource(kind="account", path="account", prefix="acct_", events=())


def account_object(id: str) -> Json:
    return {
        "id": id,
        "object": "account",
        "business_type": None,
        "capabilities": {"card_payments": "active", "transfers": "active"},
        "charges_enabled": True,
        "country": "US",
        "default_currency": "usd",
        "details_submitted": True,
        "email": "owner@example.com",
        "payouts_enabled": True,
        "type": "standard",
    }
