"""The README's own examples, typed as written: against the real service, with a small Stripe behind it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.mongod import find_mongod
from demo.stack import ROOT, Stack

MONGODB = os.environ.get("MONGODB_URI")
README = Path("README.md").read_text()

pytestmark = pytest.mark.skipif(not (MONGODB or find_mongod()), reason="there is no MongoDB to try them on")


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack(mongodb=MONGODB, workers=1) as running:
        yield running


def blocks(language: str) -> list[str]:
    """The fenced blocks of the README in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


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
    (example,) = blocks("python")
    typed = example.replace("user@here.com", "in-process@here.com")

    told = subprocess.run(
        [sys.executable, "-c", typed],
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

    status, stripe_id = told.stdout.split()
    assert status == "active"
    assert stripe_id in {remote["id"] for remote in stack.stripe.objects("customer")}
