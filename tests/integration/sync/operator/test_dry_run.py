"""A dry run of each act of an operator: it writes nothing, and what it says is what the act then does."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, Delivery, Event, State
from stripe_mongo_sync.models.event import EventState
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.clock import DueReason
from stripe_mongo_sync.models.state import CIRCUIT_BREAKER
from stripe_mongo_sync.sync.__main__ import main
from stripe_mongo_sync.sync.engine.observations import existence_of, from_reply, merge_observation
from stripe_mongo_sync.sync.operator import inbox_admin, operations
from stripe_mongo_sync.sync.operator.plan import NOTHING, UNSAID, Plan, Write, _kind, _told, plan
from stripe_mongo_sync.sync.stripe.answers import Reply
from tests.support import samples
from tests.support.answers import everything, untouched
from tests.support.commands import commands
from tests.support.in_sync import assert_in_sync
from tests.support.run import Run
from tests.support.world import World

NAME = "user@here.com"


@dataclass
class Act:
    """An act, and the world in which it is done."""

    arrange: Callable[[World], Any]  # returns what the act needs
    do: Callable[[Any], Any]


def in_review(world: World) -> Customer:
    """A creation whose object Stripe finished after a 500, and no key shows it."""
    world.stripe.fault("500_repair", method="POST")
    customer = sync.create_customer(NAME, name="Ada")
    world.webhooks()
    world.stripe.repair()
    world.deliver()
    world.advance(minutes=30)
    return customer.fetch_latest()


def pending(world: World) -> Customer:
    """A creation that never reached Stripe."""
    world.stripe.fault("cut_before", method="POST", times=2)
    customer = sync.create_customer(NAME)
    world.advance(minutes=30)
    return customer


def changing(world: World) -> Customer:
    """A customer whose change never reached Stripe."""
    customer = sync.create_customer(NAME)
    world.deliver()
    world.stripe.fault("cut_before", method="POST", times=2)
    sync.update(customer, {"name": "B"})
    world.advance(minutes=30)
    return customer


def with_orphan(world: World) -> Customer:
    """A customer that was rolled back, whose object Stripe made in the end."""
    world.stripe.fault("cut_after", method="POST", times=2)
    world.stripe.lose_event("customer.created")
    customer = sync.create_customer(NAME)
    told = {"type": "rolled-back", "code": None, "message": "too late"}
    assert customer.roll_back(told, "a test", in_doubt=False) is not None
    (remote,) = world.stripe.objects("customer")
    late = customer.fetch_latest().update_if_unchanged(orphans=[remote["id"]], due_at=None)
    assert late is not None
    assert late.send_to_review("undo it?") is not None
    world.advance(minutes=30)
    return late


def order_to_cancel(world: World) -> Any:
    """An order whose cancellation never reached Stripe."""
    order = samples.create("order")
    world.deliver()
    world.stripe.fault("cut_before", method="POST", times=4)
    sync.act(order.fetch_latest(), "cancel", {})
    world.advance(minutes=30)
    return order


def unknown_event(world: World) -> Event:
    """The event of an object that was created elsewhere, which waits until it is adopted."""
    world.stripe.dashboard.create("customer", name="made elsewhere")
    world.deliver()
    world.advance(hours=1)
    found: Event = Event.objects.get()
    return found


def dead_event(world: World) -> Event:
    """An event of a known customer that was given up; it has news."""
    customer = sync.create_customer(NAME)
    world.deliver()
    world.advance(minutes=1)
    world.stripe.dashboard.update("customer", customer.stripe_id, name="new")
    (raw,) = world.webhooks()
    assert Event.record(json.loads(raw), raw, EventState.DEAD, "a bug of ours")
    found: Event = Event.objects.get(state="dead")
    return found


def adopted_meanwhile(world: World) -> tuple[str, str]:
    """A creation in doubt, whose object was adopted."""
    customer = pending(world)
    remote = world.stripe.dashboard.create("customer", email=NAME)
    Customer.adopt(from_reply(Customer, Reply(remote, 0, 1, replayed=False, request_id="req_1")))
    return str(customer.id), remote["id"]


def not_found(world: World) -> str:
    """A price that Stripe does not find, and never deletes."""
    price = samples.create("price")
    world.deliver()
    world.advance(minutes=30)
    world.converge()
    assert price.fetch_latest().requeue(DueReason.OPERATOR) is not None
    world.stripe.fault("missing", method="GET", path=price.path, times=None)
    world.reconcile()
    assert price.fetch_latest().review_reason is not None
    return str(price.id)


def deleted_here(world: World) -> str:
    """A customer that was taken for deleted, in review: another one has the username."""
    customer = sync.create_customer(NAME)
    world.deliver()
    gone = existence_of(str(customer.stripe_id), "a test", deleted=True)
    assert merge_observation(Customer, {"_id": customer.id}, gone) is not None
    assert customer.fetch_latest().send_to_review("it is there") is not None
    world.advance(minutes=30)
    return str(customer.id)


def open_breaker(world: World) -> None:
    State.write(CIRCUIT_BREAKER, {"cap": 20})


def only_remote(world: World) -> str:
    (remote,) = world.stripe.objects("customer")
    return str(remote["id"])


ACTS = {
    "retry a creation": Act(lambda world: str(pending(world).id), operations.retry),
    "retry a review": Act(lambda world: str(in_review(world).id), operations.retry),
    "retry a change": Act(lambda world: str(changing(world).id), operations.retry),
    "retry an undo": Act(lambda world: str(with_orphan(world).id), operations.retry),
    "retry an order": Act(lambda world: str(order_to_cancel(world).id), operations.retry),
    "roll back a creation": Act(lambda world: str(pending(world).id), operations.roll_back),
    "roll back a review": Act(lambda world: str(in_review(world).id), operations.roll_back),
    "roll back a change": Act(lambda world: str(changing(world).id), operations.roll_back),
    "keep an orphan": Act(lambda world: str(with_orphan(world).id), operations.roll_back),
    "link": Act(lambda world: (str(in_review(world).id), only_remote(world)), lambda it: operations.link(*it)),
    "link what was adopted": Act(adopted_meanwhile, lambda it: operations.link(*it)),
    "roll back what is not found": Act(not_found, operations.roll_back),
    "retry what is not found": Act(not_found, operations.retry),
    "retry what is deleted here": Act(deleted_here, operations.retry),
    "replay": Act(dead_event, inbox_admin.replay),
    "replay of an unknown object": Act(unknown_event, inbox_admin.replay),
    "ignore": Act(dead_event, inbox_admin.ignore),
    "reset-breaker": Act(open_breaker, lambda _: operations.reset_breaker()),
}


STAYS = ("retry a review", "retry an order")  # what is as undecided as before


@pytest.mark.parametrize("name", ACTS)
def test_it_writes_nothing_and_says_what_the_act_then_does(world: World, name: str) -> None:
    act = ACTS[name]
    given = act.arrange(world)
    with untouched(world, may_read=True):
        told = plan(lambda: act.do(given))
    before, sent = everything(world), len(world.stripe.requests)

    act.do(given)

    asked = [(one.method.lower(), one.path) for one in world.stripe.requests[sent:] if one.method != "GET"]
    assert [(call.method, call.path) for call in told.calls] == asked[: len(told.calls)]
    assert bool(told.calls) == bool(asked)
    if not told.calls:  # else Stripe's answer decided the rest
        assert said(told) == changed(before, everything(world))
    assert (told.would == [NOTHING]) == (name in STAYS)


# --- as commands ---


@pytest.mark.parametrize(
    ("arrange", "line"),
    [
        (in_review, "operations retry {}"),
        (in_review, "operations roll-back {}"),
        (dead_event, "events replay {}"),
        (dead_event, "events replay --dead"),
        (dead_event, "events ignore {}"),
        (open_breaker, "operations reset-breaker"),
        (open_breaker, "operations confirm"),
    ],
)
def test_each_command_that_acts_can_be_tried(
    world: World, run: Run, capsys: pytest.CaptureFixture[str], arrange: Callable[[World], Any], line: str
) -> None:
    line = line.format(getattr(arrange(world), "id", None))

    with untouched(world, may_read=True):
        code, told = run(f"{line} --dry-run")
        assert main([*line.split(), "--dry-run"]) == 0

    assert (code, told["dry_run"]) == (0, True)
    shown = capsys.readouterr().out.splitlines()
    assert shown
    assert all(each.startswith("would: ") for each in shown)


def test_every_command_that_acts_on_what_is_unfinished_can_be_tried() -> None:
    found = {
        name: command for name, command in commands().items() if name.split()[0] in ("operations", "events", "hooks")
    }
    acts = {name for name, command in found.items() if not command.reads} - {"hooks run"}

    assert {name for name in acts if "dry_run" in {each.name for each in found[name].params}} == acts


def test_link_can_be_tried_and_is_refused_by_the_same_check(world: World, run: Run) -> None:
    customer = in_review(world)
    remote = only_remote(world)
    other = world.stripe.dashboard.create("customer", name="Eve")["id"]

    with untouched(world, may_read=True):
        code, told = run("operations link", str(customer.id), remote, "--dry-run")
        assert (code, told["writes"][0]["fields"]["status"]) == (0, ["pending", "active"])
        code, told = run("operations link", str(customer.id), other, "--dry-run")
        assert (code, {each["name"] for each in told["differences"]}) == (1, {"name", "email"})


def test_what_is_not_possible_is_refused_as_the_act_refuses_it(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    customer = sync.create_customer(NAME)

    for action in ("retry", "roll-back"):
        told = []
        for more in ([], ["--dry-run"]):
            assert main(["operations", action, str(customer.id), *more]) == 1
            told.append(capsys.readouterr().err)
        assert told[0] == told[1]


def test_deliveries_can_be_tried(world: World, run: Run) -> None:
    at = clock.now()
    about = {"notice": "n1", "name": "customer.active", "occurred_at": at, "hook": "shop:hook", "kind": "customer"}
    dead = {**about, "state": "dead", "attempts": 15, "replays": 0, "dead_at": at, "reason": "it broke"}
    Delivery.insert_collection().insert_one({"_id": "n1:shop:hook", **dead})

    with untouched(world, may_read=True):
        code, told = run("hooks replay n1:shop:hook --dry-run")
        assert (code, told["would"][0]) == (0, "delivery n1:shop:hook becomes pending (it is dead)")
        code, told = run("hooks replay --dead-since 2020-01-01 --dry-run")
        assert (code, len(told["writes"])) == (0, 1)
        code, told = run("hooks drop n1:shop:hook --dry-run")
        assert (code, told["would"][0]) == (0, "delivery n1:shop:hook becomes done (it is dead)")
    assert run("hooks drop n1:shop:hook")[1]["state"] == "done"


def test_a_dry_run_logs_no_change_that_it_does_not_make(world: World, caplog: pytest.LogCaptureFixture) -> None:
    customer = in_review(world)
    caplog.set_level("INFO", "stripe_mongo_sync")

    plan(lambda: operations.roll_back(str(customer.id)))
    assert "rolled_back" not in caplog.text

    operations.roll_back(str(customer.id))
    assert "rolled_back" in caplog.text


def test_after_the_dry_run_the_act_works(world: World) -> None:
    customer = in_review(world)
    plan(lambda: operations.link(str(customer.id), only_remote(world)))

    operations.link(str(customer.id), only_remote(world))

    world.advance(hours=1)
    world.converge()
    assert_in_sync(world)


def said(told: Plan) -> dict[tuple[str, str], set[str]]:
    """The fields that change, of each row that a plan names."""
    return {(write.kind, _fresh(write)): {*write.fields, *write.content} for write in told.writes}


def _fresh(write: Write) -> str:
    return "new" if write.act == "insert" else write.id


def changed(before: dict[str, list[Any]], after: dict[str, list[Any]]) -> dict[tuple[str, str], set[str]]:
    """The fields that differ, of each row that differs; of a row that is new, all that it has."""
    found = {}
    for name in after:
        old, new = ({row["_id"]: row for row in rows.get(name, ())} for rows in (before, after))
        for id in {*old, *new}:
            was, now = old.get(id, {}), new.get(id, {})
            told = {each: [_told(each, row.get(each)) for row in (was, now)] for each in {*was, *now} - UNSAID}
            fields = {each for each, (first, then) in told.items() if first != then}
            if fields:
                found[_kind(name), str(id) if was else "new"] = fields
    return found
