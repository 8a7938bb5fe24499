"""Accounts: the emulated account itself, and accounts that are connected to it."""

from __future__ import annotations

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import Resource, Route
from stripe_mongo_sync.emulator.objects.read_only import PARTS_OF_ACCOUNT
from stripe_mongo_sync.emulator.protocol.fields import Email, Fields, Metadata, OneOf, Text
from stripe_mongo_sync.emulator.protocol.wire import Json

DEFAULT = "acct_1EmulatedStripe01"


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


def _deauthorized(ctx: Effects, account: Json) -> None:
    """Announce, in the deleted account, that its application lost its access."""
    application = {"id": "ca_1EmulatedApplication01", "object": "application", "name": None}
    ctx.in_account(account["id"]).announce("account.application.deauthorized", application)


SHOWN: Fields = {
    "business_type": OneOf(values=("company", "government_entity", "individual", "non_profit")),
    "default_currency": Text(),
    "email": Email(),
    "metadata": Metadata(),
}
ACCOUNT = Resource(
    kind="account",
    path="accounts",
    prefix="acct_",
    width=16,
    has_livemode=False,
    create={
        **SHOWN,
        "country": Text(pattern="[A-Z]{2}"),
        "type": OneOf(values=("custom", "express", "standard")),
    },
    update=SHOWN,
    defaults={
        "business_type": None,
        "capabilities": {},
        "charges_enabled": False,
        "country": "US",
        "default_currency": "usd",
        "details_submitted": False,
        "email": None,
        "metadata": {},
        "payouts_enabled": False,
        "type": "standard",
    },
    lists=PARTS_OF_ACCOUNT,
    delete="gone",
    events=("updated",),
    is_account=True,
    on_delete=_deauthorized,
)
ROUTES = (Route("GET", "account", "account", lambda ctx, params: account_object(ctx.realm.account)),)
