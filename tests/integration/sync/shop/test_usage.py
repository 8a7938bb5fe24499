"""Usage: each record is sent once, whatever happens on the way, or an operator is asked."""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import stripe

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, UsageRecord
from stripe_mongo_sync.models.base.input import Invalid
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.sync.errors import BadKey, InProgress, KeyReused, NotFound, NotPossible, Outage
from stripe_mongo_sync.sync.personal.erase import erase
from stripe_mongo_sync.sync.personal.export import export
from stripe_mongo_sync.sync.shop import usage
from stripe_mongo_sync.sync.shop.usage import send_usage
from stripe_mongo_sync.sync.stripe.throttle import Throttle
from tests.support.answers import at_once, problem, untouched
from tests.support.run import Run
from tests.support.world import World

NAME, METER = "user@here.com", "api_requests"
METER_BODY: dict[str, Any] = {
    "display_name": "API requests",
    "event_name": METER,
    "default_aggregation": {"formula": "sum"},
}


@pytest.fixture
def customer(world: World) -> Customer:
    """A customer, and a meter that was made in the Dashboard."""
    world.stripe.dashboard.create("billing.meter", **METER_BODY)
    made = sync.create_customer(NAME)
    world.deliver()
    return made


def counted(world: World) -> list[tuple[str, str]]:
    """What Stripe has counted: of each event the customer and the value."""
    events = world.stripe.engine.realm(False).table("meter_events").values()
    return [(each["payload"]["stripe_customer_id"], each["payload"]["value"]) for each in events]


def state(record: UsageRecord) -> str:
    found = UsageRecord.objects(id=record.id).first()
    assert found is not None
    return str(found.state)


def test_a_record_is_kept_at_once_and_sent_by_a_worker(world: World, customer: Customer) -> None:
    with untouched_stripe(world):
        record = sync.record_usage(NAME, METER, 250)
    assert (record.state, counted(world)) == ("pending", [])

    assert send_usage() == {"sent": 1}

    assert state(record) == "sent"
    assert counted(world) == [(customer.stripe_id, "250")]
    assert send_usage() == {}


def untouched_stripe(world: World) -> Any:
    """Assert that the block asks Stripe nothing."""

    class Block:
        def __enter__(self) -> None:
            self.asked = len(world.stripe.requests)

        def __exit__(self, *error: object) -> None:
            assert len(world.stripe.requests) == self.asked

    return Block()


def test_reconcile_sends_what_is_due(world: World, customer: Customer) -> None:
    record = sync.record_usage(NAME, METER, 3)

    report = world.reconcile()

    assert report.counts["usage_sent"] == 1
    assert state(record) == "sent"
    assert world.reconcile().counts["usage_sent"] == 0


@pytest.mark.parametrize(
    ("value", "sent"), [(1, "1"), (-5, "-5"), ("0.25", "0.25"), (Decimal("12.5"), "12.5"), (10**14, "1" + "0" * 14)]
)
def test_a_value_is_sent_as_it_was_given(world: World, customer: Customer, value: Any, sent: str) -> None:
    record = sync.record_usage(NAME, METER, value)
    send_usage()

    assert record.value == sent
    assert counted(world) == [(customer.stripe_id, sent)]


@pytest.mark.parametrize("value", [1.5, True, None, "", "1e3", "--1", "1.", ".5", "٣", "1" * 16, [1], {"$gt": 1}])
def test_what_is_no_number_is_refused(world: World, customer: Customer, value: Any) -> None:
    with untouched(world), pytest.raises(Invalid, match="value: must be a whole number"):
        sync.record_usage(NAME, METER, value)


@pytest.mark.parametrize("days", [-34.9, 0.01])
def test_a_time_that_stripe_would_refuse_is_refused(world: World, customer: Customer, days: float) -> None:
    now = int(world.stripe.clock.now())

    with untouched(world), pytest.raises(Invalid, match="timestamp: must be within"):
        sync.record_usage(NAME, METER, timestamp=int(now + days * 86_400) - (100_000 if days < 0 else 0))


def test_a_meter_is_named_by_its_event_or_its_id_and_names_its_own_keys(world: World, customer: Customer) -> None:
    keys = {"event_payload_key": "who", "type": "by_id"}
    own = {"customer_mapping": keys, "value_settings": {"event_payload_key": "tokens"}}
    meter = world.stripe.dashboard.create("billing.meter", **METER_BODY | {"event_name": "tokens_used"} | own)
    world.deliver()

    records = [sync.record_usage(NAME, name, 7) for name in ("tokens_used", meter["id"])]

    assert send_usage() == {"sent": 2}
    for record in records:
        assert (record.meter, dict(record.payload)) == ("tokens_used", {"who": customer.stripe_id, "tokens": "7"})


# --- once ---


def test_a_repeated_call_records_nothing_more(world: World, customer: Customer) -> None:
    first, again = (sync.record_usage(NAME, METER, 5, idempotency_key="nov") for _ in range(2))

    assert first.id == again.id
    with pytest.raises(KeyReused):
        sync.record_usage(NAME, METER, 6, idempotency_key="nov")
    send_usage()
    assert sync.record_usage(NAME, METER, 5, idempotency_key="nov").state == "sent"
    assert counted(world) == [(customer.stripe_id, "5")]


def test_a_repeated_call_gets_its_record_also_when_its_time_is_long_ago_and_its_customer_gone(
    world: World, customer: Customer
) -> None:
    at = int(world.stripe.clock.now()) - 34 * 86_400
    first = sync.record_usage(NAME, METER, 5, timestamp=at, idempotency_key="nov")
    world.advance(hours=48)
    sync.delete(customer)

    assert sync.record_usage(NAME, METER, 5, timestamp=at, idempotency_key="nov").id == first.id
    with pytest.raises(NotFound):
        sync.record_usage(NAME, METER, 5, idempotency_key="dec")


def test_many_calls_with_one_key_record_one(world: World, customer: Customer) -> None:
    told = at_once(6, lambda number: sync.record_usage(NAME, METER, 5, idempotency_key="nov").id)

    assert len({*told}) == 1
    assert UsageRecord.objects.count() == 1


def test_two_workers_send_each_record_once(world: World, customer: Customer) -> None:
    for number in range(12):
        sync.record_usage(NAME, METER, number)

    told = at_once(3, lambda number: send_usage()["sent"])

    assert sum(told) == 12
    assert sorted(int(value) for _, value in counted(world)) == [*range(12)]


FAULTS = (
    "cut_before",
    "cut_after",
    "timeout_before",
    "timeout_after",
    "500_before",
    "500_after",
    "bad_body",
    "503_edge",
)


@pytest.mark.parametrize("fault", [*FAULTS, "rate_limit", "lock_timeout", "late_request"])
def test_whatever_happens_to_an_attempt_it_is_counted_once(world: World, customer: Customer, fault: str) -> None:
    record = sync.record_usage(NAME, METER, 9)
    world.stripe.fault(fault, path="/v1/billing/meter_events", times=1)

    for _ in range(4):
        send_usage()
        world.advance(hours=2)
    world.stripe.release_late_requests()

    assert state(record) == "sent"
    assert counted(world) == [(customer.stripe_id, "9")]


def test_after_a_saved_error_another_key_is_sent_with_the_same_identifier(world: World, customer: Customer) -> None:
    sync.record_usage(NAME, METER, 9)
    world.stripe.fault("500_after", path="/v1/billing/meter_events", times=1)

    told = []
    for _ in range(3):
        told += send_usage()
        world.advance(hours=1)

    assert told == ["repeated", "repeated", "sent"], "the second answer is the first one, which Stripe saved"
    sent = [each for each in world.stripe.requests if each.path == "/v1/billing/meter_events"]
    assert [each.key for each in sent].count(sent[0].key) == len(sent) - 1
    assert len(counted(world)) == 1


def test_a_worker_that_dies_after_sending_counts_nothing_twice(world: World, customer: Customer) -> None:
    record = sync.record_usage(NAME, METER, 9)
    claimed = next(UsageRecord.claim_due(clock.now()))
    sent_by_the_dead(world, claimed)
    assert send_usage() == {}, "its lease lasts"
    world.advance(minutes=5)

    assert send_usage() == {"sent": 1}

    assert state(record) == "sent"
    assert counted(world) == [(customer.stripe_id, "9")]


def sent_by_the_dead(world: World, claimed: UsageRecord) -> None:
    """Send it as a worker would that dies before it hears the answer."""
    client = stripe.StripeClient("sk_test_dead", http_client=world.stripe.transport())
    client.raw_request("post", "/v1/billing/meter_events", **claimed.params)


def test_an_outage_that_ends_the_run_leaves_the_outcome_of_its_last_attempt_unknown(
    world: World, customer: Customer
) -> None:
    record = sync.record_usage(NAME, METER, 9)
    world.stripe.fault("timeout_after", path="/v1/billing/meter_events", times=1)
    with pytest.raises(Outage), Throttle(retry_all=False, outage_after=-1).active():
        send_usage()
    world.advance(hours=25)  # Stripe may have forgotten the identifier

    assert send_usage() == {"review": 1}

    assert state(record) == "review"
    assert counted(world) == [(customer.stripe_id, "9")]


def test_a_record_that_was_edited_by_hand_holds_up_no_other(world: World, customer: Customer) -> None:
    broken, good = (sync.record_usage(NAME, METER, number) for number in range(2))
    UsageRecord._get_collection().update_one({"_id": broken.id}, {"$set": {"timestamp": {"$gt": 1}, "payload": 7}})

    report = world.reconcile()

    assert (report.exit_code, report.counts["failed"], state(good)) == (1, 1, "sent")
    assert counted(world) == [(customer.stripe_id, "1")]


# --- an operator ---


def test_after_23_hours_without_an_answer_it_is_in_review(world: World, customer: Customer, run: Run) -> None:
    record = sync.record_usage(NAME, METER, 9)
    world.stripe.fault("timeout_after", path="/v1/billing/meter_events", times=1)
    send_usage()
    world.advance(hours=23.1)

    assert send_usage() == {"review": 1}

    assert state(record) == "review"
    assert run("status")[0] == 1
    code, (one,) = run("usage list", "--state", "review")
    assert (code, one["id"]) == (0, str(record.id))
    assert "may have counted it" in one["reason"]
    assert run("usage mark-sent", str(record.id))[1]["state"] == "sent"
    assert run("status")[0] == 0
    assert len(counted(world)) == 1


def test_what_was_never_sent_may_be_sent_after_days(world: World, customer: Customer) -> None:
    record = sync.record_usage(NAME, METER, 9)
    world.advance(hours=72)

    assert send_usage() == {"sent": 1}
    assert state(record) == "sent"


def test_what_was_only_refused_a_turn_may_be_sent_after_a_day(world: World, customer: Customer) -> None:
    record = sync.record_usage(NAME, METER, 9)
    world.stripe.fault("rate_limit", path="/v1/billing/meter_events", times=1)
    assert send_usage() == {"repeated": 1}
    world.advance(hours=30)

    assert send_usage() == {"sent": 1}
    assert state(record) == "sent"


def test_a_refusal_ends_it_and_an_operator_may_send_it_again(world: World, customer: Customer, run: Run) -> None:
    record = sync.record_usage(NAME, "unheard_of", 9)
    assert send_usage() == {"refused": 1}
    assert run("status")[0] == 1
    world.stripe.dashboard.create("billing.meter", **METER_BODY | {"event_name": "unheard_of"})

    assert run("usage resend", str(record.id))[1]["state"] == "pending"
    assert run("usage run") == (0, {"counts": {"sent": 1}, "exit_code": 0})

    assert counted(world) == [(customer.stripe_id, "9")]


def test_a_refusal_after_an_unknown_outcome_is_for_an_operator(world: World, customer: Customer) -> None:
    record = sync.record_usage(NAME, METER, 9)
    world.stripe.fault("timeout_before", path="/v1/billing/meter_events", times=1)
    send_usage()
    meter = world.stripe.objects("billing.meter")[0]
    world.stripe.dashboard.act("billing.meter", meter["id"], "deactivate")
    world.advance(hours=1)

    assert send_usage() == {"review": 1}
    assert state(record) == "review"


def test_only_what_waits_for_an_operator_can_be_decided(world: World, customer: Customer) -> None:
    record = sync.record_usage(NAME, METER, 9)

    for decide in (usage.resend, usage.mark_sent):
        with pytest.raises(NotPossible, match="is pending"):
            decide(str(record.id))
        with pytest.raises(NotFound):
            decide("0" * 24)


def test_a_key_that_is_refused_loses_nothing(world: World, customer: Customer) -> None:
    record = sync.record_usage(NAME, METER, 9)
    world.stripe.revoke(world.read.stripe_secret_key)

    with pytest.raises(BadKey):
        send_usage()

    found = UsageRecord.objects(id=record.id).first()
    assert (found.state, found.unknown_since) == ("pending", None)


# --- whose ---


def test_nobody_else_s_and_nobody_s_usage_is_recorded(world: World) -> None:
    with pytest.raises(NotFound):
        sync.record_usage("nobody@here.com", METER)
    world.stripe.fault("timeout_after", kind="customer", times=9)
    sync.create_customer("slow@here.com")
    with pytest.raises(InProgress):
        sync.record_usage("slow@here.com", METER)
    assert UsageRecord.objects.count() == 0


def test_an_erasure_leaves_the_amounts_and_an_export_shows_them(world: World, customer: Customer) -> None:
    record = sync.record_usage(NAME, METER, 9, idempotency_key=f"{NAME} in November")
    send_usage()
    (exported,) = export(NAME)["kept"]["usage_records"]
    assert (exported["id"], exported["value"]) == (str(record.id), "9")
    assert exported["request"]["key"] == f"{NAME} in November"

    assert erase(NAME).counts["usage_records"] == 1

    (left,) = export(str(customer.id))["kept"]["usage_records"]
    assert (left["value"], left["state"], left["request"]) == ("9", "sent", None)
    assert NAME not in json.dumps(left)


# --- over HTTP ---


def test_the_api_records_shows_and_lists(world: World, customer: Customer) -> None:
    sent = {"username": NAME, "meter": METER, "value": 4}
    made = world.http.post("/meter-events", json=sent, headers={"Idempotency-Key": "one"})
    assert (made.status_code, made.json["state"], made.json["value"]) == (202, "pending", "4")
    again = world.http.post("/meter-events", json=sent, headers={"Idempotency-Key": "one"})
    assert (again.status_code, again.headers["Idempotent-Replayed"], again.json) == (202, "true", made.json)
    send_usage()

    shown = world.http.get(made.headers["Location"]).json
    assert (shown["state"], shown["customer"]) == ("sent", str(customer.id))
    assert world.http.post("/meter-events", json=sent, headers={"Idempotency-Key": "one"}).status_code == 200
    later = [world.http.post("/meter-events", json={"username": NAME, "meter": METER}).json["id"] for _ in range(2)]
    page = world.http.get(f"/meter-events?customer={NAME}&limit=2").json
    assert ([each["id"] for each in page["data"]], page["has_more"]) == (later[::-1], True)
    rest = world.http.get(f"/meter-events?starting_after={later[0]}").json
    assert ([each["id"] for each in rest["data"]], rest["has_more"]) == ([made.json["id"]], False)
    assert [each["id"] for each in world.http.get("/meter-events?state=sent").json["data"]] == [made.json["id"]]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, {"username", "meter"}),
        ({"username": NAME, "meter": METER, "identifier": "x"}, {"identifier"}),
        ({"username": NAME, "meter": "", "value": "x", "timestamp": "now"}, {"meter", "value", "timestamp"}),
        ({"username": NAME, "meter": {"$gt": ""}}, {"meter"}),
    ],
)
def test_a_bad_body_is_named_field_by_field(world: World, customer: Customer, body: Any, named: set[str]) -> None:
    with untouched(world):
        assert set(problem(world.http.post("/meter-events", json=body), 422, "invalid")["errors"]) == named


def test_a_bad_key_is_named_as_the_header_is(world: World, customer: Customer) -> None:
    sent = {"username": NAME, "meter": METER}
    told = world.http.post("/meter-events", json=sent, headers={"Idempotency-Key": " "})

    assert set(problem(told, 422, "invalid")["errors"]) == {"Idempotency-Key"}


@pytest.mark.parametrize("query", ["state=lost", "limit=0", "x=1", "state=sent&state=sent"])
def test_a_bad_query_is_refused(world: World, query: str) -> None:
    problem(world.http.get(f"/meter-events?{query}"), 422, "invalid")


def test_a_record_waits_as_long_as_its_backoff(world: World, customer: Customer) -> None:
    sync.record_usage(NAME, METER, 9)
    world.stripe.fault("timeout_before", path="/v1/billing/meter_events", times=1)
    assert send_usage() == {"repeated": 1}

    assert send_usage() == {}
    (record,) = UsageRecord.objects
    assert timedelta(seconds=15) < record.due_at - record.claimed_at < timedelta(seconds=60)
