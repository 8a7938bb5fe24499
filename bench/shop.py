"""The measured service: real processes on a MongoDB that writes to disk, and its customers."""

import copy
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bson import ObjectId

from stripe_mongo_sync.bench.measure import Meter, ourselves
from stripe_mongo_sync.demo.mongod import Mongod
from stripe_mongo_sync.demo.stack import WORKERS, Stack
from stripe_mongo_sync.models.rows.content import digest

Json = dict[str, Any]
CONFIRM_TIMEOUT = 10.0  # seconds for the webhook of the template; it takes milliseconds


@dataclass(frozen=True)
class Template:
    """A customer that the service created and Stripe confirmed, with its event. All others are copies of it."""

    document: Json
    event: Json

    def copy(self, **changes: Any) -> Json:
        """Return a copy with its own id, Stripe id, key and name."""
        made, id = copy.deepcopy(self.document), ObjectId()
        stripe_id = f"cus_{id}"
        remote = {**made["stripe"], "id": stripe_id}
        return {
            **made,
            "_id": id,
            "stripe_id": stripe_id,
            "creation_key": made["creation_key"].replace(str(made["_id"]), str(id)),
            "request": {**made["request"], "key": str(id)},
            "username": f"{id}@here.com",
            "username_key": f"{id}@here.com",
            "stripe": remote,
            "digest": digest(remote),
            **changes,
        }

    def event_of(self, document: Json, type: str, created: int, **changed: Any) -> bytes:
        """Return the body of an event about a customer, as Stripe would send it."""
        event = copy.deepcopy(self.event)
        event["data"] = {"object": {**document["stripe"], **changed}}
        if changed:
            event["data"]["previous_attributes"] = {name: document["stripe"][name] for name in changed}
        event["request"]["idempotency_key"] = document["creation_key"] if type.endswith(".created") else None
        return json.dumps({**event, "id": f"evt_{ObjectId()}", "type": type, "created": created}, indent=2).encode()


@dataclass(frozen=True)
class Shop:
    """The processes of the service. After the template's webhook, only the benchmark sends webhooks."""

    mongod: Mongod
    stack: Stack
    template: Template

    def meter(self) -> Meter:
        """Return a meter that counts gunicorn's workers as the service."""
        return self._meter(self.stack.workers)

    def own_meter(self) -> Meter:
        """Return a meter that counts this process as the service."""
        return self._meter(ourselves)

    def emulator_meter(self) -> Meter:
        """Return a meter for calls that do not use the service."""
        return self._meter(list)

    def _meter(self, service: Callable[[], Sequence[int]]) -> Meter:
        return Meter(self.stack.database, self.mongod.pid, self.stack.process("emulator").pid, service)

    def sized(self) -> str:
        """Describe how gunicorn was started."""
        return f"{len(self.stack.workers())} workers as in gunicorn.conf.py"


@contextmanager
def shop(workers: int = WORKERS) -> Iterator[Shop]:
    """Run the service, with one customer in it."""
    with Mongod() as mongod, Stack(workers=workers, mongodb=mongod.uri("bench")) as stack:
        yield Shop(mongod, stack, _template(stack))


def _template(stack: Stack) -> Template:
    """Create a customer by the API, and wait until its webhook has confirmed it."""
    reply = stack.service.post("/customers", {"username": "template@here.com", "name": "Ada", "phone": "+49 30 1234"})
    assert reply.status == 201, reply.body
    deadline = time.monotonic() + CONFIRM_TIMEOUT
    while not (document := stack.database.customers.find_one({"confirmed_at": {"$type": "date"}})):
        assert time.monotonic() < deadline, "the webhook of the template did not arrive"
        time.sleep(0.01)
    stack.stripe.webhooks.disrupt(drop=10**9)
    made = [event for event in stack.stripe.events() if event["data"]["object"]["id"] == document["stripe_id"]]
    return Template(document, made[0])
