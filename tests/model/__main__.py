"""`make simulate`: run histories in memory, one seed after the other, and show what happened and what broke.

A failing one is made short, and printed effect by effect with the command that runs it again.
"""

import argparse
import multiprocessing
import os
import sys
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import count

from tests.model.history import AT_ONCE, Outcome, run, run_many
from tests.model.mutants import MUTANTS, caught


def main() -> int:
    """Read the command line. The exit code is 1 where something promised did not hold, or a mutant lives."""
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument("--operations", type=int, default=10_000_000, help="how many to simulate")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--seed", type=int, help="run the history of this seed only, and tell its whole story")
    parser.add_argument("--steps", help="and of it only these steps: 3,7,9")
    parser.add_argument("--mutants", nargs="*", metavar="WORD", help="plant those with a word in their name, or all")
    given = parser.parse_args()
    if given.mutants is not None:
        return hunt(given.mutants)
    if given.seed is not None:
        outcome = run(given.seed, [int(step) for step in given.steps.split(",")] if given.steps else None, tell=True)
        print(*outcome.trace, outcome.violation or "everything held", sep="\n")
        return 1 if outcome.violation else 0
    return simulate(given)


def simulate(given: argparse.Namespace) -> int:
    """Run histories until there were so many operations, and say what was run and what held."""
    began = time.monotonic()
    total, violations = Outcome(0, []), 0
    histories = 0
    with ProcessPoolExecutor(given.workers, multiprocessing.get_context("spawn")) as pool:
        running: set[Future[tuple[Outcome, list[Outcome]]]] = set()
        for first in count(given.first, AT_ONCE):
            if total.operations >= given.operations:
                break
            running.add(pool.submit(run_many, first))
            ended, running = (
                wait(running, return_when=FIRST_COMPLETED) if len(running) > given.workers else (set(), running)
            )
            for future in ended:
                some, failed = future.result()
                histories += AT_ONCE
                total.operations, total.effects = total.operations + some.operations, total.effects + some.effects
                total.faults += some.faults
                violations += len(failed)
                for outcome in failed:
                    tell(outcome)
                if sys.stdout.isatty():
                    print(f"\r{total.operations:,} operations, {violations} violations", end="", flush=True)
        for future in running:
            future.cancel()
    took = time.monotonic() - began
    print(f"\n{histories:,} histories from seed {given.first}, {took:.0f} s, {given.workers} processes")
    print(
        f"{total.operations:,} operations, interleaved at {total.effects:,} effects; "
        f"{total.operations / took:,.0f} operations each second"
    )
    print(
        f"{total.faults.total():,} faults:", *(f"{n:>10,}  {name}" for name, n in total.faults.most_common()), sep="\n"
    )
    print(f"violations: {violations}")
    return 1 if violations else 0


def tell(outcome: Outcome) -> None:
    """Print a failing history."""
    print(f"\nseed {outcome.seed}: {outcome.violation}\n  {outcome.command}", *outcome.trace, sep="\n  ", flush=True)


def hunt(words: list[str]) -> int:
    """Plant mutants, run histories until one finds each, and say after how many operations that was."""
    alive = 0
    for mutant in MUTANTS:
        if words and not any(word in mutant.name for word in words):
            continue
        found = caught(mutant, mutant.seed)
        alive += found is None
        after = f"{found.operations:,} operations, seed {found.seed}: {found.violation}" if found else "LIVES"
        print(f"{mutant.name}: {after}", flush=True)
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
