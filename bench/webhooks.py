"""Webhooks: how many signed events a second the service stores and applies, and at what cost."""

import itertools
import time
from collections.abc import Iterator, Sequence

from stripe import WebhookSignature

from stripe_mongo_sync.bench.load import fire, request
from stripe_mongo_sync.bench.measure import WARM_UP, baseline, compared, conditions
from stripe_mongo_sync.bench.shop import Json, Shop, shop
from stripe_mongo_sync.demo.stack import Stack

CONNECTIONS = 16
ROUNDS, QUICK_ROUNDS = 5, 1
EVENTS, QUICK_EVENTS = 2_000, 20  # in a round


def run(*, quick: bool) -> Iterator[str]:
    """Measure, and yield the table."""
    rounds, events = (QUICK_ROUNDS, QUICK_EVENTS) if quick else (ROUNDS, EVENTS)
    with shop() as service:
        stack, model = service.stack, service.template
        size = len(model.event_of(model.document, "customer.updated", 0, name="x"))
        yield conditions(
            stack.database,
            service.mongod.dbpath,
            gunicorn=service.sized(),
            connections=CONNECTIONS,
            rounds=f"{rounds} of {events:,} events of {size:,} bytes",
        )
        written, updated, confirmed, repeated = (service.own_meter(), *(service.meter() for _ in range(3)))
        customers = _seed(service, events)
        seconds = itertools.count(int(time.time()) + 60)  # later than every second of the documents
        for second in itertools.islice(seconds, WARM_UP + rounds):
            news = [model.event_of(c, "customer.updated", second, name=f"Ada {second}") for c in customers]
            unconfirmed = _seed(service, events, confirmed_at=None)
            proofs = [model.event_of(c, "customer.created", second) for c in unconfirmed]
            with written.round() as latencies:
                latencies += baseline(stack.database, events, CONNECTIONS, size)
            for meter, bodies, says in (
                (updated, news, b"applied"),
                (confirmed, proofs, b"applied"),
                (repeated, news, b"duplicate"),
            ):
                signed = [_signed(stack, body) for body in bodies]
                with meter.round() as latencies:
                    latencies += fire(stack.url, signed, CONNECTIONS, status=200, says=says)
            _prove(stack, customers, unconfirmed, second)
        measured = {
            "baseline: one durable write": written,
            "customer.updated": updated,
            "customer.created, confirms": confirmed,
            "a duplicate": repeated,
        }
        yield compared("Webhooks: signed events, each stored and applied", measured)


def _seed(service: Shop, count: int, **changes: object) -> list[Json]:
    made = [service.template.copy(**changes) for _ in range(count)]
    service.stack.database.customers.insert_many(made)
    return made


def _signed(stack: Stack, body: bytes) -> bytes:
    signature = WebhookSignature.generate_signature_header(body.decode(), stack.webhook_secret)
    headers = {"Content-Type": "application/json; charset=utf-8", "Stripe-Signature": signature}
    return request(stack.url, "/webhooks/stripe", body, headers)


def _prove(stack: Stack, updated: Sequence[Json], confirmed: Sequence[Json], second: int) -> None:
    """Assert that every document has the content of its last event: a wrong result does not count."""
    ids = [document["_id"] for document in (*updated, *confirmed)]
    customers, events = stack.database.customers, stack.database.stripe_events
    assert customers.count_documents({"_id": {"$in": ids}, "name": f"Ada {second}"}) == len(updated)
    assert customers.count_documents({"confirmed_at": None}) == 0
    assert events.count_documents({"created": second, "state": "applied"}) == len(updated) + len(confirmed)
