"""The README's own examples, typed as written: against the real service, with a small Stripe behind it."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import takewhile
from pathlib import Path

import pytest
from dotenv import dotenv_values

from stripe_mongo_sync.demo.client import Client, Json, NoAnswer
from stripe_mongo_sync.demo.mongod import find_mongod, free_port, is_free
from stripe_mongo_sync.demo.stack import ROOT, Stack
from stripe_mongo_sync.demo.stay import PORT, TOKEN
from stripe_mongo_sync.sync.__main__ import main
from stripe_mongo_sync.sync.settings import Settings
from tests.support import eventually, stripe_cli
from tests.support.mongo import MongoServer

README = Path("README.md").read_text()

pytestmark = pytest.mark.skipif(
    not (os.environ.get("MONGODB_URI") or find_mongod()), reason="there is no MongoDB to try them on"
)


@pytest.fixture(scope="module")
def stack(mongo_server: MongoServer) -> Iterator[Stack]:
    hooks = {"HOOKS": "stripe_mongo_sync.demo.hooks"}  # the same for every process
    with Stack(mongodb=mongo_server.address, workers=1, token=TOKEN, environment=hooks) as running:
        yield running


@pytest.fixture
def away(tmp_path: Path) -> Path:
    """Another directory than the checkout."""
    return tmp_path


def blocks(language: str) -> list[str]:
    """The fenced blocks of the README in a language."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    return [block for name, block in found if name == language]


def the_block(language: str, containing: str) -> str:
    """The only block of a language that contains this."""
    (block,) = [block for block in blocks(language) if containing in block]
    return block


def calls(block: str) -> list[tuple[str, str, str]]:
    """The method, path and body of each call in a block; a body may go on in the next line."""
    return re.findall(r"^(GET|POST) (\S+) ?(\{.*?\})?$", block, re.DOTALL | re.MULTILINE)


def filled(text: str, made: dict[str, Json]) -> str:
    """A text with the id, or the named field, of what was answered last in place of `<kind>` and `<kind.field>`."""
    return re.sub(r"<(\w+)\.?(\w*)>", lambda found: str(made[found[1]][found[2] or "id"]), text)


def answers(service: Client) -> bool:
    """Whether it serves already."""
    with suppress(NoAnswer):
        return service.get("/readyz").status == 200
    return False


def run(stack: Stack, example: str, away: Path) -> str:
    """Run an example in Python in another directory, against the stack; return what it printed."""
    told = subprocess.run(
        [sys.executable, "-c", example],
        cwd=away,
        env={"PATH": os.environ["PATH"], **stack.settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return told.stdout


def test_the_three_curls_with_the_token_and_the_port_of_make_dev(stack: Stack, away: Path) -> None:
    script = the_block("", "curl")
    assert script.count(f"http://127.0.0.1:{PORT}/") == 3
    typed = script.replace(f"http://127.0.0.1:{PORT}", stack.url)

    told = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", typed],
        cwd=away,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    created, shown, changed = re.findall(r'"status":\s*"(\w+)"', told.stdout)
    assert (created, shown, changed) == ("active", "active", "active")
    made = {remote["email"]: remote for remote in stack.stripe.objects("customer")}["user@here.com"]
    assert (made["name"], made["phone"]) == ("A User", "+49 30 1234")


def test_the_example_in_process(stack: Stack, away: Path) -> None:
    typed = the_block("python", "create_customer").replace("user@here.com", "in-process@here.com")

    status, stripe_id = run(stack, typed, away).split()
    assert status == "active"
    assert stripe_id in {remote["id"] for remote in stack.stripe.objects("customer")}


def test_the_calls_that_sell(stack: Stack) -> None:
    block = the_block("", "/orders")
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
        *("awaiting_payment", "awaiting_payment", "awaiting_payment", "paid", "partially_refunded"),
        *("succeeded", "active"),
    ]
    order = stack.service.get(f"/orders/{made['order']['id']}").body
    assert (order["payment_status"], order["amount_refunded"]) == ("partially_refunded", 1490)
    assert made["customer"]["invoice_settings"]["default_payment_method"] == made["payment_method"]["stripe_id"]
    assert made["portal"]["url"].startswith("https://billing.stripe.com/")


def test_the_example_that_sells_in_process_with_the_hook_beside_it(stack: Stack, away: Path) -> None:
    hook, example = the_block("python", "@on("), the_block("python", "create_order")
    stack.service.post("/customers", {"username": "in-process-buyer@here.com"})
    card = stack.service.post("/payment-methods", {"type": "card", "card": {"token": "tok_visa"}}).body
    typed = filled(example, {"payment_method": card})

    status, order_url, portal_url, newest, its_status, *_ = run(
        stack, hook + typed.replace("user@here.com", "in-process-buyer@here.com"), away
    ).split()

    assert status == "awaiting_payment"
    assert order_url in {remote["url"] for remote in stack.stripe.objects("checkout.session")}
    assert portal_url.startswith("https://billing.stripe.com/")
    assert stack.service.get(f"/orders/{newest}").body["url"] == order_url
    assert its_status == status


def test_make_run_serves_reconciles_and_calls_hooks_until_ctrl_c(stack: Stack, away: Path) -> None:
    said, port = away / "said", free_port()
    command = ["make", "--old-file=.venv/.runtime", f"PY={sys.executable}", "run"]
    with (
        said.open("w") as out,
        subprocess.Popen(
            [*command, f"ARGS=--workers 1 --bind 127.0.0.1:{port}"],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], **stack.settings},
            stdout=out,
            stderr=out,
            start_new_session=True,
        ) as running,
    ):
        try:
            service = Client(f"http://127.0.0.1:{port}", TOKEN)
            eventually(lambda: answers(service), within=30)
            made = service.post("/customers", {"username": "running@here.com"})
            assert made.status == 201
            eventually(lambda: f"hook: customer.active {made.body['id']}" in said.read_text(), within=30)
            eventually(lambda: stack.database.sync_state.find_one({"_id": "heartbeat"}), within=30)
        finally:
            os.killpg(running.pid, signal.SIGINT)
        running.wait(60)

    assert is_free(port)
    assert "Traceback" not in said.read_text()


def test_stripe_listen_takes_the_line_as_it_is_written(stack: Stack) -> None:
    if stripe_cli.found() is None:
        pytest.skip("Stripe's command line is not here: `make stripe-cli` installs it")
    line = the_block("", "stripe listen")
    assert f"--forward-to http://127.0.0.1:{PORT}/webhooks/stripe" in line

    for typed in (line, *re.findall(r"`(stripe listen [^`]+)`", README)):
        asked = len(sessions(stack))
        said = stripe_cli.run(*shlex.split(typed)[1:], "--api-key", stripe_cli.KEY, "--api-base", stack.stripe_url).said

        assert "/v1/stripecli/sessions" in said, said
        assert len(sessions(stack)) == asked + 1, (
            "it was understood, and asks Stripe for a session, which is Stripe's alone"
        )


def sessions(stack: Stack) -> list[str]:
    """The sessions that Stripe's command line asked for."""
    return [logged.path for logged in stack.stripe.requests if logged.path == "/v1/stripecli/sessions"]


def test_the_env_of_step_1_says_what_is_to_be_filled_in_and_then_serves(away: Path) -> None:
    shutil.copy(ROOT / ".env.example", away)
    subprocess.run(re.findall(r"`(cp \.env\.example [^`]+)`", README)[0], shell=True, cwd=away, check=True)
    text = (away / ".env").read_text()
    filled_in = {"STRIPE_SECRET_KEY": "sk_test_1", "STRIPE_WEBHOOK_SECRET": "whsec_1", "API_TOKENS": TOKEN}

    given = {name: value or "" for name, value in dotenv_values(away / ".env").items()}
    assert {name for name, value in given.items() if not value} == set(filled_in)
    assert text.count("\nMONGODB_URI") == 0, "it has a default"

    assert Settings.from_environment(serve=True, environment=given | filled_in)


def commands() -> Iterator[tuple[list[str], set[str]]]:
    """Each of our commands that the README names, with its action, if any, and the options behind it."""
    for line in re.findall(r"`stripe-mongo-sync\s+([a-z][^`]*)`", README):
        command: list[str] = []
        for part in line.split("\\|"):
            words = list(takewhile(re.compile(r"[a-z][a-z-]*").fullmatch, part.split()))
            command = command or words[:1]
            yield [*command, *(words[1:] if words[:1] == command else words)], set(re.findall(r"--[a-z-]+", part))


def test_every_command_of_the_readme_is_there_with_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    for command, options in commands():
        with pytest.raises(SystemExit) as told:
            main([*command, "--help"])

        said = capsys.readouterr()
        assert told.value.code == 0, said.err
        assert options <= set(re.findall(r"--[a-z-]+", said.out)), command
    assert len(list(commands())) > 25


def test_every_block_of_the_readme_is_run_by_a_test() -> None:
    ran = {
        "make demo": "tests/e2e/test_demo.py, and test_make.py",
        "curl": "above",
        "create_customer(": "above",
        "/orders": "above",
        "create_order": "above",
        "@on(": "above",
        "stripe listen": "above",
        "pip install": "the tests of the wheel",
    }
    every = blocks("") + blocks("python")

    assert sorted(every) == sorted({block for block in every for each in ran if each in block})
    assert len(every) == len(ran)
