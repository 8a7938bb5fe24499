"""Ways out: whatever changes something at Stripe was written here before, and nobody sends it after their time.

What concerns a document is its operation or its undo, and that document is leased; what concerns none obeys the
deadline of whoever waits for it.
"""

import ast
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import stripe
from pymongo.monitoring import CommandListener, CommandStartedEvent, CommandSucceededEvent

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, SyncedDocument, created_kinds, present_kinds
from stripe_mongo_sync.models.base.embedded import Call as Request
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.tally import having
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.errors import NotPossible
from stripe_mongo_sync.sync.operator import endpoint, operations
from stripe_mongo_sync.sync.process.deadline import deadline_in, in_time
from stripe_mongo_sync.sync.stripe.about import an
from stripe_mongo_sync.sync.stripe.answers import Unknown
from tests.faults.calls import Call, every_call, has_created_event
from tests.faults.test_undo import given_up
from tests.support import ROOT
from tests.support.in_sync import assert_in_sync
from tests.support.representatives import representatives, row
from tests.support.world import URL, World

OF_NO_DOCUMENT = ("/v1/webhook_endpoints", "/v1/billing_portal/sessions")
UNDONE = [  # what moves money is never given up without an operator
    kind
    for kind, model in created_kinds().items()
    if model.resource.undo and has_created_event(model) and not model.resource.moves_money("create", {})
]


class Guard(stripe.HTTPClient):
    """Lets out only what may go out."""

    def __init__(self, inner: stripe.HTTPClient) -> None:
        super().__init__()
        self.inner, self.name = inner, inner.name
        self.writes: list[str] = []

    def request(self, method: str, url: str, headers: Any, post_data: Any = None) -> Any:
        path = urlsplit(url).path
        if method.upper() != "GET":
            self.writes.append(f"{method.upper()} {path}")
            assert in_time(), f"{path}: nobody would be there for the answer"
            key = headers.get("Idempotency-Key")
            fenced = path.startswith(OF_NO_DOCUMENT) or any(key in keys for keys in written(path))
            assert fenced, f"{method} {path} is written on no leased document"
        return self.inner.request(method, url, headers, post_data)

    def request_stream(self, *given: Any, **more: Any) -> Any:
        return self.inner.request_stream(*given, **more)

    def close(self) -> None:
        self.inner.close()


def written(path: str) -> Iterator[set[str | None]]:
    """Yield, for each document on which a request to this path is written and leased, the keys that it may have."""
    leased = {"leased_until": {"$gt": clock.now()}}
    for model in having(present_kinds().values(), leased):
        for document in model.objects(__raw__=leased):
            undoing = getattr(document, "undoing", None)  # an order has no orphans
            calls = document.operation.calls if document.operation else []
            yield {call.key if call.method == "post" else None for call in calls if call.path == path}
            if undoing is not None and path.startswith(model.resource.object_path(undoing.orphan)):
                yield {None if undoing.way == "delete" else undoing.key}


@pytest.fixture
def make_world(database: str) -> Iterator[Callable[..., World]]:
    made: list[World] = []

    def make(**options: Any) -> World:
        made.append(World(database, **options))
        return made[-1]

    yield make
    for world in made:
        world.stop()


@pytest.fixture
def guarded(make_world: Callable[..., World]) -> tuple[World, Guard]:
    guards: list[Guard] = []

    def around(inner: stripe.HTTPClient) -> Guard:
        guards.append(Guard(inner))
        return guards[-1]

    world = make_world(around=around)
    return world, guards[-1]


def way(call: Call) -> tuple[object, ...]:
    """What a call sends by: a verb that all have, or an action, and the calls that some make of it."""
    resource = call.model.resource
    action = resource.actions.get(call.verb)
    sent = (
        action.calls or action.moves_money
        if action
        else (call.verb, resource.accepts_custom_id, resource.correlation_field)
    )
    return action is None, sent, bool(resource.path)


@pytest.mark.parametrize("call", representatives(every_call(), way))
def test_what_a_call_sends_is_written_before_it_is_sent(guarded: tuple[World, Guard], call: Call) -> None:
    world, guard = guarded
    ready = call.ready(world)
    guard.writes.clear()

    ready.told()

    assert guard.writes
    world.stripe.fault("cut_before", method="POST", times=2)
    ready.send()
    world.advance(hours=1)
    world.reconcile()  # sends what is left


@pytest.mark.parametrize("kind", representatives(UNDONE, row("undo", "has_created_event", "undo_blockers")))
def test_an_undo_is_written_before_it_is_sent(guarded: tuple[World, Guard], kind: str) -> None:
    world, guard = guarded
    document = given_up(world, kind)
    world.deliver()
    guard.writes.clear()

    world.converge()

    assert len(guard.writes) == 1
    assert (document.fetch_latest().undoing, len(document.fetch_latest().undone_orphans)) == (None, 1)


def test_what_concerns_no_document_has_a_deadline(guarded: tuple[World, Guard]) -> None:
    _world, guard = guarded
    guard.writes.clear()

    made, _secret = endpoint.create("https://shop.example/other/webhooks/stripe")
    endpoint.update(made)
    rolled, _secret = endpoint.roll(made)
    endpoint.delete(rolled, force=True)
    sync.open_portal(sync.create_customer("user@here.com"))

    assert len(guard.writes) == 6
    assert endpoint.endpoint_of(made.id).url != URL


def test_without_a_deadline_or_after_it_nothing_is_sent(world: World) -> None:
    call = Request("/v1/customers", {}, key="a key of its own")
    before = len(world.stripe.requests)

    told = [current().gateway.write(call, an("customer"))]
    with deadline_in(10):
        told.append(current().gateway.write(call, an("customer")))
    with deadline_in(60):
        world.advance(seconds=50)
        told.append(current().gateway.write(call, an("customer")))

    assert all(isinstance(answer, Unknown) for answer in told)
    assert [one for one in world.stripe.requests[before:] if one.method != "GET"] == []


def test_there_is_one_way_out() -> None:
    """Only `Gateway._once` calls Stripe, only `write` and `_read` call that, and of these only one changes anything."""
    callers: dict[str, set[str]] = {"raw_request": set(), "_once": set(), "write": set(), "write_once_more": set()}
    for path in [*ROOT.glob("sync/**/*.py"), *ROOT.glob("models/**/*.py"), *ROOT.glob("api/**/*.py")]:
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, ast.FunctionDef):
                continue
            for node in ast.walk(function):
                if isinstance(node, ast.Attribute) and node.attr in callers:
                    of_gateway = node.attr != "write" or "gateway" in ast.unparse(node.value) or path.stem == "gateway"
                    callers[node.attr] |= {f"{path.stem}.{function.name}"} if of_gateway else set()

    assert callers["raw_request"] == {"gateway._once"}
    assert callers["_once"] == {"gateway._read", "gateway.attempt", "gateway.write"}
    assert callers["write"] == {
        *("gateway.write_once_more", "undo._undo"),  # the operation or the undo of a leased document
        "usage._sent",  # a leased record
        *("customers.create_preview", "customers.open_portal", "endpoint.delete", "endpoint._post"),  # of no document
    }
    assert callers["write_once_more"] == {
        "gateway.send",  # the operation of a leased document
        "files.upload",  # of no document
    }


# --- who sleeps, and what an operator decides meanwhile ---


class Sleeper(CommandListener):
    """Does something once, as soon as MongoDB has written that an orphan is to be undone."""

    def __init__(self) -> None:
        self.act: Callable[[], None] | None = None
        self.seen: int | None = None

    def started(self, event: CommandStartedEvent) -> None:
        if self.act and event.command_name == "findAndModify" and "'way'" in str(event.command):
            self.seen = event.request_id

    def succeeded(self, event: CommandSucceededEvent) -> None:
        if self.act and event.request_id == self.seen:
            act, self.act = self.act, None
            act()

    def failed(self, event: object) -> None:
        """Nothing was written."""


def orphaned(world: World) -> SyncedDocument:
    """A customer that was given up, with an orphan that is due for undo."""
    document = given_up(world, "customer")
    world.deliver()
    assert document.fetch_latest().orphans
    found: SyncedDocument = document.fetch_latest()
    return found


def deletions(world: World) -> int:
    return sum(request.method == "DELETE" for request in world.stripe.requests)


def test_who_sleeps_before_the_undo_is_written_does_not_delete_what_was_kept(make_world: Callable[..., World]) -> None:
    hold: dict[str, str] = {}
    world = make_world()

    def around(inner: stripe.HTTPClient) -> stripe.HTTPClient:
        request = inner.request

        def asleep(method: str, url: str, *given: Any, **more: Any) -> Any:
            told = request(method, url, *given, **more)
            if hold and method.upper() == "GET" and url.endswith(hold["orphan"]):
                id = hold["id"]
                hold.clear()
                world.advance(hours=1)
                operations.roll_back(id)
            return told

        inner.request = asleep  # type: ignore[method-assign]
        return inner

    world.around = around
    world.start()
    document = orphaned(world)
    (orphan,) = document.orphans
    hold.update(id=str(document.id), orphan=orphan)

    world.reconcile()

    assert not hold
    assert deletions(world) == 0
    assert Customer.objects(stripe_id=orphan, is_current=True).count() == 1
    assert world.converge().exit_code == 0
    assert_in_sync(world)


def test_who_sleeps_after_the_undo_is_written_sends_nothing_after_the_lease(make_world: Callable[..., World]) -> None:
    sleeper = Sleeper()
    world = make_world(listeners=(sleeper,))
    document = orphaned(world)
    (orphan,) = document.orphans

    def sleep() -> None:
        with pytest.raises(NotPossible, match="in flight"):
            operations.roll_back(str(document.id))
        world.advance(hours=1)
        operations.roll_back(str(document.id))

    sleeper.act = sleep
    world.reconcile()

    assert sleeper.act is None
    assert deletions(world) == 0
    assert Customer.objects(stripe_id=orphan, is_current=True).count() == 1
    assert world.converge().exit_code == 0
    assert_in_sync(world)


def test_what_is_being_undone_is_kept_only_once_nothing_is_under_way(world: World) -> None:
    document = orphaned(world)
    world.stripe.fault("late_request", method="DELETE")
    world.reconcile()
    undoing = document.fetch_latest().undoing
    assert undoing is not None

    with pytest.raises(NotPossible, match="Try again after"):
        operations.roll_back(str(document.id))
    assert document.fetch_latest().orphans == document.orphans

    world.stripe.release_late_requests()  # the DELETE lands within the quarter of an hour
    world.advance(minutes=20)
    operations.roll_back(str(document.id))
    assert Customer.objects(stripe_id=document.orphans[0]).count() == 0, "there is nothing left to keep"
    assert document.fetch_latest().undoing is None


def test_every_attempt_of_an_undo_has_the_same_key(world: World) -> None:
    document = given_up(world, "price")
    world.deliver()
    world.stripe.fault("cut_before", method="POST", times=2)

    for _ in range(3):
        world.reconcile()
        world.advance(hours=2)

    keys = [request.key for request in world.stripe.requests if ":undo:" in str(request.key)]
    assert len(keys) == 3
    assert len(set(keys)) == 1
    assert len(document.fetch_latest().undone_orphans) == 1


def test_an_undo_whose_key_is_spent_goes_on_with_another(world: World) -> None:
    document = given_up(world, "price")
    world.deliver()
    world.stripe.fault("500_before", method="POST")

    for _ in range(4):
        world.reconcile()
        world.advance(hours=2)

    assert (document.fetch_latest().orphans, len(document.fetch_latest().undone_orphans)) == ([], 1)


def test_one_404_does_not_pass_for_an_undo(world: World) -> None:
    document = orphaned(world)
    world.stripe.fault("missing", method="GET", path=f"*/customers/{document.orphans[0]}", times=None)

    world.reconcile()
    world.stripe.clear_faults()

    assert document.fetch_latest().undone_orphans == document.orphans
    assert deletions(world) == 1, "what a GET did not find was deleted all the same"
    assert world.stripe.objects("customer") == []


def test_a_document_from_before_undos_were_staged_is_undone(world: World) -> None:
    document = orphaned(world)
    rows = Customer._get_collection()
    rows.update_one({"_id": document.id}, {"$unset": {"undoing": "", "operation.sent_at": ""}})

    assert world.converge().exit_code == 0

    assert len(document.fetch_latest().undone_orphans) == 1
    assert_in_sync(world)


# --- what counts is the last send ---


def test_a_retry_that_only_looked_does_not_put_off_a_roll_back(world: World) -> None:
    world.reconcile()
    world.stripe.fault("500_repair", method="POST")
    customer = sync.create_customer("user@here.com")
    world.webhooks()
    world.advance(hours=1)
    world.stripe.repair()
    world.converge()
    assert customer.fetch_latest().review_reason is not None

    operations.retry(str(customer.id))  # searches, and finds what may be it
    given_up = operations.roll_back(str(customer.id))

    assert given_up.status == "rolled_back"


def test_a_retry_that_sent_puts_it_off(world: World) -> None:
    world.reconcile()
    world.stripe.fault("cut_before", method="POST", times=4)
    customer = sync.create_customer("user@here.com")
    world.advance(hours=1)

    operations.retry(str(customer.id))
    with pytest.raises(NotPossible, match="in flight"):
        operations.roll_back(str(customer.id))
    world.advance(minutes=16)

    assert operations.roll_back(str(customer.id)).status == "rolled_back"


def test_of_an_old_row_the_last_change_counts(world: World) -> None:
    world.stripe.fault("cut_before", method="POST", times=2)
    customer = sync.create_customer("user@here.com")
    Customer._get_collection().update_one({"_id": customer.id}, {"$unset": {"operation.sent_at": ""}})

    with pytest.raises(NotPossible, match="in flight"):
        operations.roll_back(str(customer.id))
    world.advance(minutes=20)

    assert operations.roll_back(str(customer.id)).status == "rolled_back"
