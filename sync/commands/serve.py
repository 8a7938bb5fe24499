"""`stripe-mongo-sync serve`: start gunicorn as this service needs it: with its own worker, time limits and checks."""

import argparse
import os
import runpy
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from stripe_mongo_sync.sync.commands.cli import CANNOT_CHECK, Commands
from stripe_mongo_sync.sync.process.screen import tell

CONFIGURATION = Path(__file__).parents[2] / "gunicorn.conf.py"
COUNT = "WEB_CONCURRENCY"


def add(commands: Commands) -> None:
    """Describe the command line. Unknown arguments are passed to gunicorn."""
    told = "serve the API and the webhooks with gunicorn"
    more = "Further arguments are passed to gunicorn and override its configuration: serve --bind 0.0.0.0:8000"
    serve = commands.add_parser("serve", help=told, description=f"{told}.", epilog=more, allow_abbrev=False)
    serve.set_defaults(run=run, connects=False, reads=True, takes_more=True)


def run(given: argparse.Namespace) -> int:
    """Become gunicorn; return 2 when it is not installed."""
    if find_spec("gunicorn"):
        _become_gunicorn(given.more)
    tell('serve needs gunicorn: pip install "stripe-mongo-sync[server]"', error=True)
    return CANNOT_CHECK


def _become_gunicorn(arguments: list[str]) -> NoReturn:
    """Replace this process with gunicorn. Its process id stays, so whoever started this process can stop it."""
    # gunicorn itself reads this as a number when it is imported, before any configuration can say what is wrong.
    runpy.run_path(str(CONFIGURATION))  # exits with a message when the environment has no valid number
    if not os.environ.get(COUNT, "").strip():
        os.environ.pop(COUNT, None)
    command = [sys.executable, "-m", "gunicorn", "--config", str(CONFIGURATION), *arguments]
    os.execv(sys.executable, command)  # noqa: S606 – without a shell on purpose
