"""Meters: made here, or copied by an older version, they count what is recorded, and prices name them."""

from typing import Any

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Meter, kinds
from stripe_mongo_sync.models.base.input import Invalid
from stripe_mongo_sync.models.state import MIGRATIONS, State
from stripe_mongo_sync.sync.errors import InProgress
from stripe_mongo_sync.sync.runs.migrations import migrate
from stripe_mongo_sync.sync.runs.progress import no_progress
from stripe_mongo_sync.sync.shop.usage import send_usage
from tests.support import samples
from tests.support.in_sync import assert_in_sync
from tests.support.world import World

NAME = "user@here.com"
BODY = samples.body("billing.meter", "calls")
MIRRORED = ("display_name", "event_name", "customer_mapping", "default_aggregation", "value_settings", "stripe_status")


def counted(world: World) -> list[dict[str, Any]]:
    return [each["payload"] for each in world.stripe.engine.realm(False).table("meter_events").values()]


@pytest.mark.parametrize("name", ["our id", "Stripe's id", "event_name"])
def test_usage_is_counted_by_a_meter_that_was_made_here(world: World, name: str) -> None:
    customer, (meter, _) = sync.create_customer(NAME), sync.create(Meter, BODY)
    named = {"our id": str(meter.id), "Stripe's id": meter.stripe_id, "event_name": meter.event_name}[name]

    record = sync.record_usage(NAME, named, 7)

    assert (record.meter, send_usage()) == (meter.event_name, {"sent": 1})
    assert counted(world) == [{"who": customer.stripe_id, "used": "7"}]


def test_a_meter_is_deactivated_and_reactivated(world: World) -> None:
    meter, _ = sync.create(Meter, BODY)

    for action, status in (("deactivate", "inactive"), ("reactivate", "active")):
        assert sync.act(meter.fetch_latest(), action).stripe_status == status

    assert_in_sync(world)


def test_a_price_names_a_meter_of_ours(world: World) -> None:
    meter, _ = sync.create(Meter, BODY)
    recurring = {"interval": "month", "usage_type": "metered", "meter": str(meter.id)}

    price, _ = sync.create(kinds()["price"], {**samples.body("price"), "recurring": recurring})

    assert price.recurring.meter == meter.stripe_id
    with pytest.raises(Invalid, match=r"recurring\.meter: there is no such billing\.meter"):
        sync.create(kinds()["price"], {**samples.body("price"), "recurring": {**recurring, "meter": "mtr_unknown"}})


@pytest.mark.parametrize("by", ["id", "event_name"])
def test_usage_waits_for_a_meter_that_stripe_does_not_have_yet(world: World, by: str) -> None:
    sync.create_customer(NAME)
    world.stripe.fault("cut_before", method="POST", times=2)
    meter, _ = sync.create(Meter, BODY)

    with pytest.raises(InProgress, match=f"Meter {meter.id} is pending"):
        sync.record_usage(NAME, str(getattr(meter, by)))

    world.advance(minutes=2)
    world.reconcile()
    assert sync.record_usage(NAME, str(getattr(meter, by))).meter == meter.event_name


def test_usage_of_a_meter_that_was_never_created_is_refused(world: World) -> None:
    sync.create_customer(NAME)
    world.stripe.fault("decline", method="POST")
    with pytest.raises(sync.Refused):
        sync.create(Meter, BODY)
    (meter,) = Meter.objects

    with pytest.raises(Invalid, match="which was not created"):
        sync.record_usage(NAME, str(meter.id))


@pytest.mark.parametrize("before", [False, True], ids=["migrated", "before migrate"])
def test_a_meter_that_an_older_version_copied_goes_on(world: World, before: bool) -> None:
    """Its row has the snapshot, and none of the fields of the type."""
    customer = sync.create_customer(NAME)
    remote = world.stripe.dashboard.create("billing.meter", **BODY)
    world.deliver()
    Meter.own_rows().update_many({}, {"$unset": dict.fromkeys((*MIRRORED, "event_time_window"), "")})
    State.write(MIGRATIONS, {"done": ["names", "creations", "owners"], "place": None})

    if not before:
        assert migrate(no_progress)["fields"] == 1
        assert migrate(no_progress)["fields"] == 0
        assert Meter.named(BODY["event_name"]).display_name == BODY["display_name"]
        assert world.reconcile(full=True).counts["edited"] == 0
    sync.record_usage(NAME, BODY["event_name"], 3)
    send_usage()

    assert counted(world) == [{"who": customer.stripe_id, "used": "3"}]
    changed = sync.update(Meter.by_stripe_id(remote["id"]), {"display_name": "Other"})
    assert (changed.display_name, changed.event_name) == ("Other", BODY["event_name"])
    assert sync.act(changed, "deactivate").stripe_status == "inactive"
    world.reconcile(full=True)
    assert_in_sync(world)
