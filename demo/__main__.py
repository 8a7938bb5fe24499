"""`python -m demo` tells the story and says whether it is true; `python -m demo --stay` leaves the stack to you."""

import argparse
import os
import signal
import sys
from io import TextIOWrapper
from types import FrameType
from typing import NoReturn

from stripe_mongo_sync.demo.mongod import NoMongod
from stripe_mongo_sync.demo.process import Ended
from stripe_mongo_sync.demo.screen import Screen
from stripe_mongo_sync.demo.shop import Shop
from stripe_mongo_sync.demo.stack import Stack, Taken
from stripe_mongo_sync.demo.stay import PORT, stack_to_stay, stay
from stripe_mongo_sync.demo.story import CHAPTERS, Chapter, run_story

INTERRUPTED = 130  # what a shell says of a program that Ctrl-C ended
ENDS = (signal.SIGINT, signal.SIGTERM)


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; return 0 when all is as promised."""
    parser = argparse.ArgumentParser(prog="python -m demo", description="Stripe and MongoDB kept as one, offline.")
    parser.add_argument("--stay", action="store_true", help="start everything, and leave it running until Ctrl-C")
    parser.add_argument("--port", type=int, metavar="N", help=f"of the service, with --stay ({PORT}); else a free one")
    given = parser.parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8")  # ✔ and ✘ are the point, also where the locale knows neither
    for number in ENDS:
        signal.signal(number, _interrupt)
    mongodb = os.environ.get("MONGODB_URI")
    try:
        print("starting a MongoDB, a small Stripe and the service …", flush=True)
        with (
            stack_to_stay(mongodb, given.port or PORT)
            if given.stay
            else Stack(mongodb=mongodb, port=given.port) as stack
        ):
            return _left(stack) if given.stay else story(stack)
    except (NoMongod, Taken, Ended) as error:
        print(f"✘ {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 0 if given.stay else INTERRUPTED


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Let whatever runs come to its end, once: what follows is tidying up, and must not be cut short."""
    for each in ENDS:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


def _left(stack: Stack) -> NoReturn:
    screen = Screen()
    screen.table(_addresses(stack))
    stay(stack, screen)


def story(stack: Stack, chapters: tuple[Chapter, ...] = CHAPTERS) -> int:
    """Tell the story on a running stack; return 0 when all of it is true."""
    screen = Screen()
    screen.table(_addresses(stack))
    if run_story(Shop(stack), screen, chapters):
        return 0
    print(f"\nthe service last said:\n{stack.process('gunicorn').last_words()}", file=sys.stderr)
    return 1


def _addresses(stack: Stack) -> dict[str, str]:
    """Return where everything is; the process ids are for those who want to kill something."""
    emulator, gunicorn = stack.process("emulator"), stack.process("gunicorn")
    return {
        "service": f"{stack.url}  (gunicorn, pid {gunicorn.pid})",
        "Stripe": f"{stack.stripe_url}  (the emulator, pid {emulator.pid})",
        "MongoDB": stack.mongodb_uri + (f"  (pid {stack.mongod.pid})" if stack.mongod else ""),
        "logs": str(stack.directory),
    }


if __name__ == "__main__":
    sys.exit(main())
