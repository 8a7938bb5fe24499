"""Create: a customer in MongoDB and at Stripe, by two durable writes with a request to Stripe in between."""

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from urllib.parse import urlencode

from stripe_mongo_sync import sync
from stripe_mongo_sync.bench.load import fire, request
from stripe_mongo_sync.bench.measure import WARM_UP, Meter, baseline, compared, conditions, together
from stripe_mongo_sync.bench.shop import Shop, shop
from stripe_mongo_sync.sync.settings import Settings

CROWD = 16
ROUNDS, QUICK_ROUNDS = 5, 1
CREATIONS, QUICK_CREATIONS = 480, 16  # in a round; a quarter of them in a round of one at a time
SIZE = 1_000  # bytes of a row of the baseline; a pending document has about as many

Subject = Callable[[int, int], list[float]]  # (calls, at the same time) -> the latency of each
_numbers = itertools.count()


def run(*, quick: bool) -> Iterator[str]:
    """Measure, and yield the tables."""
    rounds, creations = (QUICK_ROUNDS, QUICK_CREATIONS) if quick else (ROUNDS, CREATIONS)
    with shop() as service:
        yield conditions(
            service.stack.database,
            service.mongod.dbpath,
            gunicorn=service.sized(),
            rounds=f"{rounds} of {creations} creations, {creations // 4} one at a time",
        )
        sync.connect(Settings.from_environment(environment=service.stack.environment))
        try:
            yield compared(f"Creating, {CROWD} at once", _measured(service, rounds, creations, CROWD))
            yield compared("Creating, one at a time", _measured(service, rounds, creations // 4, 1))
        finally:
            sync.disconnect()
        assert service.stack.database.customers.count_documents({"status": {"$ne": "active"}}) == 0


def _measured(service: Shop, rounds: int, creations: int, at_once: int) -> dict[str, Meter]:
    subjects: dict[str, tuple[Meter, Subject]] = {
        "baseline: one durable write": (service.own_meter(), partial(_write, service)),
        "the emulator alone": (service.emulator_meter(), partial(_ask_emulator, service)),
        "POST /customers": (service.meter(), partial(_post, service)),
        "in process": (service.own_meter(), _call),
    }
    for _ in range(WARM_UP + rounds):
        for meter, subject in subjects.values():
            with meter.round() as latencies:
                latencies += subject(creations, at_once)
    return {name: meter for name, (meter, _) in subjects.items()}


def _write(service: Shop, count: int, at_once: int) -> list[float]:
    return baseline(service.stack.database, count, at_once, SIZE)


def _ask_emulator(service: Shop, count: int, at_once: int) -> list[float]:
    headers = {
        "Authorization": f"Bearer {service.stack.environment['STRIPE_SECRET_KEY']}",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    url, requests = service.stack.stripe_url, []
    for username in _usernames(count):
        body = urlencode({"email": username, "name": "Ada"}).encode()
        requests.append(request(url, "/v1/customers", body, {**headers, "Idempotency-Key": username}))
    return fire(url, requests, at_once, status=200)


def _post(service: Shop, count: int, at_once: int) -> list[float]:
    headers = {"Authorization": f"Bearer {service.stack.service.token}", "Content-Type": "application/json"}
    bodies = [json.dumps({"username": username, "name": "Ada"}).encode() for username in _usernames(count)]
    requests = [request(service.stack.url, "/customers", body, headers) for body in bodies]
    return fire(service.stack.url, requests, at_once, status=201, says=b'"active"')


def _call(count: int, at_once: int) -> list[float]:
    return together([partial(sync.create_customer, username, name="Ada") for username in _usernames(count)], at_once)


def _usernames(count: int) -> Sequence[str]:
    return [f"{next(_numbers)}@here.com" for _ in range(count)]
