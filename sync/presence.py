"""The processes of an installation: each stores with which settings it runs, so that a difference is found.

Whoever connects writes an entry, and a thread of its own renews it every two minutes, so that no request and no webhook
costs more. Who was silent for five minutes has ended. A secret is stored as a digest with the installation as key, and
cannot be read back; it only shows whether two processes have the same one.
"""

import hashlib
import hmac
import os
import secrets
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import pymongo
from pymongo.errors import PyMongoError

from stripe_mongo_sync.models.base.notice import HOOK_PATTERNS
from stripe_mongo_sync.models.state import PROCESSES, State
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.process.fork import in_every_child
from stripe_mongo_sync.sync.process.starting import ONLY_LOOKS, SCRIPT, program
from stripe_mongo_sync.sync.settings import Settings

RENEWED = 120.0  # s between two writes of one process
LIVE = timedelta(minutes=5)  # two may fail, and the third be late
PATIENCE = 5.0  # s that a write may take; without it, only a difference is found later
SECRET = ("STRIPE_WEBHOOK_SECRET", "API_TOKENS")  # of these settings only a digest is stored
LONGEST = 60  # characters of a program's or a host's name


class Presence:
    """What one process stores of itself, from `begin` to `end`, and each child that it forks."""

    def __init__(self, settings: Settings, installation: str) -> None:
        self._settings, self._installation = settings, installation
        self._is_seen = not ONLY_LOOKS.get()
        self._begin_anew()
        in_every_child(self._begin_anew)

    def _begin_anew(self) -> None:
        """Let a forked child begin: it has an entry of its own, and no thread of its parent."""
        self._ended: threading.Event | None = None

    def begin(self) -> None:
        """Write the entry of this process, and renew it from now on, unless that has begun."""
        if self._is_seen and self._ended is None:
            self._ended = threading.Event()
            self.renew()
            threading.Thread(target=self._go_on, args=(self._ended,), name="presence", daemon=True).start()

    def end(self) -> None:
        """Renew the entry no longer."""
        if self._ended is not None:
            self._ended.set()

    def renew(self) -> None:
        """Write the entry. A MongoDB that is away, or a user who may not write, delays and fails nothing else."""
        try:
            with pymongo.timeout(PATIENCE):
                State.renew_entry(PROCESSES, "live", _name(os.getpid()), self._entry(), LIVE)
        except PyMongoError as error:
            log.debug("the settings of this process could not be stored (%s)", type(error).__name__)

    def _go_on(self, ended: threading.Event) -> None:
        while not ended.wait(RENEWED):
            try:
                self.renew()
            except Exception as error:  # the connection is being closed
                log.debug("the settings of this process were not stored (%s)", type(error).__name__)

    def _entry(self) -> dict[str, Any]:
        told = {name: value for name, value in _settings(self._settings, self._installation) if value is not None}
        where = {"program": program()[:LONGEST], "host": socket.gethostname()[:LONGEST], "pid": os.getpid()}
        return {**where, "settings": told}


def _settings(settings: Settings, installation: str) -> Iterator[tuple[str, str | None]]:
    """Yield what must be the same in all processes, by its name in the environment; None if this process has none.

    Hooks are named as they are registered: that decides which notices this process writes, however it loaded them.
    """

    def secret(name: str, values: Any) -> str | None:
        text = "\0".join([name, *sorted(values)])
        return hmac.digest(installation.encode(), text.encode(), hashlib.sha256).hex()[:16] if values else None

    yield "HOOKS", ", ".join(sorted(HOOK_PATTERNS))
    yield "mode", "live mode" if settings.livemode else "test mode"
    yield "STRIPE_WEBHOOK_SECRET", secret("STRIPE_WEBHOOK_SECRET", settings.webhook_secrets)
    tokens = [f"{each.name} {'+'.join(sorted(each.scopes))} {each.digest.hex()}" for each in settings.api_tokens]
    yield "API_TOKENS", secret("API_TOKENS", tokens)
    yield "STRIPE_API_BASE", settings.stripe_api_base or ""
    yield "ADOPT", "yes" if settings.adopt else "no"
    yield "REVALIDATE", ", ".join(sorted(settings.revalidate))
    yield "RETENTION_DAYS", str(settings.retention.days)
    yield "ACCESS_GRACE_DAYS", str(settings.access_grace.days)
    yield "ACCESS_WHILE_PAUSED", "yes" if settings.access_while_paused else "no"
    yield SCRIPT, _installed(SCRIPT)
    yield "stripe-python", _installed("stripe")


@cache
def _name(process: int) -> str:
    """Return the name of this process's entry. It is random, because two containers may have the same host and pid."""
    return f"p{secrets.token_hex(8)}"


@cache
def _installed(package: str) -> str | None:
    """Return the version of a package, which need not be loaded; stripe-python's decides the API version."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
