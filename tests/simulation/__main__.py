"""`make soak SECONDS=600`: run histories of one seed after the other, and show what happened and what broke.

A failing one is made short and printed with the command that runs it again, the same in every switch.
"""

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import count

from tests.simulation.ground import Ground, begin, mongodb, work
from tests.simulation.history import Outcome

HASHES = {"PYTHONHASHSEED": "0"}  # the order of sets of strings is part of a history


def main() -> int:
    """Read the command line. The exit code is 1 where something promised did not hold."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(sys.executable, [sys.executable, "-m", __spec__.name, *sys.argv[1:]], {**os.environ, **HASHES})  # type: ignore[name-defined]
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="for how long to begin new histories")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--histories", type=int, help="how many, at most")
    parser.add_argument("--first-failure", action="store_true", help="stop at the first violation")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--seed", type=int, help="run the history of this seed only")
    parser.add_argument("--steps", help="and of it only these steps: 3,7,9")
    parser.add_argument("--empty", metavar="DATABASE", help="for one history: one to run it in that has its indexes")
    given = parser.parse_args()
    with mongodb() as address:
        if given.seed is not None:
            return one(Ground(address, given.empty), given.seed, given.steps)
        return soak(address, given)


def one(ground: Ground, seed: int, steps: str | None) -> int:
    """Run one history and tell its whole story."""
    outcome = ground.run(seed, [int(step) for step in steps.split(",")] if steps else None)
    print(*outcome.story, *outcome.trace, sep="\n")
    print(outcome.violation or "everything held")
    return 1 if outcome.violation else 0


def soak(address: str, given: argparse.Namespace) -> int:
    """Run histories until the time is over, and say what was run and what held."""
    began = time.monotonic()
    faults: Counter[str] = Counter()
    seeds = operations = switches = violations = 0
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(given.workers, spawn, begin, (address,)) as pool:
        for outcome in outcomes(pool, given, began):
            seeds, operations, switches = seeds + 1, operations + outcome.operations, switches + outcome.switches
            faults += outcome.faults
            if outcome.violation:
                violations += 1
                print(
                    f"\nseed {outcome.seed}: {outcome.violation}\n  {outcome.command}\n  ", *outcome.story, sep="\n  "
                )
                if given.first_failure:
                    break
            if sys.stdout.isatty():
                print(f"\r{seeds:,} histories, {operations:,} operations, {violations} violations", end="", flush=True)
    print(f"\n{seeds:,} histories from seed {given.first}, {time.monotonic() - began:.0f} s, {given.workers} processes")
    print(f"{operations:,} operations, interleaved at {switches:,} effects")
    print(f"{faults.total():,} faults:", *(f"{n:>8,}  {name}" for name, n in faults.most_common()), sep="\n")
    print(f"violations: {violations}")
    return 1 if violations else 0


def outcomes(pool: ProcessPoolExecutor, given: argparse.Namespace, began: float) -> Iterator[Outcome]:
    """Yield what came of one history after the other, as they end."""
    running: set[Future[Outcome]] = set()
    last = None if given.histories is None else given.first + given.histories
    for seed in count(given.first):
        if time.monotonic() - began > given.seconds or seed == last:
            break
        running.add(pool.submit(work, seed))
        if len(running) > 2 * given.workers:
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in ended)
    yield from (future.result() for future in running)


if __name__ == "__main__":
    sys.exit(main())
