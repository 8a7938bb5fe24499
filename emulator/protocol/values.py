"""Long lists of values, read from the types of stripe-python."""

from __future__ import annotations

import re
from typing import Any

from stripe import params
from stripe.params import billing_portal, checkout

from stripe_mongo_sync.emulator.protocol.fields import OneOf


def choice(kind: Any, name: str) -> OneOf:
    """Return a parameter with the values that a type of stripe-python gives it."""
    return OneOf(values=_listed(kind, name))


def _listed(kind: Any, name: str) -> tuple[str, ...]:
    return tuple(re.findall(r"'([^']+)'", str(kind.__annotations__[name])))


EVENTS = _listed(params.WebhookEndpointCreateParams, "enabled_events")
METHODS = _listed(params.PaymentMethodCreateParams, "type")
METHODS_OF_INTENTS = _listed(params.PaymentIntentCreateParams, "allowed_payment_method_types")
METHODS_OF_SESSIONS = _listed(checkout.SessionCreateParams, "allowed_payment_method_types")
LOCALES = _listed(checkout.SessionCreateParams, "locale")
LOCALES_OF_PORTALS = _listed(billing_portal.SessionCreateParams, "locale")
TAX_IDS = _listed(params.CustomerCreateParamsTaxIdDatum, "type")
VERSIONS = _listed(params.WebhookEndpointCreateParams, "api_version")
