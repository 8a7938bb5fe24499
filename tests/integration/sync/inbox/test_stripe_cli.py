"""What Stripe's own command line makes happen at the emulator ends with both sides in sync."""

import os
from collections.abc import Iterator

import pytest

from stripe_mongo_sync.emulator import Emulator
from stripe_mongo_sync.emulator.fronts.server import Server
from tests.support import stripe_cli
from tests.support.in_sync import assert_in_sync
from tests.support.run import Run
from tests.support.world import SECRET, URL, World

ABSENT = "Stripe's command line is not here: `make stripe-cli` installs it (see CONTRIBUTING.md)"
needed = pytest.mark.skipif(stripe_cli.found() is None, reason=ABSENT)
# What it cannot trigger at the emulator, and why.
REFUSED = {
    "payment_intent.partially_funded": "asks for a transfer of the type jp_bank_account, which Stripe does not list",
    "v1.billing.meter.error_report_triggered": "sends to meter-events.stripe.com, whatever it is told by --api-base",
    "v1.billing.meter.no_meter_found": "sends to meter-events.stripe.com, whatever it is told by --api-base",
}
# What it calls an event, and what it leads to is another.
OTHERS: dict[str, str] = {
    "billing_portal.session.created": "customer.created",  # the emulator does not announce a visit yet
    "subscription_schedule.aborted": "subscription_schedule.canceled",  # nobody was delinquent
    "subscription_schedule.expiring": "subscription_schedule.created",  # it stops nine days before the end, not seven
    "subscription.payment_failed": "invoice.payment_failed",
    "subscription.payment_succeeded": "invoice.payment_succeeded",
}


@pytest.fixture
def url(world: World) -> Iterator[str]:
    """Where the emulator of this world listens."""
    with Server(world.stripe) as server:
        yield server.url


def test_the_command_line_is_here_where_it_must_be() -> None:
    assert stripe_cli.found() or "CI" not in os.environ, ABSENT


@needed
def test_most_of_what_it_offers_works() -> None:
    assert REFUSED.keys() <= set(stripe_cli.offered())
    assert len(stripe_cli.offered()) - len(REFUSED) >= 100


@needed
@pytest.mark.parametrize("event", stripe_cli.offered())
def test_what_it_triggers_ends_in_sync(event: str, world: World, url: str, run: Run) -> None:
    world.stripe.endpoint(f"{URL}/connect", SECRET, connect=True)
    triggered = stripe_cli.trigger(event, url)

    assert triggered.good == (event not in REFUSED), triggered.said
    world.stripe.engine.log.clear()  # these requests were not ours
    world.deliver()
    world.advance(minutes=5)  # banks answer, and reports are written
    world.deliver()
    assert run("reconcile --full")[0] == 0
    assert_in_sync(world)
    code, told = run("status")
    assert code == 0, told
    wanted = OTHERS.get(event, event.removesuffix(".eu").removesuffix(".gb"))
    assert wanted in told_of(world.stripe) or event in REFUSED


def told_of(stripe: Emulator) -> set[str]:
    """The types of all events, those of connected accounts included."""
    tables = (stripe.engine.store.table(name) for name in stripe.engine.store.names() if name.endswith("/event"))
    return {row["event"]["type"] for table in tables for row in table.values()}
