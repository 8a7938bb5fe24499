"""`make dev`: the stack of the demo, left running on a known port, and what to type at it."""

import os
import shlex
import sys
import time
from typing import NoReturn

from stripe_mongo_sync.demo.screen import Screen
from stripe_mongo_sync.demo.stack import ROOT, Stack

PORT = 8000  # what `make run` takes, and all that the README shows
TOKEN = "the-token-of-make-dev"  # noqa: S105 – as known as the README, and as good as this machine's walls
EVERY = 5.0  # seconds between two runs of reconcile, in production 5 minutes
TOLD = 1.0  # seconds between two looks for hooks that are due
WATCH = 0.5  # seconds between two looks at whether everything still runs


def stack_to_stay(mongodb: str | None, port: int) -> Stack:
    """Return a stack whose address, token and hooks its owner knows, or has chosen."""
    own = {
        "API_TOKENS": f"dev:read+write+operate:{TOKEN}",
        "HOOKS": os.environ.get("HOOKS") or "stripe_mongo_sync.demo.hooks",
    }
    return Stack(mongodb=mongodb, environment=own, reconcile_every=EVERY, hooks_every=TOLD, port=port, token=TOKEN)


def stay(stack: Stack, screen: Screen) -> NoReturn:
    """Say what to type, then repeat what the hooks say, until a signal comes; raise Ended when a process dies."""
    screen.title("Try, from another terminal, or in the browser: " + stack.url)
    for line in _calls(stack):
        print(line)
    screen.title("The same stack for the commands, by these lines")
    dotenv = stack.directory / ".env"
    dotenv.touch(0o600)
    dotenv.write_text("".join(f"{name}={shlex.quote(value)}\n" for name, value in stack.settings.items()))
    print(dotenv.read_text(), end="")
    screen.title(f"They are in a file, too, which goes with the stack; in {ROOT}")
    print(f"set -a; . {shlex.quote(str(dotenv))}; set +a")
    print(f"{shlex.quote(sys.executable)} -m sync status")
    print("\nCtrl-C stops everything. What the hooks say:", flush=True)
    with stack.process("hooks").log.open(errors="replace") as told:
        while True:
            stack.check()
            for line in told:
                screen.note(line.rstrip("\n"))
            time.sleep(WATCH)


def _calls(stack: Stack) -> tuple[str, ...]:
    token, json = f"-H 'Authorization: Bearer {stack.service.token}'", "-H 'Content-Type: application/json'"
    zoe = '{"kind": "customer", "params": {"email": "zoe@here.com"}}'
    return (
        f"""curl -s {token} {json} -d '{{"username": "you@here.com"}}' {stack.url}/customers""",
        f"""curl -s {json} -d '{zoe}' {stack.stripe_url}/_emulator/dashboard/create""",
        f"curl -s {token} {stack.url}/customers",
    )
