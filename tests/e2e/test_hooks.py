"""Hooks as processes: whatever a hook does to the process that runs it, events are applied and the others called."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from stripe import WebhookSignature

from stripe_mongo_sync.demo.mongod import find_mongod, free_port
from stripe_mongo_sync.demo.stack import ROOT, Stack
from stripe_mongo_sync.models.delivery import ATTEMPT_LOST
from tests.support import eventually
from tests.support.mongo import MongoServer

BROKEN = ("raises", "hangs", "swallows", "kills")
LIMITS = ("--timeout", "1", "--attempts", "2", "--backoff", "0.1")

pytestmark = pytest.mark.skipif(
    not (os.environ.get("MONGODB_URI") or find_mongod()), reason="there is no MongoDB to try it on"
)


@contextmanager
def shop(mongo_server: MongoServer, **environment: str) -> Iterator[Stack]:
    with Stack(mongodb=mongo_server.address, workers=1, environment=environment) as running:
        yield running


@pytest.fixture
def stack(mongo_server: MongoServer) -> Iterator[Stack]:
    with shop(mongo_server, HOOKS="tests.support.shop_hooks") as running:
        yield running


def command(*line: str) -> list[str]:
    return [sys.executable, "-m", "sync", "hooks", *line, "--json"]


def hooks(stack: Stack, *line: str) -> tuple[int, Any, str]:
    """Run a command; return its exit code, what its --json says, and its log."""
    ended = subprocess.run(
        command(*line), env=stack.environment, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    return ended.returncode, json.loads(ended.stdout) if ended.stdout else None, ended.stderr


def create(stack: Stack, username: str) -> None:
    """Create a customer, and wait until the event of it was applied."""
    assert stack.service.post("/customers", {"username": username}).status == 201
    stripe_id = stack.database.customers.find_one({"username": username})["stripe_id"]
    heard = {"object_id": stripe_id, "type": "customer.created", "state": "applied"}
    eventually(lambda: stack.database.stripe_events.find_one(heard))


def called(stack: Stack) -> dict[str, int]:
    """Return how often each hook was called."""
    counted = stack.database.calls.aggregate([{"$group": {"_id": "$hook", "n": {"$sum": 1}}}])
    return {row["_id"]: row["n"] for row in counted}


def states(stack: Stack) -> dict[str, str]:
    """Return what became of the delivery to each hook."""
    return {row["hook"].rpartition(".")[2]: row["state"] for row in stack.database.hook_deliveries.find()}


def test_while_a_hook_hangs_requests_are_answered_and_events_applied(stack: Stack) -> None:
    worker = command("run", "--every", "0.1", "--timeout", "600")
    with subprocess.Popen(worker, env=stack.environment, cwd=ROOT, stderr=subprocess.DEVNULL) as hanging:
        create(stack, "ann")
        eventually(lambda: "hangs" in called(stack), 20)

        create(stack, "bob")

        hanging.kill()  # as an operator would, or the kernel without memory
    assert called(stack) == {"works": 1, "raises": 1, "hangs": 1}
    row = stack.database.hook_deliveries.find_one({"hook": "tests.support.shop_hooks.hangs"})
    assert (row["state"], row["attempts"], row["reason"]) == ("pending", 1, ATTEMPT_LOST)


def test_hooks_that_raise_hang_or_kill_are_retried_then_dead_then_replayed(stack: Stack) -> None:
    create(stack, "ann")
    ends = [hooks(stack, "run", *LIMITS)]
    while "pending" in states(stack).values():
        assert len(ends) < 50, states(stack)
        ends.append(hooks(stack, "run", *LIMITS))

    assert states(stack) == {"works": "done", **dict.fromkeys(BROKEN, "dead")}
    assert called(stack) == {"works": 1, "raises": 2, "hangs": 2, "kills": 2, "swallows": 4}  # twice in each attempt
    assert {code for code, *_ in ends} == {1, 9}, "the watchdog's, and the hook's own"
    (said, _) = [log for code, _, log in ends if "Timeout (" in log]
    assert re.search(r'shop_hooks\.py", line \d+ in swallows', said), "it says where it hung"
    errors = {one["hook"].rpartition(".")[2]: one["error"] for one in hooks(stack, "list")[1]}
    assert errors["raises"] == "RuntimeError: broken"
    assert errors["hangs"].endswith("HookTimeout: it took longer than 1 s")
    assert errors["kills"] == errors["swallows"] == ATTEMPT_LOST

    stack.database.repaired.insert_one({})
    code, replayed, _ = hooks(stack, "replay", "--dead-since", "2020-01-01")
    assert (code, len(replayed)) == (0, len(BROKEN))

    assert hooks(stack, "run", *LIMITS)[:2] == (0, {"counts": {"done": len(BROKEN)}, "exit_code": 0})
    assert set(states(stack).values()) == {"done"}


def test_the_example_of_the_docs_does_what_it_says(tmp_path: Path, mongo_server: MongoServer) -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/hooks.md").read_text(), re.DOTALL | re.MULTILINE)
    (tmp_path / "my_shop").mkdir()
    (tmp_path / "my_shop" / "hooks.py").write_text(example)
    dispute = {"id": "du_1", "object": "dispute", "reason": "fraudulent"}

    with shop(mongo_server, HOOKS="my_shop.hooks", PYTHONPATH=f"{ROOT}{os.pathsep}{tmp_path}") as stack:
        create(stack, "ann@here.com")
        event = json.loads(json.dumps(stack.stripe.events()[0]))
        event |= {"id": "evt_dispute", "type": "charge.dispute.created", "data": {"object": dispute}}
        signature = WebhookSignature.generate_signature_header(json.dumps(event), stack.webhook_secret)
        told = stack.service.call("POST", "/webhooks/stripe", event, {"Stripe-Signature": signature})
        assert told.status == 200
        code, counted, log = hooks(stack, "run")

        assert (code, counted["counts"]) == (0, {"done": 2})
        (letter,) = stack.database.letters.find()
        assert (letter["to"], letter["subject"]) == ("ann@here.com", "Welcome")
        assert "charge.dispute.created: du_1, fraudulent" in log
        (again,) = [row["_id"] for row in stack.database.hook_deliveries.find({"name": "customer.active"})]
        hooks(stack, "replay", again)
        assert hooks(stack, "run")[1]["counts"] == {"done": 1}
        assert stack.database.letters.count_documents({}) == 1


@pytest.mark.parametrize("program", [["sync", "hooks", "run"], ["sync", "status"], ["gunicorn"]], ids=" ".join)
def test_with_a_module_that_cannot_be_imported_nothing_starts(program: list[str], tmp_path: Path) -> None:
    (tmp_path / "my_hooks.py").write_text("import sync\n\n\n@sync.on('custmer.active')\ndef hook(notice): ...\n")
    # One worker: should a second one end while gunicorn stops because of the first, its exit code is chance.
    served = ["-c", str(ROOT / "gunicorn.conf.py"), "--bind", f"127.0.0.1:{free_port()}", "--workers", "1"]

    ended = subprocess.run(
        [sys.executable, "-m", *program, *(served if program == ["gunicorn"] else [])],
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "STRIPE_SECRET_KEY": "sk_test_1",
            "STRIPE_WEBHOOK_SECRET": "whsec_1",
            "API_TOKENS": "0123456789abcdef",
            "MONGODB_URI": "mongodb://127.0.0.1:1/nowhere",
            "HOOKS": "my_hooks",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == (3 if program == ["gunicorn"] else 2), ended.stderr
    assert "HOOKS: cannot import my_hooks: ValueError: there is no 'custmer.active' to hear of" in ended.stderr
    assert "Traceback" not in ended.stderr
