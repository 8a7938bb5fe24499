"""`stripe-mongo-sync serve`: start gunicorn as this service needs it: with its own worker, time limits and checks."""

import os
import runpy
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

import click

from stripe_mongo_sync.sync.commands.cli import CANNOT_CHECK, HELP, Given, command
from stripe_mongo_sync.sync.process.screen import show, tell

CONFIGURATION = Path(__file__).parents[2] / "gunicorn.conf.py"
COUNT = "WEB_CONCURRENCY"


@command(
    "serve",
    "serve the API and the webhooks with gunicorn",
    connects=False,
    reads=True,
    json=False,
    context_settings={"ignore_unknown_options": True, HELP: ["--help"]},  # `-bhost` is gunicorn's
    options_metavar="",
    epilog="Further arguments are passed to gunicorn, and override its configuration.",
    examples=("serve", "serve --bind 0.0.0.0:8000"),
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[ARGUMENTS OF GUNICORN]...")
def main(given: Given) -> int:
    """Become gunicorn; return 2 when it is not installed."""
    if "-h" in given.arguments:
        show(f"{given.context.get_help()}\n")
        return 0
    if find_spec("gunicorn"):
        _become_gunicorn(list(given.arguments))
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
