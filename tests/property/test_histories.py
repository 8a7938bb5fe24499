"""Random histories: whatever callers, Stripe, the network and the processes do, it ends in sync.

Hypothesis draws the history and, when one fails, shrinks it to a short story.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Status, SyncedDocument, created_kinds, kinds
from stripe_mongo_sync.sync.runs.backfill import backfill
from stripe_mongo_sync.sync.stripe.throttle import Throttle
from tests.support import samples
from tests.support.fuse import Fuse
from tests.support.in_sync import assert_in_sync
from tests.support.world import URL, World

NAMES = st.sampled_from(["ann", "bob", "Ann", "cy"])
KINDS = st.sampled_from(["customer", "customer", *sorted(created_kinds())])
HARMLESS = [None] * 4
WRITES = st.sampled_from(
    HARMLESS
    + ["refuse", "cut_before", "cut_after", "timeout_before", "timeout_after", "late_request", "bad_body", "html_body"]
    + ["500_before", "500_after", "500_repair", "503_edge", "rate_limit", "lock_timeout", "idempotency_in_use"]
    + ["decline", "refuse_401", "refuse_403"]
)
READS = st.sampled_from([*HARMLESS, "cut_before", "503_edge", "rate_limit", "refuse_401", "refuse_403", "html_body"])
STYLES = st.sampled_from(["snapshot", "thin", "both"])  # of the events that Stripe sends
DEATHS = st.sampled_from([None, None, 1, 2, 3, 4, 6])
EXPECTED = (sync.SyncError, sync.Invalid)


def machine(database: str, clean: Callable[[], None]) -> type[RuleBasedStateMachine]:
    """Return the machine of histories over that database."""

    class Histories(RuleBasedStateMachine):
        """Callers, Stripe, the network and the processes."""

        @initialize(style=STYLES)
        def begin(self, style: str) -> None:
            clean()
            self.fuse = Fuse()
            self.world = World(database, fuse=self.fuse)
            if style != "snapshot":
                self.world.stripe.endpoint(URL, payload="thin")
            if style == "thin":
                self.world.stripe.endpoint(URL, enabled_events=["none"])
            self.letters: list[bytes] = []
            self.people = False  # whether somebody made objects without us: then it may take a person to tell

        def attempt(self, act: Callable[[], Any], death: int | None) -> None:
            with suppress(*EXPECTED):
                if death is None:
                    act()
                else:
                    self.fuse.kill(act, death)

        def some(self, number: int, *statuses: Status) -> SyncedDocument | None:
            found = [d for d in self.world.documents() if d.status in (statuses or tuple(Status))]
            return found[number % len(found)] if found else None

        def arm(self, fault: str | None, method: str, times: int = 1) -> None:
            if fault is not None:
                self.world.stripe.fault(fault, method=method, times=times)

        @rule(kind=KINDS, name=NAMES, fault=WRITES, times=st.integers(1, 2), death=DEATHS)
        def create(self, kind: str, name: str, fault: str | None, times: int, death: int | None) -> None:
            try:
                ready = samples.body(kind, name)
            except EXPECTED:
                return
            self.arm(fault, "POST", times)
            self.attempt(lambda: sync.create(kinds()[kind], ready), death)

        @rule(number=st.integers(0, 99), fault=WRITES, death=DEATHS)
        def update(self, number: int, fault: str | None, death: int | None) -> None:
            document = self.some(number)
            if document is not None and document.resource.kind in samples.CHANGES:
                self.arm(fault, "POST")
                change = samples.CHANGES[document.resource.kind]
                self.attempt(lambda: sync.update(document, change), death)

        @rule(number=st.integers(0, 99), action=st.integers(0, 9), fault=WRITES, death=DEATHS)
        def act(self, number: int, action: int, fault: str | None, death: int | None) -> None:
            document = self.some(number)
            if document is not None and document.resource.actions:
                names = sorted(document.resource.actions)
                name = names[action % len(names)]
                with suppress(*EXPECTED):
                    given = samples.given(document.resource.kind, name)
                    self.arm(fault, "POST")
                    self.attempt(lambda: sync.act(document, name, given), death)

        @rule(number=st.integers(0, 99), fault=WRITES, death=DEATHS)
        def delete(self, number: int, fault: str | None, death: int | None) -> None:
            document = self.some(number)
            if document is not None:
                self.arm(fault, "DELETE")
                self.attempt(lambda: sync.delete(document), death)

        @rule(data=st.data(), death=DEATHS)
        def post(self, data: st.DataObject, death: int | None) -> None:
            """Stripe delivers what it has in any order, twice, or not at all."""
            self.letters += self.world.webhooks()
            if self.letters:
                chosen = data.draw(st.lists(st.sampled_from(range(len(self.letters))), max_size=6))
                for index in chosen:
                    self.attempt(lambda raw=self.letters[index]: self.world.send(raw), death)

        @rule()
        def lose(self) -> None:
            self.world.webhooks()

        @rule(number=st.integers(0, 99), value=st.sampled_from(["x", "y"]))
        def edit_in_the_dashboard(self, number: int, value: str) -> None:
            document = self.some(number, Status.ACTIVE)
            if document is not None and document.resource.kind in samples.CHANGES:
                field = next(iter(samples.CHANGES[document.resource.kind]))
                changed = value == "x" if field == "active" else value
                with suppress(Exception):  # it may be gone at Stripe, which we do not know yet
                    self.world.stripe.dashboard.update(document.resource.kind, document.stripe_id, **{field: changed})

        @rule(number=st.integers(0, 99))
        def delete_in_the_dashboard(self, number: int) -> None:
            document = self.some(number, Status.ACTIVE)
            if document is not None and document.resource.deletable:
                with suppress(Exception):  # likewise, and a product may have prices
                    self.world.stripe.dashboard.delete(document.resource.kind, document.stripe_id)

        @rule()
        def create_in_the_dashboard(self) -> None:
            self.world.stripe.dashboard.create("customer", email="somebody@else.where")

        @rule(name=NAMES)
        def create_the_same_in_the_dashboard(self, name: str) -> None:
            self.people = True
            same = {n: v for n, v in samples.body("customer", name).items() if n != "username"}
            self.world.stripe.dashboard.create("customer", email=f"{name}@here.com", **same)

        @rule()
        def stripe_finishes_what_it_had_failed(self) -> None:
            if self.world.stripe.repair():
                self.people = True

        @rule()
        def late_requests_land(self) -> None:
            self.world.stripe.release_late_requests()

        @rule(minutes=st.sampled_from([1, 3, 20, 300, 1500]))
        def time_passes(self, minutes: int) -> None:
            self.world.advance(minutes=minutes)

        @rule(full=st.booleans(), fault=READS, death=DEATHS)
        def reconcile(self, full: bool, fault: str | None, death: int | None) -> None:
            self.arm(fault, "GET")
            self.attempt(lambda: self.world.reconcile(full=full), death)

        @rule(fault=READS, death=DEATHS)
        def backfill(self, fault: str | None, death: int | None) -> None:
            self.arm(fault, "GET")
            self.attempt(lambda: backfill(patience=Throttle(1000.0, lambda seconds: None)), death)

        def teardown(self) -> None:
            try:
                self.world.stripe.clear_faults()
                self.world.stripe.release_late_requests()
                self.letters += self.world.webhooks()
                for raw in self.letters:
                    self.world.send(raw)
                self.world.converge()
                report = self.world.reconcile(full=True)
                self.world.converge()
                assert_in_sync(self.world, review=self.people)
                assert report.exit_code == 0 or report.counts["review"], str(report)
            finally:
                self.world.stop()

    return Histories


@pytest.fixture
def histories(database: str, clean: Callable[[], None]) -> type[RuleBasedStateMachine]:
    return machine(database, clean)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("examples", "steps"), [(9, 40), pytest.param(25, 40, marks=pytest.mark.long)])
@pytest.mark.fault("98")
def test_any_history_ends_in_sync(histories: type[RuleBasedStateMachine], examples: int, steps: int) -> None:
    run_state_machine_as_test(
        histories,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            suppress_health_check=list(HealthCheck),
        ),
    )
