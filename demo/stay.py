"""`make dev`: leaves the stack of the demo running on a known port, and prints commands to try."""

import os
import shlex
import sys
import time
from pathlib import Path
from typing import NoReturn

from stripe_mongo_sync.demo.screen import Screen
from stripe_mongo_sync.demo.stack import Stack
from stripe_mongo_sync.sync.operator.catalogue import covered_events
from stripe_mongo_sync.sync.process.starting import SCRIPT
from stripe_mongo_sync.sync.stripe.answers import api_version

PORT = 8000  # the port of `make run`, which the README's commands use
TOKEN = "the-token-of-make-dev"  # noqa: S105 – no secret: it is in the README
RECONCILE_EVERY = 5.0  # seconds between two runs of reconcile; in production, 5 minutes
DELIVER_EVERY = 1.0  # seconds between two runs of the hooks
CHECK_EVERY = 0.5  # seconds between two checks that every process still runs


def stack_to_stay(mongodb: str | None, port: int) -> Stack:
    """Return a stack with a known address and token, and with the hooks of `HOOKS` or those of the demo."""
    own = {
        "API_TOKENS": f"dev:read+write+operate:{TOKEN}",
        "HOOKS": os.environ.get("HOOKS") or "stripe_mongo_sync.demo.hooks",
    }
    return Stack(
        mongodb=mongodb,
        environment=own,
        reconcile_every=RECONCILE_EVERY,
        hooks_every=DELIVER_EVERY,
        port=port,
        token=TOKEN,
    )


def stay(stack: Stack, screen: Screen) -> NoReturn:
    """Print commands to try, then what the hooks log, until a signal comes. Raise Ended if a process dies."""
    _subscribe(stack)
    screen.title("Try, from another terminal, or in the browser: " + stack.url)
    for line in _calls(stack):
        print(line)
    screen.title("The same stack for the commands, by these lines")
    dotenv = stack.directory / ".env"
    dotenv.touch(0o600)
    dotenv.write_text("".join(f"{name}={shlex.quote(value)}\n" for name, value in stack.settings.items()))
    print(dotenv.read_text(), end="")
    screen.title("They are in a file, too, which goes with the stack")
    print(f"set -a; . {shlex.quote(str(dotenv))}; set +a")
    print(shlex.quote(str(Path(sys.executable).with_name(SCRIPT))), "status")
    print("\nCtrl-C stops everything. What the hooks say:", flush=True)
    with stack.process("hooks").log.open(errors="replace") as log:
        while True:
            stack.check()
            for line in log:
                screen.note(line.rstrip("\n"))
            time.sleep(CHECK_EVERY)


def _subscribe(stack: Stack) -> None:
    """Let the endpoint send what `endpoint create` would choose, so that `doctor` finds nothing to do."""
    chosen = {"api_version": api_version(), "enabled_events": list(covered_events())}
    stack.stripe.endpoint(f"{stack.url}/webhooks/stripe", stack.webhook_secret, **chosen)


def _calls(stack: Stack) -> tuple[str, ...]:
    token, json = f"-H 'Authorization: Bearer {stack.service.token}'", "-H 'Content-Type: application/json'"
    zoe = '{"kind": "customer", "params": {"email": "zoe@here.com"}}'
    return (
        f"""curl -s {token} {json} -d '{{"username": "you@here.com"}}' {stack.url}/customers""",
        f"""curl -s {json} -d '{zoe}' {stack.stripe_url}/_emulator/dashboard/create""",
        f"curl -s {token} {stack.url}/customers",
    )
