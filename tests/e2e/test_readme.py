"""The README's own examples, typed as written: against the real service, with a small Stripe behind it."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stripe_mongo_sync.demo.client import Json
from stripe_mongo_sync.demo.mongod import find_mongod
from stripe_mongo_sync.demo.stack import ROOT, Stack

MONGODB = os.environ.get("MONGODB_URI")
README = Path("README.md").read_text()

pytestmark = pytest.mark.skipif(not (MONGODB or find_mongod()), reason="there is no MongoDB to try them on")


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack(mongodb=MONGODB, workers=1) as running:
        yield running


def blocks(language: str) -> list[str]:
    """The fenced blocks of the README in a language."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    return [block for name, block in found if name == language]


def calls(block: str) -> list[tuple[str, str, str]]:
    """The method, path and body of each call in a block; a body may go on in the next line."""
    return re.findall(r"^(GET|POST) (\S+) ?(\{.*?\})?$", block, re.DOTALL | re.MULTILINE)


def filled(text: str, made: dict[str, Json]) -> str:
    """A text with the id, or the named field, of what was answered last in place of `<kind>` and `<kind.field>`."""
    return re.sub(r"<(\w+)\.?(\w*)>", lambda found: str(made[found[1]][found[2] or "id"]), text)


def run(stack: Stack, example: str) -> str:
    """Run an example in Python against the stack; return what it printed."""
    told = subprocess.run(
        [sys.executable, "-c", example],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "STRIPE_SECRET_KEY": "sk_test_readme",
            "STRIPE_API_BASE": stack.stripe_url,
            "MONGODB_URI": stack.mongodb_uri,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return told.stdout


def test_the_three_curls(stack: Stack) -> None:
    (script,) = [block for block in blocks("") if "curl" in block]
    typed = script.replace("http://127.0.0.1:8000", stack.url)

    told = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", typed],
        env={"PATH": os.environ["PATH"], "TOKEN": stack.service.token},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    created, shown, changed = re.findall(r'"status":\s*"(\w+)"', told.stdout)
    assert (created, shown, changed) == ("active", "active", "active")
    made = {remote["email"]: remote for remote in stack.stripe.objects("customer")}["user@here.com"]
    assert (made["name"], made["phone"]) == ("A User", "+49 30 1234")


def test_the_example_in_process(stack: Stack) -> None:
    example, _ = blocks("python")
    typed = example.replace("user@here.com", "in-process@here.com")

    status, stripe_id = run(stack, typed).split()
    assert status == "active"
    assert stripe_id in {remote["id"] for remote in stack.stripe.objects("customer")}


def test_the_calls_that_sell(stack: Stack) -> None:
    (block,) = [block for block in blocks("") if "/orders" in block]
    stack.service.post("/customers", {"username": "buyer@here.com"})
    made: dict[str, Json] = {}
    statuses = []

    for method, path, body in calls(block.replace("user@here.com", "buyer@here.com")):
        told = stack.service.call(method, filled(path, made), json.loads(filled(body, made)) if body else None)
        assert told.status in (200, 201), f"{method} {path}: {told.body}"
        made[told.body.get("kind", "portal")] = told.body
        statuses.append(told.body.get("payment_status") or told.body.get("stripe_status"))

    assert len(statuses) == len(re.findall(r"^(?:GET|POST) ", block, re.MULTILINE))
    assert [status for status in statuses if status] == [
        *("awaiting_payment", "awaiting_payment", "paid"),
        *("succeeded", "active"),
    ]
    order = stack.service.get(f"/orders/{made['order']['id']}").body
    assert (order["payment_status"], order["amount_refunded"]) == ("partially_refunded", 500)
    assert made["customer"]["invoice_settings"]["default_payment_method"] == made["payment_method"]["stripe_id"]
    assert made["portal"]["url"].startswith("https://billing.stripe.com/")


def test_the_example_that_sells_in_process(stack: Stack) -> None:
    _, example = blocks("python")
    stack.service.post("/customers", {"username": "in-process-buyer@here.com"})
    product = stack.service.post("/products", {"name": "Chair"}).body["id"]
    wanted = {
        "/prices": {"product": product, "currency": "eur", "unit_amount": 4900},
        "/payment-methods": {"type": "card", "card": {"token": "tok_visa"}},
    }
    made = [stack.service.post(path, body).body for path, body in wanted.items()]
    typed = filled(example, {each["kind"]: each for each in made})

    status, order_url, portal_url = run(stack, typed.replace("user@here.com", "in-process-buyer@here.com")).split()

    assert status == "awaiting_payment"
    assert order_url in {remote["url"] for remote in stack.stripe.objects("checkout.session")}
    assert portal_url.startswith("https://billing.stripe.com/")
