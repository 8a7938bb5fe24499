"""Which events are about which type: as stripe-python itself says it, and nothing that we would ignore."""

import importlib
import inspect
import re

import pytest
import stripe.events._event_classes as classes

from stripe_mongo_sync.models import kinds
from stripe_mongo_sync.sync.operator.catalogue import catalogue, covered_events, event_types, ignored, kinds_of

THIN = classes._V2_EVENT_NOTIFICATION_CLASS_LOOKUP


def related(type: str) -> str | None:
    """The kind of object that stripe-python fetches for a thin event of that type; None where there is none."""
    path, _name = THIN[f"v1.{type}"]
    source = inspect.getsource(importlib.import_module(path))
    fetches = re.search(r"def fetch_related_object\(self\) -> \"(\w+)\"", source)
    imported = fetches and re.search(rf"from (stripe[\w.]*) import {fetches[1]}\b", source)
    if not fetches or not imported:
        return None
    return str(getattr(importlib.import_module(imported[1]), fetches[1]).OBJECT_NAME)


@pytest.mark.parametrize("type", [type for type in event_types() if f"v1.{type}" in THIN])
def test_an_event_is_about_the_type_that_stripe_python_fetches_for_it(type: str) -> None:
    fetched = related(type)

    if fetched is not None and not ignored(type):
        assert fetched in kinds_of(type) or fetched not in kinds()


def test_the_oracle_can_tell() -> None:
    assert related("customer.created") == "customer"
    assert related("customer.subscription.updated") == "subscription"
    assert related("charge.refund.updated") == "refund"


def test_what_is_covered_is_what_is_kept() -> None:
    covered = covered_events()

    assert set(covered) == {type for entry in catalogue() for type in entry.events}
    assert len(covered) == len(set(covered))
    assert "invoice.upcoming" not in covered
    for model in kinds().values():
        resource = model.resource
        assert not resource.has_created_event or resource.created_event in covered
