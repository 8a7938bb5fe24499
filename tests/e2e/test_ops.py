"""The operator's page in a real Chromium, mounted in a shop: who operates it does there what the commands do."""

import os
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from stripe_mongo_sync import sync
from stripe_mongo_sync.api import init_app
from stripe_mongo_sync.models import Customer, Event, Status
from stripe_mongo_sync.sync.inbox import inbox
from tests.support import browser_tools
from tests.support.in_sync import assert_in_sync
from tests.support.served import served
from tests.support.world import World

SCRIPT = Path(__file__).with_name("browse_ops.mjs")
TOKEN = "the-token-of-an-operator-with-a-browser"
NAME = "user@here.com"
needed = pytest.mark.skipif(not browser_tools.here(), reason=browser_tools.ABSENT)


def test_the_browser_is_here_where_it_must_be() -> None:
    assert browser_tools.here() or "CI" not in os.environ, browser_tools.ABSENT


def in_doubt(world: World, name: str) -> Customer:
    """A customer whom Stripe finished after a 500, so that no key shows it."""
    world.stripe.fault("500_repair", method="POST")
    customer = sync.create_customer(name, name="Ada")
    world.webhooks()
    world.stripe.repair()
    return customer


def busy(world: World) -> dict[str, Any]:
    """Arrange what an operator has to do: three reviews and a dead event, beside a customer who is well."""
    dead = sync.create_customer("dead@here.com")
    world.deliver()
    world.advance(seconds=2)
    world.stripe.dashboard.update("customer", dead.stripe_id, name="new")
    world.stripe.fault("cut_before", method="GET", times=None)
    world.settings["REVALIDATE"] = "all"
    world.start()
    world.deliver()
    for _ in range(20):
        world.advance(hours=2)
        inbox.drain()
    world.stripe.clear_faults()
    world.settings["REVALIDATE"] = ""
    world.settings["API_TOKENS"] = f"ann:read+operate:{TOKEN}"
    world.start()
    sync.create_customer(NAME, name="<b>Bold</b>")
    world.deliver()
    doubtful = [in_doubt(world, f"doubt{number}@here.com") for number in range(3)]
    world.advance(minutes=30)
    for customer in doubtful:
        customer.send_to_review("an operator must decide")
    (event,) = Event.objects(state="dead")
    linked, given_up, third = (str(each.id) for each in doubtful)
    return {"linked": linked, "given_up": given_up, "third": third, "dead": event.id}


@needed
def test_an_operator_finds_reads_settles_and_replays_in_a_browser(world: World) -> None:
    plan = busy(world)
    shop = Flask("shop")
    init_app(shop, "/billing", ops=True, settings=world.read)
    with served(shop, door=False) as server:
        origin = f"http://{server.address[0]}:{server.address[1]}"
        seen = browser_tools.browse(
            SCRIPT, "ops", origin=origin, page=f"{origin}/billing/ops", token=TOKEN, user=NAME, **plan
        )

    assert (seen["errors"], seen["foreign"], seen["violations"], seen["wide"]) == ([], [], [], [])
    (cookie,) = seen["cookies"]
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/billing/ops")
    told = {
        "overview": ["3 in review", "1 events are dead", "operations list --review"],
        "document": ["customer.created of", "was inserted", "<b>Bold</b>", NAME],
        "before_linked": ["What was staged", "Candidate", "becomes active"],
        "linked": ["It was linked.", "active"],
        "before_given_up": ["becomes rolled_back"],
        "given_up": ["It was given up.", "rolled_back, by operator ann"],
        "replayed": ["It was replayed", "applied"],
        "plain": ["Timeline", "customer.created of"],
    }
    for name, texts in told.items():
        for text in texts:
            assert text in seen["texts"][name], (name, seen["texts"][name])
    linked, given_up = (Customer.objects.get(id=plan[name]) for name in ("linked", "given_up"))
    assert (linked.status, given_up.status) == (Status.ACTIVE, Status.ROLLED_BACK)
    assert Event.objects.get(id=plan["dead"]).state == "applied"
    world.converge()
    assert_in_sync(world, review=True)
