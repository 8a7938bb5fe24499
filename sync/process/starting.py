"""Finds how this process was started, and lets a signal end the command line while it starts."""

import os
import sys
from contextvars import ContextVar

from stripe_mongo_sync.signals import asked_for, end_while_starting

SCRIPT = "stripe-mongo-sync"  # as it is installed: from anywhere
MODULES = ("sync", "stripe_mongo_sync.sync", "stripe_mongo_sync")  # the first in a checkout


def started_as(arguments: list[str], whole: list[str]) -> str | None:
    """Return the command that started this process; None for an application, which has signals of its own."""
    if arguments and os.path.basename(arguments[0]) == "__main__.py":  # the root of the package imports this no earlier
        arguments = ["-m", *arguments[1:]]
    if name := asked_for(MODULES, arguments, whole):
        return f"python -m {name}"
    return SCRIPT if arguments and os.path.basename(arguments[0]) == SCRIPT else None


def program() -> str:
    """Return which program this process is, as an operator knows it: `gunicorn`, `stripe-mongo-sync reconcile`."""
    if STARTED_AS:
        return " ".join([SCRIPT, *sys.argv[1:2]])
    folder, name = os.path.split(sys.argv[0] if sys.argv else "")
    return (os.path.basename(folder) if name == "__main__.py" else name) or "python"


STARTED_AS = started_as(sys.argv, sys.orig_argv)
PROGRAM = STARTED_AS or SCRIPT  # what messages name: the API's, too, which no command line started
ONLY_LOOKS: ContextVar[bool] = ContextVar("only_looks", default=False)  # a command that writes nothing runs
if STARTED_AS:
    end_while_starting(2)  # could not look
