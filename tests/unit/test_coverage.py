"""Which events are about which type: as stripe-python itself says it, and nothing that we would ignore."""

import importlib
import inspect
import re

import pytest
import stripe.events._event_classes as catalogue

from models import Customer, PaymentIntent, Refund, ShippingRate, kinds
from sync.coverage import CATALOGUE, ELSEWHERE, covered_events, events_of, kind_of

THIN = catalogue._V2_EVENT_NOTIFICATION_CLASS_LOOKUP


def related(type: str) -> str | None:
    """The kind of object that stripe-python fetches for a thin event of that type; None where there is none."""
    path, _name = THIN[f"v1.{type}"]
    source = inspect.getsource(importlib.import_module(path))
    fetches = re.search(r"def fetch_related_object\(self\) -> \"(\w+)\"", source)
    imported = fetches and re.search(rf"from (stripe[\w.]*) import {fetches[1]}\b", source)
    if not fetches or not imported:
        return None
    return str(getattr(importlib.import_module(imported[1]), fetches[1]).OBJECT_NAME)


@pytest.mark.parametrize("type", [type for type in CATALOGUE if f"v1.{type}" in THIN])
def test_an_event_is_about_the_type_that_stripe_python_fetches_for_it(type: str) -> None:
    fetched = related(type)

    if type in ELSEWHERE and ELSEWHERE[type] is None:
        assert kind_of(type) is None
    elif fetched is not None:
        assert kind_of(type) == (fetched if fetched in kinds() else None)


def test_the_oracle_can_tell() -> None:
    assert related("customer.created") == "customer"
    assert related("customer.subscription.updated") == "subscription"
    assert related("charge.refund.updated") == "refund"


def test_each_type_has_its_events_and_no_others() -> None:
    assert events_of(Customer) == ("customer.created", "customer.deleted", "customer.updated")
    assert events_of(Refund) == ("charge.refund.updated", "refund.created", "refund.failed", "refund.updated")
    assert len(events_of(PaymentIntent)) == 8
    assert events_of(ShippingRate) == (), "Stripe tells nothing of shipping rates"


def test_what_is_covered_is_what_is_kept() -> None:
    covered = covered_events()

    assert sorted(covered) == sorted(type for model in kinds().values() for type in events_of(model))
    assert len(covered) == len(set(covered))
    assert "invoice.upcoming" not in covered
    for model in kinds().values():
        resource = model.resource
        assert not resource.announced or resource.created_event in events_of(model)
