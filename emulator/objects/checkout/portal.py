"""Configurations of the billing portal: what customers can do there."""

from __future__ import annotations

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import ACTIVE, Resource, blank, same
from stripe_mongo_sync.emulator.protocol.fields import Fields, Flag, Hash, Many, Metadata, OneOf, Text
from stripe_mongo_sync.emulator.protocol.wire import Json

REASONS = (
    *("customer_service", "low_quality", "missing_features", "other"),
    *("switched_service", "too_complex", "too_expensive", "unused"),
)
PRORATION = OneOf(values=("always_invoice", "create_prorations", "none"))
UPDATES = ("address", "email", "name", "phone", "shipping", "tax_id")


def features(new: bool) -> Fields:
    """Return the features that a configuration can enable. Only an update may omit `enabled`."""
    reason: Fields = {"enabled": Flag(required=True), "options": Many(each=OneOf(values=REASONS), required=new)}
    return {
        "customer_update": Hash(
            fields={"allowed_updates": Many(each=OneOf(values=UPDATES)), "enabled": Flag(required=new)}, fill=False
        ),
        "invoice_history": Hash(fields={"enabled": Flag(required=True)}),
        "payment_method_update": Hash(fields={"enabled": Flag(required=True)}, fill=False),
        "subscription_cancel": Hash(
            fields={
                "cancellation_reason": Hash(fields=reason, fill=False),
                "enabled": Flag(required=new),
                "mode": OneOf(values=("at_period_end", "immediately")),
                "proration_behavior": PRORATION,
            },
            fill=False,
        ),
    }


NONE: Json = {
    "customer_update": {"allowed_updates": [], "enabled": False},
    "invoice_history": {"enabled": False},
    "payment_method_update": {"enabled": False, "payment_method_configuration": None},
    "subscription_cancel": {
        "cancellation_reason": {"enabled": False, "options": list(REASONS)},
        "enabled": False,
        "mode": "at_period_end",
        "proration_behavior": "none",
    },
    "subscription_update": {
        "billing_cycle_anchor": None,
        "default_allowed_updates": [],
        "enabled": False,
        "proration_behavior": "none",
        "schedule_at_period_end": {"conditions": []},
        "trial_update_behavior": "end_trial",
    },
}


def _finish(ctx: Effects, params: Json, configuration: Json) -> None:
    configuration["updated"] = ctx.second
    given = {name: each for name, each in (params.get("features") or {}).items() if each is not None}
    before = configuration["features"]
    configuration["features"] = {name: {**NONE[name], **before[name], **given.get(name, {})} for name in NONE}


SHOWN: Fields = {
    "business_profile": Hash(
        fields={"headline": Text(longest=60), "privacy_policy_url": Text(), "terms_of_service_url": Text()}
    ),
    "default_return_url": Text(),
    "login_page": Hash(fields={"enabled": Flag(required=True)}, hidden=True),
    "metadata": Metadata(),
    "name": Text(longest=256),
}
CONFIGURATION = Resource(
    kind="billing_portal.configuration",
    path="billing_portal/configurations",
    prefix="bpc_",
    label="configuration",
    create={**SHOWN, "features": Hash(fields=features(new=True), required=True, fill=False, hidden=True)},
    update={**SHOWN, "active": Flag(), "features": Hash(fields=features(new=False), fill=False, hidden=True)},
    defaults=blank("application default_return_url name")
    | {"active": True, "business_profile": blank("headline privacy_policy_url terms_of_service_url")}
    | {
        "features": NONE,
        "is_default": False,
        "login_page": {"enabled": False, "url": None},
        "metadata": {},
        "updated": 0,
    },
    filters={**ACTIVE, "is_default": same("is_default", Flag())},
    created_filter=False,
    events=("created", "updated"),
    finish=_finish,
)
