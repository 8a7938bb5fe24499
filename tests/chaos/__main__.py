"""`python -m tests.chaos`: kill or freeze the primary of three members under load, and print what the clients saw."""

import argparse
import sys
import tempfile
from pathlib import Path

from stripe_mongo_sync.demo.stack import Stack
from tests.chaos.book import outages, settle, storm
from tests.chaos.failover import frozen_primary, killed_primary
from tests.chaos.replica_set import ReplicaSet

TROUBLES = {"kill": killed_primary, "freeze": frozen_primary}


def main() -> int:
    """Run, and print the figures; an AssertionError says what did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("trouble", nargs="?", choices=TROUBLES, default="kill")
    parser.add_argument("--times", type=int, default=4)
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as state,
        ReplicaSet() as members,
        Stack(mongodb=members.uri("chaos"), state=Path(state, "stripe"), reconcile_every=2) as stack,
    ):
        with storm(stack, clients=given.clients, seed=given.seed) as load:
            for _ in range(given.times):
                with TROUBLES[given.trouble](members):
                    load.goes_on(60)
                load.goes_on(60)
        stack.stop("reconcile")  # else it may be between the two writes of a refresh while the books are compared
        figures = settle(stack, load)
        stopped = ", ".join(f"{seconds:.1f} s" for seconds in outages(load)) or "none"
        print(f"{given.trouble} the primary × {given.times}: {figures}\noutages longer than 1 s: {stopped}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
