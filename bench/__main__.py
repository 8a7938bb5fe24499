"""`python -m bench [webhooks | create | reconcile | backfill | backlog] [--quick]`: measures, and prints tables."""

import argparse
from collections.abc import Callable, Iterator, Sequence

from stripe_mongo_sync.bench import backfill, backlog, create, reconcile, webhooks

BENCHMARKS: dict[str, Callable[..., Iterator[str]]] = {
    "webhooks": webhooks.run,
    "create": create.run,
    "reconcile": reconcile.run,
    "backfill": backfill.run,
    "backlog": backlog.run,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the named benchmarks, or all; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measure the service, and compare it with one durable write."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(BENCHMARKS)}; the default is all")
    parser.add_argument("--quick", action="store_true", help="few and small rounds, only to check that it works")
    parser.add_argument(
        "--documents", type=int, metavar="N", help="the number of active documents when reconcile is measured"
    )
    given = parser.parse_args(arguments)
    if unknown := set(given.names) - BENCHMARKS.keys():
        parser.error(f"there is no benchmark called {', '.join(sorted(unknown))}")
    for name in given.names or BENCHMARKS:
        options = {"documents": given.documents} if name == "reconcile" and given.documents else {}
        for printed in BENCHMARKS[name](quick=given.quick, **options):
            print(printed, end="\n\n", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
