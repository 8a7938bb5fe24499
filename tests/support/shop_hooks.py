"""The hooks of a shop, of which most are broken in the worst ways, until somebody repairs them."""

import os
import threading
from typing import Any

from stripe_mongo_sync import sync
from tests.support.mongo import our_database


def noted(hook: str, notice: sync.Notice) -> bool:
    """Note the call, and say whether the hook is still broken."""
    database: Any = our_database()
    database.calls.insert_one({"hook": hook, "notice": notice.id, "customer": notice.document.username})
    return database.repaired.find_one() is None


@sync.on("customer.active")
def works(notice: sync.Notice) -> None:
    noted("works", notice)


@sync.on("customer.active")
def raises(notice: sync.Notice) -> None:
    if noted("raises", notice):
        raise RuntimeError("broken")


@sync.on("customer.active")
def hangs(notice: sync.Notice) -> None:
    if noted("hangs", notice):
        threading.Event().wait(600)


@sync.on("customer.active")
def swallows(notice: sync.Notice) -> None:
    """Hangs, and does not let itself be interrupted."""
    while noted("swallows", notice):
        try:
            threading.Event().wait(600)
        except BaseException:
            continue


@sync.on("customer.active")
def kills(notice: sync.Notice) -> None:
    if noted("kills", notice):
        os._exit(9)
