"""Gunicorn on a MongoDB that is not there, or cannot be trusted: it lives, says so, and serves when that is mended."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from stripe import WebhookSignature

from stripe_mongo_sync.demo.client import NoAnswer
from stripe_mongo_sync.demo.mongod import Mongod, find_mongod
from stripe_mongo_sync.demo.stack import ROOT, WORKERS, Stack
from tests.support import eventually
from tests.support.events import event

SOON = 30.0  # seconds, on a busy machine


@pytest.fixture(scope="module")
def mongod() -> Iterator[Mongod]:
    if not find_mongod():
        pytest.skip("this machine has no mongod of its own to stop")
    with Mongod(fast=True) as server:
        yield server


@pytest.fixture(scope="module")
def stack(mongod: Mongod) -> Iterator[Stack]:
    with Stack(mongodb=mongod.uri("waiting"), threads=2) as running:
        yield running


def answers(stack: Stack, path: str, status: int) -> bool:
    try:
        return stack.service.get(path).status == status
    except (OSError, NoAnswer):
        return False  # it does not listen yet


def connected(stack: Stack) -> int:
    """How often a worker has connected to MongoDB."""
    return stack.process("gunicorn").log.read_text().count("connected to MongoDB")


def webhook(stack: Stack) -> Any:
    raw = event("customer.updated", {"id": "cus_1", "object": "customer"}, 1)
    signature = WebhookSignature.generate_signature_header(raw.decode(), stack.webhook_secret)
    return stack.service.call("POST", "/webhooks/stripe", json.loads(raw), {"Stripe-Signature": signature})


def test_without_mongodb_it_lives_says_503_to_all_and_connects_when_mongodb_comes(stack: Stack, mongod: Mongod) -> None:
    stack.stop("gunicorn")
    mongod.kill()
    gunicorn = stack.process("gunicorn")
    gunicorn.start()

    eventually(lambda: answers(stack, "/healthz", 200), SOON)

    ready = stack.service.get("/readyz")
    assert (ready.status, ready.body) == (503, {"status": "MongoDB cannot be reached"})
    refused = [
        stack.service.post("/customers", {"username": "user@here.com"}),
        webhook(stack),
        *(stack.service.get(path) for path in ("/customers", "/status", "/openapi.json", "/nowhere")),
    ]
    assert [(answer.status, answer.headers["Retry-After"]) for answer in refused] == [(503, "5")] * len(refused)
    assert all(answer.body["type"].endswith("/unavailable") for answer in refused)
    eventually(lambda: len(stack.workers()) == WORKERS, SOON)
    workers, before = stack.workers(), connected(stack)

    mongod.restart()

    eventually(lambda: connected(stack) == before + WORKERS, SOON)
    eventually(lambda: answers(stack, "/readyz", 200), SOON)
    created = stack.service.post("/customers", {"username": "user@here.com"})
    assert (created.status, created.body["status"]) == (201, "active")
    gunicorn.check()
    assert stack.workers() == workers, "nobody died of it"


def test_a_database_that_cannot_be_trusted_is_told_by_readyz_until_it_is_mended(stack: Stack) -> None:
    assert stack.service.post("/customers", {"username": "other@here.com"}).status == 201
    stack.stop("gunicorn")
    stack.database.customers.drop_index("username_key_1_is_current")
    stack.process("gunicorn").start()

    eventually(lambda: answers(stack, "/healthz", 200), SOON)

    ready = stack.service.get("/readyz")
    assert ready.status == 503
    assert "customers.username_key_1_is_current" in ready.body["status"]
    assert "`stripe-mongo-sync indexes`" in ready.body["status"]
    assert stack.service.post("/customers", {"username": "OTHER@here.com"}).status == 503
    assert "customers.username_key_1_is_current" in stack.process("gunicorn").log.read_text()

    before = connected(stack)
    command = [sys.executable, "-m", "sync", "indexes"]
    subprocess.run(command, env=stack.environment, cwd=ROOT, check=True, timeout=60, capture_output=True)

    eventually(lambda: connected(stack) == before + WORKERS, SOON)
    assert stack.service.post("/customers", {"username": "OTHER@here.com"}).status == 409
