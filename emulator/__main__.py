"""`python -m stripe_mongo_sync.emulator`: the emulator as a process, with webhooks delivered over HTTP."""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import sys
import threading
from collections.abc import Sequence
from io import TextIOWrapper

from stripe_mongo_sync.emulator.fronts.in_process import Emulator
from stripe_mongo_sync.emulator.fronts.server import Server
from stripe_mongo_sync.emulator.fronts.webhook_sender import WebhookSender
from stripe_mongo_sync.emulator.protocol.values import VERSIONS
from stripe_mongo_sync.emulator.protocol.wire import API_VERSION
from stripe_mongo_sync.emulator.state.webhooks import FAST


def main(argv: Sequence[str] | None = None) -> int:
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # the help text has characters that not every encoding has
    args = _arguments(argv)
    # Without a seed, ids differ each time: a restart without a state file must not reuse ids.
    emulator = Emulator(
        secrets.randbits(64) if args.seed is None else args.seed,
        args.state,
        account=args.account,
        api_version=args.api_version,
    )
    emulator.limit(args.rate)
    if args.fast_retries:
        emulator.webhooks.schedule = FAST
    if args.webhook_url:
        emulator.endpoint(args.webhook_url, args.webhook_secret, args.webhook_api_version)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    token = args.control_token or os.environ.get("EMULATOR_CONTROL_TOKEN")
    with Server(emulator, args.port, args.host, token) as server, WebhookSender(emulator):
        print(f"emulator ready at {server.url}", flush=True)
        if server.token and not token:
            print(f"control token: {server.token}", flush=True)
        stop.wait()
    emulator.close()
    return 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {__package__}", description="A small stateful Stripe, offline.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument(
        "--control-token",
        metavar="TOKEN",
        help="the token that /_emulator/ requires, also as EMULATOR_CONTROL_TOKEN. "
        "Beyond this machine the default is a random one, which is printed",
    )
    parser.add_argument("--port", type=int, default=12111, help="0 takes a free port, which the ready line names")
    parser.add_argument("--state", metavar="FILE", help="save the state in this file, so that it survives a restart")
    parser.add_argument("--seed", type=int, help="make the same ids for the same seed")
    parser.add_argument("--account", default="acct_1EmulatedStripe01")
    parser.add_argument(
        "--api-version",
        default=API_VERSION,
        choices=sorted(VERSIONS),
        metavar="VERSION",
        help="the API version of the account",
    )
    parser.add_argument("--webhook-url", metavar="URL", help="deliver every event of test mode to this address")
    parser.add_argument(
        "--webhook-secret", metavar="whsec_…", help="sign with this secret; the default is a random one"
    )
    parser.add_argument("--webhook-api-version", metavar="VERSION")
    parser.add_argument(
        "--rate", type=int, metavar="N", help="answer 429 beyond N requests a second; a sandbox takes 25"
    )
    parser.add_argument("--fast-retries", action="store_true", help="retry webhooks within seconds, not hours")
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())
