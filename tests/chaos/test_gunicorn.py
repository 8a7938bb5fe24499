"""Gunicorn's processes die, freeze or are many at work: nothing acknowledged is lost, and one reconcile is enough."""

import json
import os
import random
import resource
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import pytest
from stripe import WebhookSignature

from stripe_mongo_sync.demo.client import NoAnswer
from stripe_mongo_sync.demo.mongod import Mongod
from stripe_mongo_sync.demo.stack import WORKERS, Stack
from tests.chaos.book import settle, storm
from tests.chaos.load import ALLOWED
from tests.support import eventually
from tests.support.answers import at_once

GOOD = b"RETENTION_DAYS=40\n"
SLIPS = {
    "RETENTION_DAYS": b"RETENTION_DAYS=7\n",
    "HOOKS": b"HOOKS=no_such_module_of_the_shop\n",
    ".env": b"RETENTION_DAYS=\xff\xfe\n",
}


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def told(stack: Stack) -> str:
    """What whichever worker says of the settings; "" where all is well."""
    try:
        ready = stack.service.get("/readyz")
    except NoAnswer:
        return "?"
    return str(ready.body.get("settings", "")) if ready.status == 200 else "?"


def renew(stack: Stack, how: str) -> None:
    """Let gunicorn make new workers, and wait until only they are there."""
    before = stack.workers()
    if how == "reload":
        os.kill(stack.process("gunicorn").pid, signal.SIGHUP)
    else:
        for pid in before:
            os.kill(pid, signal.SIGKILL)
    eventually(lambda: len(stack.workers()) == len(before) and not {*before} & {*stack.workers()}, 30)


@pytest.mark.fault("60")
def test_a_killed_worker_costs_an_answer_at_most(stack: Stack) -> None:
    with storm(stack, clients=6) as load:
        for _ in range(2):
            os.kill(random.choice(stack.workers()), signal.SIGKILL)
            assert load.goes_on() < 5, "the other worker serves meanwhile"

    settle(stack, load)
    assert load.told <= ALLOWED


@pytest.mark.long
@pytest.mark.fault("104")
def test_all_workers_killed_again_and_again(stack: Stack) -> None:
    with storm(stack, clients=8, seed=1) as load:
        for _ in range(8):
            for pid in stack.workers():
                os.kill(pid, signal.SIGKILL)
            load.goes_on(12)

    figures = settle(stack, load)
    assert figures.clients["no answer"]


@pytest.mark.long
@pytest.mark.fault("100")
def test_a_killed_master_takes_nothing_with_it_and_another_takes_over(stack: Stack) -> None:
    with storm(stack, clients=6, seed=2) as load:
        orphaned = stack.workers()
        stack.kill("gunicorn", alone=True)
        stack.start("gunicorn")
        load.goes_on()
        eventually(lambda: not {*orphaned} & {*stack.workers()}, 30)
        load.goes_on()

    settle(stack, load)


@pytest.mark.long
@pytest.mark.fault("101")
def test_a_frozen_worker_holds_only_its_own_requests_and_then_goes_on(stack: Stack) -> None:
    over = threading.Event()
    with storm(stack, clients=6, seed=3) as load:
        with frozen(random.choice(stack.workers())):
            began = len(load.answers)
            load.goes_on(20)
            over.wait(6)
        load.goes_on()

    settle(stack, load)
    assert len(load.answers) > began + 20
    assert max(answer.took for answer in load.answers) < 20


@pytest.mark.fault("102")
def test_a_deploy_finishes_what_is_under_way(stack: Stack) -> None:
    stack.stripe.fault("slow_after", "POST /v1/customers", seconds=1.5)
    with ThreadPoolExecutor(1) as pool:
        before = len(stack.stripe.requests)
        answer = pool.submit(stack.service.post, "/customers", {"username": "under@way.com"})
        eventually(lambda: any(each.fault == "slow_after" for each in stack.stripe.requests[before:]))

        stack.stop("gunicorn")

        assert answer.result().status == 201
    stack.start("gunicorn")
    assert stack.service.get("/customers/under@way.com").body["status"] == "active"


@pytest.mark.long
@pytest.mark.fault("102")
def test_deploys_under_load(stack: Stack) -> None:
    with storm(stack, clients=6, seed=4) as load:
        for _ in range(3):
            stack.stop("gunicorn")
            stack.start("gunicorn")
            load.goes_on()

    settle(stack, load)
    assert load.told <= ALLOWED


@pytest.mark.long
@pytest.mark.fault("103")
def test_workers_that_die_while_mongodb_is_down_come_back_with_it(stack: Stack, mongod: Mongod) -> None:
    with storm(stack, clients=6, seed=5) as load:
        mongod.kill()
        killed = stack.workers()
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: stack.workers() and not {*killed} & {*stack.workers()})
        mongod.restart()
        load.goes_on()
        eventually(lambda: len(stack.workers()) == WORKERS, 30)

    settle(stack, load)


@pytest.mark.long
@pytest.mark.fault("109")
def test_workers_without_file_descriptors_serve_again_when_there_are_some(stack: Stack) -> None:
    where = urlsplit(stack.url)
    with storm(stack, clients=6, seed=109) as load:
        limits = {pid: resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in stack.workers()}
        for pid, (_, hard) in limits.items():
            few = len(os.listdir(f"/proc/{pid}/fd")) + 4
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (few, hard))
        with ExitStack() as idle:
            for _ in range(12):  # each holds a file descriptor until there is no other
                idle.enter_context(socket.create_connection((where.hostname, where.port), 30))
            load.asks(60)
        for pid in {*limits} & {*stack.workers()}:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limits[pid])
        load.goes_on()

    settle(stack, load)
    assert load.told <= ALLOWED


@pytest.mark.fault("29")
def test_one_event_fifty_times_at_once_is_kept_once(stack: Stack) -> None:
    assert stack.service.post("/customers", {"username": "often@here.com"}).status == 201
    told = next(event for event in stack.stripe.events() if event["type"] == "customer.created")
    told |= {"id": "evt_fifty"}

    def send(number: int) -> tuple[int, str]:
        signature = WebhookSignature.generate_signature_header(json.dumps(told), stack.webhook_secret)
        answer = stack.service.call("POST", "/webhooks/stripe", told, {"Stripe-Signature": signature})
        return answer.status, answer.body["state"]

    answers = at_once(50, send)

    assert {status for status, _ in answers} == {200}
    assert sum(state != "duplicate" for _, state in answers) == 1, "one of them was the first"
    assert stack.database["stripe_events"].count_documents({"_id": "evt_fifty"}) == 1
    assert len(stack.stripe.objects("customer")) == stack.database["customers"].count_documents({"status": "active"})


def test_a_slip_in_a_setting_ends_no_running_service(stack: Stack) -> None:
    env, log = stack.directory / ".env", stack.process("gunicorn").log
    for (name, slip), how in zip(SLIPS.items(), ("reload", "recycle", "recycle"), strict=True):
        said = log.read_text().count("the new settings are refused")
        env.write_bytes(slip)
        renew(stack, how)

        eventually(lambda name=name: name in told(stack), 30)  # type: ignore[misc]
        assert log.read_text().count("the new settings are refused") == said + 1, "once, not for each worker"
        assert name in log.read_text().rpartition("the new settings are refused")[2]
        assert stack.service.get("/customers").status == 200, "with the token of before"

    env.write_bytes(GOOD)
    renew(stack, "reload")
    eventually(lambda: told(stack) == "", 30)
    stack.process("gunicorn").check()
    env.unlink()
