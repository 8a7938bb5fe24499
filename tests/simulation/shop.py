"""Shop: what happens in a simulated shop: clients, Stripe, the network, the processes and time have their turns.

Every method of `Shop` that is named in `STEPS` is a step of a history; all that it draws comes from the chance it is
given, so a step does the same whichever steps were before it.
"""

import json
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

from stripe_mongo_sync import sync
from stripe_mongo_sync.api.resources import plural_of
from stripe_mongo_sync.emulator import Emulator
from stripe_mongo_sync.models import Status, SyncedDocument, created_kinds, kinds
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.inbox import committer
from stripe_mongo_sync.sync.runs.backfill import backfill
from stripe_mongo_sync.sync.stripe.throttle import Throttle
from tests.simulation.schedule import Schedule
from tests.simulation.witness import Witness
from tests.support import samples
from tests.support.world import TOKEN, URL, World

# Each actor stands for a process of its own, so none waits for what another commits.
committer.COMMITTING, committer.SLOW, committer.PAUSE = 1000, 0.0, 0.0

WRITES = (
    *("refuse", "cut_before", "cut_after", "timeout_before", "timeout_after", "late_request", "bad_body", "html_body"),
    *("500_before", "500_after", "500_repair", "503_edge", "rate_limit", "lock_timeout", "idempotency_in_use"),
    *("decline", "refuse_401", "refuse_403"),
)
READS = ("cut_before", "503_edge", "rate_limit", "refuse_401", "html_body")
PASSED = (1, 4, 21, 187, 1500, 4400)  # minutes; none is near a limit of the engine, and the last two outlive a key
SKEW = 100.0  # s: the engine allows for five minutes
EXPECTED = (sync.SyncError, sync.Invalid)
STEPS = {  # and how often, each in relation to the others
    "create": 9,
    "again": 3,
    "change": 4,
    "act": 4,
    "remove": 2,
    "post": 9,
    "lose": 1,
    "reconcile": 5,
    "backfill": 0.5,
    "kill": 1,
    "edit": 2,
    "erase_there": 0.7,
    "create_there": 0.7,
    "create_the_same_there": 0.3,
    "finish_what_failed": 0.7,
    "land_late": 1,
    "lag": 0.7,
    "wait": 3,
    "skew": 0.7,
}


@dataclass
class Told:
    """What a client was told of one request, each time that it sent it."""

    path: str
    body: dict[str, Any]
    key: str
    answers: list[tuple[int, dict[str, Any]]] = field(default_factory=list)


class Shop:
    """A world with actors in it, and a book of what clients were told."""

    def __init__(self, database: str, seed: int) -> None:
        self.seed = seed
        self.witness = Witness(database)
        self.schedule = Schedule(self._stripe_is_asked)
        self.world = World(database, stripe=Emulator(seed), fuse=self.schedule)
        self.world.stripe.clock.freeze()
        if seed % 3 == 2:  # of the events that Stripe sends
            self.world.stripe.endpoint(URL, payload="thin")
        self.book: list[Told] = []
        self.changes: list[tuple[str, str, str]] = []  # path, field and value, told to be done
        self.removals: list[SyncedDocument] = []  # told to be done
        self.letters: list[bytes] = []
        self.acknowledged: set[str] = set()  # events
        self.armed: list[Any] = []
        self.faults: Counter[str] = Counter()
        self.operations = self.asked = 0
        self.skewed = 0.0  # s that MongoDB's clock is ahead of Stripe's
        self.people = False  # whether somebody made what may be ours: then it may take a person to tell
        self._open()

    def _open(self) -> None:
        """Serve. Which Stripe it is, is asked under a lock, and no actor may wait for another: so it is asked here."""
        current().gateway.verify_account()
        self.app = self.world.app

    def _stripe_is_asked(self, method: str, url: str, key: str | None) -> None:
        self.asked += 1
        if self.asked % 3 == 0:  # so that some changes share their second, and others do not
            self.world.advance(seconds=1)
        self.witness(method, url, key)

    # --- clients ---

    def create(self, chance: Random, number: int) -> None:
        """A client creates something, and what it needs before."""
        kind = chance.choice(["customer", "customer", *sorted(created_kinds())])
        name, key = chance.choice(["ann", "bob", "Ann", "cy"]), f"{self.seed}-{number}"
        self._arm(chance, "POST", WRITES)

        def act() -> None:
            told = Told(f"/{plural_of(kinds()[kind])}", samples.body(kind, name), key)
            self.book.append(told)
            self.ask(told)

        self._begin(f"{number} create {kind}", act, chance)

    def again(self, chance: Random, number: int) -> None:
        """A client that does not know what became of its request sends it again."""
        if self.book:
            told = chance.choice(self.book)
            self._begin(f"{number} again", lambda: self.ask(told), chance)

    def ask(self, told: Told) -> None:
        """Send a create request, and note the answer."""
        answer = self._http("POST", told.path, told.body, {"Idempotency-Key": told.key})
        told.answers.append(answer)

    def change(self, chance: Random, number: int) -> None:
        """A client changes something."""
        document = self._one(chance)
        if document is None or document.resource.kind not in samples.CHANGES:
            return
        name, value = next(iter(samples.CHANGES[document.resource.kind].items()))
        value = f"changed {number}" if isinstance(value, str) else value
        self._arm(chance, "POST", WRITES)

        def act() -> None:
            status, shown = self._http("PATCH", self._path(document), {name: value})
            if status == 200 and isinstance(value, str):
                self.changes.append((document.resource.object_path(shown["stripe_id"], document), name, value))

        self._begin(f"{number} change {document.resource.kind}", act, chance)

    def act(self, chance: Random, number: int) -> None:
        """A client does one of the actions of a type."""
        document = self._one(chance)
        if document is None or not document.resource.actions:
            return
        action = chance.choice(sorted(document.resource.actions))
        self._arm(chance, "POST", WRITES)

        def act() -> None:
            given = samples.given(document.resource.kind, action)
            self._http("POST", f"{self._path(document)}/{action}", given)

        self._begin(f"{number} {action} {document.resource.kind}", act, chance)

    def remove(self, chance: Random, number: int) -> None:
        """A client deletes something."""
        document = self._one(chance)
        if document is None:
            return
        self._arm(chance, "DELETE", WRITES)

        def act() -> None:
            status, _ = self._http("DELETE", self._path(document))
            if status == 200:
                self.removals.append(document)

        self._begin(f"{number} remove {document.resource.kind}", act, chance)

    # --- Stripe's webhooks ---

    def post(self, chance: Random, number: int) -> None:
        """Stripe delivers what it has in any order, some twice, some never, all at once."""
        self.letters += self.world.webhooks()
        for turn in range(chance.randint(1, 5)):
            if self.letters:
                raw = chance.choice(self.letters[-30:])
                self._begin(f"{number}.{turn} webhook", lambda raw=raw: self.deliver(raw), chance)
        self.faults["webhooks delivered out of order, twice or never"] += 1

    def lose(self, chance: Random, number: int) -> None:
        """What is to be delivered now never arrives."""
        self.faults["webhooks lost"] += len(self.world.webhooks())

    def deliver(self, raw: bytes) -> None:
        """Deliver one event, and note that it was taken."""
        answer = self.world.send(raw, client=self.app.test_client())
        assert answer.status_code == 200, f"a webhook got {answer.status_code}: {answer.data!r}"
        self.acknowledged.add(json.loads(raw)["id"])

    # --- operators ---

    def reconcile(self, chance: Random, number: int) -> None:
        """Reconcile runs, perhaps beside others."""
        self._arm(chance, "GET", READS)
        full = chance.random() < 0.3
        self._begin(f"{number} reconcile", lambda: self.world.reconcile(full=full), chance, lives=40)

    def backfill(self, chance: Random, number: int) -> None:
        """A backfill runs beside all else."""
        self._arm(chance, "GET", READS)
        patience = Throttle(1000.0, lambda seconds: None)
        self._begin(f"{number} backfill", lambda: backfill(patience=patience), chance, lives=40)

    def kill(self, chance: Random, number: int) -> None:
        """The process dies with all that it is doing, and starts again."""
        self.schedule.kill()
        self.world.start()
        self._open()

    # --- people at the Dashboard, and Stripe itself ---

    def edit(self, chance: Random, number: int) -> None:
        """Somebody edits an object in the Dashboard, perhaps more than once in a second."""
        document = self._one(chance, Status.ACTIVE)
        if document is not None and document.resource.kind in samples.CHANGES:
            field = next(iter(samples.CHANGES[document.resource.kind]))
            for turn in range(chance.randint(1, 3)):  # in one second
                changed = turn % 2 == 0 if field == "active" else f"edited {number}.{turn}"
                self.faults["edits in the Dashboard"] += 1
                with suppress(Exception):  # it may be gone at Stripe, which we do not know yet
                    self.world.stripe.dashboard.update(document.resource.kind, document.stripe_id, **{field: changed})

    def erase_there(self, chance: Random, number: int) -> None:
        """Somebody deletes an object in the Dashboard."""
        document = self._one(chance, Status.ACTIVE)
        if document is not None and document.resource.deletable:
            self.faults["deletions in the Dashboard"] += 1
            with suppress(Exception):  # it may be gone already, or have prices
                self.world.stripe.dashboard.delete(document.resource.kind, document.stripe_id)

    def create_there(self, chance: Random, number: int) -> None:
        """Somebody creates a customer in the Dashboard."""
        self.faults["creations in the Dashboard"] += 1
        self.world.stripe.dashboard.create("customer", email="somebody@else.where")

    def create_the_same_there(self, chance: Random, number: int) -> None:
        """Somebody creates what looks exactly like ours."""
        self.people = True
        self.faults["creations in the Dashboard"] += 1
        same = {name: value for name, value in samples.body("customer", "ann").items() if name != "username"}
        self.world.stripe.dashboard.create("customer", **same)

    def finish_what_failed(self, chance: Random, number: int) -> None:
        """Stripe rolls forward what it had answered with a 500, and its events carry no key."""
        self.people |= bool(self.world.stripe.repair())

    def land_late(self, chance: Random, number: int) -> None:
        """Requests whose sender has given up are executed after all."""
        self.world.stripe.release_late_requests()

    def lag(self, chance: Random, number: int) -> None:
        """Stripe's list of events is behind."""
        self.faults["lists of events that lag"] += 1
        self.world.stripe.lag_events(chance.choice([5.0, 60.0]))

    # --- time ---

    def wait(self, chance: Random, number: int) -> None:
        """Time passes, for everybody."""
        minutes = chance.choice(PASSED)
        self.faults["keys forgotten by Stripe"] += minutes > 24 * 60
        self.schedule.let_send()
        if minutes > 60:  # no request is under way for hours
            self.world.stripe.release_late_requests()
        self.world.advance(minutes=minutes)

    def skew(self, chance: Random, number: int) -> None:
        """MongoDB's clock jumps, ahead of Stripe's or behind."""
        self.faults["clock jumps"] += 1
        before, self.skewed = self.skewed, chance.uniform(-SKEW, SKEW)
        clock.TEST_OFFSET += timedelta(seconds=self.skewed - before)

    # --- how ---

    def _http(
        self, method: str, path: str, body: dict[str, Any] | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        client = self.app.test_client()  # one for each: a client may be used by one thread
        headers = {"Authorization": f"Bearer {TOKEN}", **(headers or {})}
        answer = client.open(path, method=method, json=body, headers=headers)
        assert answer.status_code < 500, f"{method} {path} got {answer.status_code}: {answer.data!r}"
        return answer.status_code, answer.json

    def _path(self, document: SyncedDocument) -> str:
        return f"/{plural_of(type(document))}/{document.id}"

    def _begin(self, name: str, act: Any, chance: Random, lives: int = 14) -> None:
        fate = chance.randint(1, lives) if chance.random() < 0.15 else None
        self.operations += 1

        def expected() -> None:
            with suppress(*EXPECTED):
                act()

        self.schedule.begin(name, expected, fate)

    def _arm(self, chance: Random, method: str, names: tuple[str, ...]) -> None:
        if chance.random() < 0.5:
            times = chance.randint(1, 2)
            self.armed.append(self.world.stripe.fault(chance.choice(names), method=method, times=times))

    def _one(self, chance: Random, *statuses: Status) -> SyncedDocument | None:
        found = [d for d in self.world.documents() if d.status in (statuses or tuple(Status))]
        return chance.choice(found) if found else None
