"""Hooks: what happened is told at least once, and a hook that fails, hangs or kills its process harms nobody."""

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, Delivery, DeliveryState, Event, Status, kinds
from stripe_mongo_sync.models.delivery import ATTEMPT_LOST
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.sync.__main__ import main
from stripe_mongo_sync.sync.errors import BadSettings
from stripe_mongo_sync.sync.notices.deliver import Limits, deliver, relay_notices
from tests.support import samples
from tests.support.fuse import Died, Fuse
from tests.support.hooks import listening
from tests.support.mongo import our_database
from tests.support.world import World

NAME = "user@here.com"
TWICE = Limits(timeout=5, attempts=2, wait=timedelta(minutes=10))
Run = Callable[..., tuple[int, Any]]


def boom(notice: sync.Notice) -> None:
    raise RuntimeError("no such template")


def raw_rows(collection: str = "customers") -> list[dict[str, Any]]:
    return list(our_database()[collection].find())


def the_delivery() -> Delivery:
    row: Delivery = Delivery.objects.get()
    return row


@pytest.fixture
def run(world: World, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in this process; returns its exit code and what its --json says."""

    def command(line: str, *more: str) -> tuple[int, Any]:
        capsys.readouterr()
        code = main([*line.split(), *more, "--json"])
        out = capsys.readouterr().out
        return code, json.loads(out) if out else None

    return command


# --- what is told ---


def test_a_hook_is_told_of_a_new_customer_as_it_is_now(world: World) -> None:
    with listening("customer.active") as heard:
        customer = sync.create_customer(NAME)
        (row,) = raw_rows()
        assert [notice["name"] for notice in row["notices"]] == ["customer.active"]
        sync.update(customer, {"name": "A Later Name"})

        assert deliver() == {"done": 1}

    (notice,) = heard
    assert (notice.id, notice.name, notice.kind) == (f"{customer.id}:2:customer.active", "customer.active", "customer")
    assert notice.at == row["notices"][0]["at"]
    assert isinstance(notice.document, Customer)
    assert (notice.document.id, notice.document.name, notice.event) == (customer.id, "A Later Name", None)
    assert deliver() == {}
    assert len(heard) == 1


def test_every_end_of_a_document_is_told(world: World) -> None:
    with listening("customer.*") as heard:
        sync.delete(sync.create_customer("deleted"))
        world.stripe.fault("decline", method="POST")
        with pytest.raises(sync.Refused):
            sync.create_customer("refused")
        world.stripe.dashboard.create("customer", name="adopted")
        world.deliver()
        world.stripe.fault("cut_before", method="POST", times=2)
        assert sync.create_customer("pending").status == Status.PENDING

        deliver()

    by_name = {(notice.document.username, notice.document.name): [] for notice in heard}
    for notice in heard:
        by_name[notice.document.username, notice.document.name].append(notice.name)
    assert {key: sorted(names) for key, names in by_name.items()} == {
        ("deleted", None): ["customer.active", "customer.deleted"],
        ("refused", None): ["customer.rolled_back"],
        (None, "adopted"): ["customer.active"],
    }


def test_a_type_tells_of_what_it_names_itself_in_the_same_update(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Customer, "resource", replace(Customer.resource, notices=("customer.greeted",)))
    customer = sync.create_customer(NAME)
    with listening("customer.greeted", "customer.deleted") as heard:
        moved = customer.update_if_unchanged(notices=["customer.greeted"], description="hello")
        assert moved is not None
        assert customer.update_if_unchanged(notices=["customer.greeted"], description="too late") is None
        assert moved.update_if_unchanged("test", notices=["customer.greeted"], status=Status.DELETED) is not None
        deliver()

    assert [(n.name, n.id.split(":")[1]) for n in heard] == [
        ("customer.greeted", "3"),
        ("customer.greeted", "4"),
        ("customer.deleted", "4"),
    ]
    with pytest.raises(AssertionError, match=r"waved.* are not all notices of customer"):
        customer.update_if_unchanged(notices=["customer.waved"], description="hello")


def test_an_order_tells_of_its_payment_in_the_update_that_makes_it_paid(world: World) -> None:
    with listening("order.*", "payment_intent.active") as heard:
        order = sync.create_order(**samples.body("order"))
        world.stripe.pay_session(order.checkout_session or "", "pm_card_visa")
        world.deliver()
        row = our_database().orders.find_one({"_id": order.id})
        given = [notice["name"] for notice in row["notices"]]
        assert given == ["order.awaiting_payment", "order.active", "order.paid"]
        half = {"payment_intent": row["payment_intent"], "amount": 500}
        sync.create(kinds()["refund"], half)
        world.deliver()
        deliver()

    told = [notice.name for notice in heard if notice.kind == "order"]
    assert sorted(told) == sorted([*given, "order.partially_refunded"])
    assert {notice.document.payment_status for notice in heard if notice.kind == "order"} == {"partially_refunded"}


def test_an_event_of_any_type_is_told_as_stripe_sent_it_once(world: World) -> None:
    sync.create_customer(NAME)
    (raw,) = world.webhooks()
    event = json.loads(raw)
    dispute = {"id": "du_1", "object": "dispute", "reason": "fraudulent", "odd": "\udcff"}
    told = json.dumps({**event, "id": "evt_d", "type": "charge.dispute.created", "data": {"object": dispute}}).encode()

    with listening("stripe:charge.dispute.*", "stripe:customer.created") as heard:
        assert world.send(told).json == {"state": "dead"}, "half a character cannot be stored in a document"
        assert world.send(told).json == {"state": "duplicate"}
        world.send(raw)
        deliver()

    assert {(notice.id, notice.kind, notice.document) for notice in heard} == {
        ("evt_d:1:stripe:charge.dispute.created", "event", None),
        (f"{event['id']}:1:stripe:customer.created", "event", None),
    }
    assert {notice.event["id"]: notice.event for notice in heard}["evt_d"] == json.loads(told)


def test_an_event_that_only_reconcile_heard_of_is_told(world: World) -> None:
    world.reconcile()
    with listening("stripe:customer.created") as heard:
        sync.create_customer(NAME)
        world.webhooks()
        world.reconcile()
        deliver()

    assert [notice.name for notice in heard] == ["stripe:customer.created"]


def test_nothing_is_told_of_another_account_or_mode(world: World) -> None:
    sync.create_customer(NAME)
    (raw,) = world.webhooks()
    event = json.loads(raw)
    with listening("stripe:*") as heard:
        for number, odd in enumerate(({"livemode": True}, {"account": "acct_other"})):
            sent = json.dumps({**event, **odd, "id": f"evt_{number}"}).encode()
            assert world.send(sent).json == {"state": "ignored"}

        assert deliver() == {}
    assert heard == []


def test_without_hooks_nothing_is_written(world: World) -> None:
    sync.delete(sync.create_customer(NAME))
    world.deliver()

    assert not any("notices" in row for row in (*raw_rows(), *raw_rows("stripe_events")))
    assert deliver() == {}
    assert raw_rows("hook_deliveries") == []


def test_what_nobody_asked_for_is_not_written(world: World) -> None:
    with listening("customer.deleted", "stripe:customer.deleted"):
        sync.create_customer(NAME)
        world.deliver()

    assert not any("notices" in row for row in (*raw_rows(), *raw_rows("stripe_events")))


# --- moving ---


def test_moving_twice_is_harmless_and_disturbs_no_writer(world: World) -> None:
    fuse = world.fuse = Fuse()
    world.start()
    with listening("customer.active") as one, listening("customer.active", hook="other") as other:
        customer = sync.create_customer(NAME)
        for effect in (1, 2, 3):
            assert fuse.kill(relay_notices, effect) == "before findAndModify"
        relay_notices()
        assert raw_rows()[0].keys() & {"notices"} == set()

        assert customer.update_if_unchanged(description="read before it was moved") is not None
        assert deliver() == {"done": 2}

    assert (len(one), len(other)) == (1, 1)


def test_what_is_given_while_notices_are_moved_stays(world: World) -> None:
    with listening("customer.*") as heard:
        customer = sync.create_customer(NAME)
        read = customer.fetch_latest()
        sync.delete(customer)
        assert read.drop_notices()
        assert [notice["name"] for notice in raw_rows()[0]["notices"]] == ["customer.deleted"]

        deliver()
    assert [notice.name for notice in heard] == ["customer.deleted"]


def test_nothing_expires_that_has_notices(world: World) -> None:
    for collection in ("customers", "stripe_events"):
        expiry = our_database()[collection].index_information()["finished_at_1"]
        assert (expiry["expireAfterSeconds"], expiry["partialFilterExpression"]) == (45 * 86400, {"notices": None})
    with listening("customer.rolled_back"):
        world.stripe.fault("decline", method="POST")
        with pytest.raises(sync.Refused):
            sync.create_customer(NAME)
        may_expire = {"finished_at": {"$type": "date"}, "notices": None}
        assert our_database().customers.count_documents(may_expire) == 0

        relay_notices()

    assert our_database().customers.count_documents(may_expire) == 1


# --- hooks that fail ---


@pytest.mark.fault("93")
def test_a_hook_that_raises_is_retried_then_dead_then_replayed(world: World, run: Run) -> None:
    failing = True
    with listening("customer.active", then=lambda notice: boom(notice) if failing else None) as heard:
        sync.create_customer(NAME)
        assert world.deliver() == ["applied"]
        assert run("hooks run") == (0, {"counts": {"failed": 1}, "exit_code": 0})
        assert run("hooks run") == (0, {"counts": {}, "exit_code": 0}), "it is not due yet"
        assert run("status")[1]["hooks"] == {"pending": 1, "dead": 0}
        (shown,) = run("hooks list")[1]
        assert (shown["attempts"], shown["error"]) == (1, "RuntimeError: no such template")

        for _ in range(14):
            world.advance(hours=2)
            run("hooks run")

        code, told = run("status")
        assert (code, told["hooks"]) == (1, {"pending": 0, "dead": 1})
        assert "1 deliveries to hooks are dead" in told["problems"][0]
        assert run("hooks run") == (1, {"counts": {}, "exit_code": 1})
        assert len(heard) == 15
        assert len({notice.id for notice in heard}) == 1

        failing = False
        (code, again) = run("hooks replay", the_delivery().id)
        assert (code, again[0]["state"], again[0]["replays"]) == (0, "pending", 1)
        assert run("hooks run") == (0, {"counts": {"done": 1}, "exit_code": 0})

    row = the_delivery()
    assert (row.state, row.attempts, row.reason, row.due_at) == (DeliveryState.DONE, 1, None, None)
    assert row.finished_at is not None
    code, told = run("status")
    assert (code, told["hooks"], told["oldest_notice"]) == (0, {"pending": 0, "dead": 0}, None)


def test_each_wait_is_longer_than_the_one_before(world: World) -> None:
    waits = []
    with listening("customer.active", then=boom):
        sync.create_customer(NAME)
        for _ in range(6):
            before = the_delivery().due_at if raw_rows("hook_deliveries") else None
            world.advance(seconds=0 if before is None else waits[-1] + 1)
            assert deliver() == {"failed": 1}
            due_at, now = the_delivery().due_at, our_database().command("hello")["localTime"]
            waits.append((due_at.replace(tzinfo=None) - now - clock.TEST_OFFSET).total_seconds())

    assert 20 < waits[0] < 40
    assert all(1.1 < later / wait < 3.4 for wait, later in pairwise(waits))


@pytest.mark.parametrize("error", [SystemExit(3), AssertionError(), ValueError("\udcff" * 5000)])
def test_whatever_a_hook_raises_is_its_own_failure(world: World, error: BaseException) -> None:
    def throw(notice: sync.Notice) -> None:
        raise error

    with listening("customer.active", then=throw), listening("customer.active", hook="other") as other:
        sync.create_customer(NAME)

        assert deliver() == {"failed": 1, "done": 1}

    assert len(other) == 1
    failed = Delivery.objects.get(hook="tests.listener")
    assert failed.reason.startswith(type(error).__name__)
    assert len(failed.reason) <= 1000


@pytest.mark.fault("93")
def test_a_hook_that_hangs_is_interrupted(world: World) -> None:
    never = threading.Event()

    def hang(notice: sync.Notice) -> None:
        try:
            never.wait(60)
        except Exception:
            pytest.fail("what ends a hook is no Exception")

    with listening("customer.active", then=hang), listening("customer.active", hook="other") as other:
        sync.create_customer(NAME)

        assert deliver(Limits(timeout=0.05)) == {"failed": 1, "done": 1}

    assert len(other) == 1
    assert "it took longer than 0.05 s" in Delivery.objects.get(hook="tests.listener").reason


@pytest.mark.fault("93")
def test_a_hook_that_kills_the_process_is_counted_waits_and_dies_and_the_others_are_called(world: World) -> None:
    def kill(notice: sync.Notice) -> None:
        raise Died("as SIGKILL would")

    with listening("customer.active", then=kill) as heard, listening("customer.active", hook="other") as other:
        sync.create_customer(NAME)
        with pytest.raises(Died):
            deliver(TWICE)
        row = Delivery.objects.get(hook="tests.listener")
        assert (row.state, row.attempts, row.reason) == (DeliveryState.PENDING, 1, ATTEMPT_LOST)
        deliver(TWICE)
        assert (len(heard), len(other)) == (1, 1), "it waits, and the other is called"

        world.advance(minutes=5)
        assert deliver(TWICE) == {}, "a process that ends waits like a failure, and not only for its lease"
        world.advance(minutes=10)
        with pytest.raises(Died):
            deliver(TWICE)
        world.advance(minutes=30)
        assert deliver(TWICE) == {"dead": 1}

    row = Delivery.objects.get(hook="tests.listener")
    assert (row.state, row.attempts, row.reason, len(heard)) == (DeliveryState.DEAD, 2, ATTEMPT_LOST, 2)


def test_a_delivery_that_another_worker_has_is_left_to_it(world: World) -> None:
    with listening("customer.active") as heard:
        sync.create_customer(NAME)
        relay_notices()
        row = the_delivery()
        claimed = row.claim_attempt(timedelta(seconds=150))
        assert claimed is not None
        assert row.claim_attempt(timedelta(seconds=150)) is None

        assert deliver() == {}
        assert claimed.succeed() is not None
        world.advance(minutes=10)
        assert deliver() == {}
    assert heard == []


def test_a_worker_that_was_too_slow_changes_nothing_any_more(world: World) -> None:
    with listening("customer.active") as heard:
        sync.create_customer(NAME)
        relay_notices()
        slow = the_delivery().claim_attempt(timedelta(seconds=1))
        assert slow is not None
        world.advance(minutes=1)

        assert deliver() == {"done": 1}
        assert slow.fail("too late", timedelta()) is None
    assert len(heard) == 1


def test_a_hook_that_is_no_longer_there_is_not_forgotten(world: World) -> None:
    with listening("customer.active"):
        sync.create_customer(NAME)

    assert deliver(Limits(attempts=1)) == {"dead": 1}

    assert "there is no hook tests.listener" in str(the_delivery().reason)
    with listening("customer.active") as heard:
        assert the_delivery().replay() is not None
        assert deliver() == {"done": 1}
    assert len(heard) == 1


def test_a_hook_may_create_what_another_hears_of(world: World) -> None:
    def refer(notice: sync.Notice) -> None:
        if notice.document.username == NAME:
            sync.create_customer("friend")

    with listening("customer.active", then=refer) as heard:
        sync.create_customer(NAME)
        assert deliver() == {"done": 1}
        assert deliver() == {"done": 1}

    assert [notice.document.username for notice in heard] == [NAME, "friend"]


def test_an_adopted_document_that_gave_way_is_told_no_more(world: World) -> None:
    with listening("customer.active") as heard:
        adopted = sync.create_customer(NAME)
        relay_notices()
        our_database().customers.delete_one({"_id": adopted.id})

        assert deliver() == {"done": 1}

    assert heard == []
    assert the_delivery().reason == "not told: its document is no longer there"


# --- the operator ---


def test_all_that_died_since_a_date_are_replayed(world: World, run: Run) -> None:
    with listening("customer.active", then=boom):
        sync.create_customer("first")
        run("hooks run --attempts 1")
        world.advance(days=2)
        sync.create_customer("second")
        run("hooks run --attempts 1")
        since = Delivery.objects.order_by("-dead_at").first().dead_at.isoformat()

        code, replayed = run("hooks replay --dead-since", since)
        assert (code, len(replayed)) == (0, 1)
        assert Delivery.objects(state=DeliveryState.DEAD).count() == 1
        assert run("hooks replay --dead-since 2020-01-01")[1][0]["replays"] == 1
        assert run("hooks replay --dead-since 2020-01-01") == (0, [])
        assert Delivery.objects(state=DeliveryState.PENDING).count() == 2


def test_one_that_is_done_can_be_replayed_and_one_that_is_dead_given_up(world: World, run: Run) -> None:
    with listening("customer.active") as heard, listening("customer.active", hook="other", then=boom):
        sync.create_customer(NAME)
        run("hooks run --attempts 1")
        done, dead = Delivery.objects.order_by("hook")
        assert run("hooks drop", done.id)[0] == 1
        assert run("hooks replay", done.id)[0] == 0
        run("hooks run")
        assert len(heard) == 2

        code, dropped = run("hooks drop", dead.id)

    assert (code, dropped["state"]) == (0, "done")
    assert dropped["error"] == "given up by an operator; RuntimeError: no such template"
    assert run("status")[0] == 0
    assert run("hooks list") == (0, [])
    assert run("hooks replay", "nothing")[0] == 1


def test_what_people_read_is_one_line_each(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hooks", "run"]) == 0
    assert capsys.readouterr().out == "HOOKS names no module with a hook: there is nothing to run\n"
    with listening("customer.active", then=boom):
        assert main(["hooks", "list"]) == 0
        customer = sync.create_customer(NAME)
        assert main(["hooks", "run", "--attempts", "1"]) == 1
        assert main(["hooks", "list"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[:2] == ["nothing is pending", "dead 1"]
    id = f"{customer.id}:2:customer.active:tests.listener"
    assert printed[2].startswith(f'{id} dead: attempts 1, error "RuntimeError: no such')
    assert main(["status"]) == 1
    assert "✘ 1 deliveries to hooks are dead" in capsys.readouterr().out


@pytest.mark.parametrize(
    "line",
    ["hooks", "hooks replay", "hooks replay x --dead-since 2020-01-01", "hooks replay --dead-since yesterday"]
    + ["hooks run --attempts 0", "hooks run --timeout 0", "hooks drop"],
)
def test_a_command_line_that_makes_no_sense_is_told_so(line: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(line.split())

    assert ended.value.code == 2


def test_status_says_when_nobody_runs_the_hooks(world: World, run: Run) -> None:
    world.reconcile()
    with listening("customer.active"):
        sync.create_customer(NAME)
        world.deliver()
        assert run("status")[1]["hooks"] == {"pending": 1, "dead": 0}
        world.advance(hours=2)
        world.reconcile()

        code, told = run("status")

        allow_unknown = ["hooks were not run for an hour: run `stripe-mongo-sync hooks run --every 5`"]
        assert (code, told["warnings"]) == (0, allow_unknown)
        assert told["oldest_notice"].startswith("2:00:0")
        relay_notices()
        deliver()
        assert run("status")[1]["warnings"] == []


def test_a_bad_module_keeps_the_service_from_starting(world: World) -> None:
    world.settings["HOOKS"] = "my_shop.nowhere"

    with pytest.raises(BadSettings, match=r"HOOKS: cannot import my_shop\.nowhere: ModuleNotFoundError"):
        world.start()


def test_what_an_event_became_changes_nothing_of_its_notice(world: World) -> None:
    """An event that cannot be applied at first is told at once: it is durable."""
    with listening("stripe:customer.updated") as heard:
        world.stripe.dashboard.create("customer", name="x")
        world.webhooks()
        (remote,) = world.stripe.objects("customer")
        world.stripe.dashboard.update("customer", remote["id"], name="y")
        assert world.deliver() == ["waiting"]
        assert deliver() == {"done": 1}
        world.advance(minutes=20)
        world.converge()
        assert deliver() == {}

    assert Event.objects.get(id=heard[0].event["id"]).state == "applied"
