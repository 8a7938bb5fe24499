"""The real process, killed twice on its way, copies a whole list; it reads no page twice but those it had in hand."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from stripe_mongo_sync.emulator.fronts.server import Server
from stripe_mongo_sync.models import Customer
from stripe_mongo_sync.models.state import State
from tests.support import ROOT, eventually
from tests.support.in_sync import assert_in_sync
from tests.support.stock import assert_copied, stock
from tests.support.world import KEY, World

CUSTOMERS = 3_000
PAGES = CUSTOMERS // 100


def begin(world: World, server: Server, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "sync", "backfill", "customers", "--rate", "500", "--json"],
        cwd=cwd,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "STRIPE_SECRET_KEY": KEY,
            "STRIPE_API_BASE": server.url,
            "MONGODB_URI": world.database,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def saved() -> int:
    """How many customers a later run will not read again."""
    place = State.read("backfill customer")
    return 0 if place is None else int(place["parts"][0]["counts"]["adopt"])


def test_killed_twice_it_equals_stripes_list(world: World, tmp_path: Path) -> None:
    stock(world, CUSTOMERS)
    with Server(world.stripe) as server:
        for stored in (800, 1_600):
            held = world.stripe.fault("hold", method="GET", path="/v1/customers", skip=10)
            with begin(world, server, tmp_path) as process:
                try:
                    assert held.entered.wait(30)  # it waits for the eleventh page: eight are stored
                    eventually(lambda wanted=stored: saved() == wanted)
                    process.send_signal(signal.SIGKILL)
                    process.wait(30)
                finally:
                    process.kill()
            held.release()
        assert Customer.objects.count() == 1_600
        with begin(world, server, tmp_path) as process:
            out, err = process.communicate(timeout=60)

    assert process.returncode == 0, err
    told = json.loads(out)
    assert (told["resumed"], told["finished"], told["counts"]) == (True, True, {"adopt": CUSTOMERS})
    listed = [request for request in world.stripe.requests if request.path == "/v1/customers"]
    assert len(listed) == PAGES + 2 * 3
    assert "customer 3,000" in err
    assert KEY not in out + err
    assert_copied(world)
    assert_in_sync(world)
