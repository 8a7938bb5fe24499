"""`python -OO` takes docstrings and assertions away: everything is said and decided as without it."""

import json
import os
import subprocess
import sys
from typing import Any

from stripe_mongo_sync import sync
from tests.support import ROOT
from tests.support.world import World

SCRIPT = """
import contextlib, io, json, sys
from stripe_mongo_sync.sync.__main__ import main
from tests.integration.sync.commands.test_optimised import lived
from tests.support.world import World

with contextlib.redirect_stdout(io.StringIO()) as printed:
    told = lived(World(sys.argv[1]))
    for line in ("--help", "operations --help", "types"):
        with contextlib.suppress(SystemExit):
            main(line.split())
print(json.dumps({**told, "printed": printed.getvalue(), "optimised": not __debug__ and main.__doc__ is None}))
"""


def lived(world: World) -> dict[str, Any]:
    """A customer, its webhook, and what is said when something is wrong; nothing of it differs from run to run."""
    customer = sync.create_customer("ada@here.com")
    delivered = world.deliver()
    said = {}
    try:
        sync.create_customer("ada@here.com")
    except sync.AlreadyExists as error:
        said["taken"] = str(error)
    for name, answer in {
        "nobody": world.http.get("/customers/nobody"),
        "malformed": world.http.post("/customers", data=b"[", content_type="application/json"),
        "forged": world.http.post("/webhooks/stripe", data=b"{}"),
        "unauthorized": world.app.test_client().get("/customers"),
    }.items():
        said[name] = answer.json["detail"] if answer.json else None
    report = world.reconcile()
    return {
        "status": customer.fetch_latest().status,
        "delivered": delivered,
        "said": said,
        "report": str(report).partition("; not available")[0],  # which lists are asked, the collections decide
        "openapi": world.http.get("/openapi.json").json,
    }


def test_nothing_is_said_or_decided_otherwise_without_docstrings_and_assertions(
    world: World, new_database: str
) -> None:
    usual = lived(world)

    ended = subprocess.run(
        [sys.executable, "-OO", "-c", SCRIPT, new_database],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
    )

    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout.splitlines()[-1])
    assert told.pop("optimised")
    printed = told.pop("printed")
    assert told == usual
    assert "read the object at Stripe again" in printed
    assert "Keep Stripe and MongoDB as one." in printed
    assert None not in usual["said"].values()
