"""`python -m bench [NAME …] [--quick]` measures what it is asked for, or everything, and prints tables."""

import argparse
from collections.abc import Callable, Iterator, Sequence

from stripe_mongo_sync.bench import backfill, backlog, create, lists, operator_page, peers, reconcile, scaling, webhooks

BENCHMARKS: dict[str, Callable[..., Iterator[str]]] = {
    "webhooks": webhooks.run,
    "peers": peers.run,
    "create": create.run,
    "reconcile": reconcile.run,
    "lists": lists.run,
    "ops": operator_page.run,
    "backfill": backfill.run,
    "backlog": backlog.run,
    "scaling": scaling.run,
}
LOAD = ("rounds", "events", "connections")
OPTIONS = {
    "webhooks": LOAD,
    "peers": LOAD,
    "reconcile": ("documents",),
    "lists": ("documents",),
    "ops": ("documents",),
    "backfill": ("documents",),
    "scaling": ("documents",),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the named benchmarks, or all; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measure the service, and compare it with one durable write."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(BENCHMARKS)}; the default is all")
    parser.add_argument("--quick", action="store_true", help="few and small rounds, only to check that it works")
    parser.add_argument(
        "--documents",
        type=int,
        metavar="N",
        help="the number of documents when reconcile, lists, the operator's page, backfill or scaling are measured",
    )
    load = parser.add_argument_group("the load of webhooks and peers")
    load.add_argument("--rounds", type=int, metavar="N", help="rounds whose median is printed")
    load.add_argument("--events", type=int, metavar="N", help="events of a round")
    load.add_argument("--connections", type=int, nargs="+", metavar="N", help="numbers of connections, each measured")
    given = parser.parse_args(arguments)
    if unknown := set(given.names) - BENCHMARKS.keys():
        parser.error(f"there is no benchmark called {', '.join(sorted(unknown))}")
    for name in given.names or BENCHMARKS:
        options = {option: value for option in OPTIONS.get(name, ()) if (value := getattr(given, option))}
        for printed in BENCHMARKS[name](quick=given.quick, **options):
            print(printed, end="\n\n", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
