"""`python -m demo` runs the story and checks each step; `python -m demo --stay` keeps the stack running for you."""

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
from stripe_mongo_sync.demo.stack import Silent, Stack, Taken
from stripe_mongo_sync.demo.stay import PORT, stack_to_stay, stay
from stripe_mongo_sync.demo.story import CHAPTERS, Chapter, run_story

INTERRUPTED = 130  # the shell's exit code for a program that Ctrl-C ended
ENDS = (signal.SIGINT, signal.SIGTERM)


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; return 0 if every check of the story holds."""
    parser = argparse.ArgumentParser(prog="python -m demo", description="Stripe and MongoDB kept as one, offline.")
    parser.add_argument("--stay", action="store_true", help="start the stack, and keep it running until Ctrl-C")
    parser.add_argument(
        "--port", type=int, metavar="N", help=f"the service's port ({PORT} with --stay, else a free one)"
    )
    given = parser.parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8")  # so that ✔ and ✘ can be printed in any locale
    for number in ENDS:
        signal.signal(number, _interrupt)
    mongodb = os.environ.get("MONGODB_URI")
    try:
        print("starting MongoDB, an emulated Stripe and the service …", flush=True)
        with (
            stack_to_stay(mongodb, given.port or PORT)
            if given.stay
            else Stack(mongodb=mongodb, port=given.port) as stack
        ):
            return _left(stack) if given.stay else story(stack)
    except (NoMongod, Silent, Taken, Ended) as error:
        print(f"✘ {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 0 if given.stay else INTERRUPTED


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt once, and ignore further signals, so that nothing interrupts the cleanup."""
    for each in ENDS:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


def _left(stack: Stack) -> NoReturn:
    screen = Screen()
    screen.table(_addresses(stack))
    stay(stack, screen)


def story(stack: Stack, chapters: tuple[Chapter, ...] = CHAPTERS) -> int:
    """Run the story on a running stack; return 0 if every check of it holds."""
    screen = Screen()
    screen.table(_addresses(stack))
    if run_story(Shop(stack), screen, chapters):
        return 0
    print(f"\nthe end of the service's log:\n{stack.process('gunicorn').last_words()}", file=sys.stderr)
    return 1


def _addresses(stack: Stack) -> dict[str, str]:
    """Return the addresses of the stack; with the process ids, you can kill a process yourself."""
    emulator, gunicorn = stack.process("emulator"), stack.process("gunicorn")
    return {
        "service": f"{stack.url}  (gunicorn, pid {gunicorn.pid})",
        "Stripe": f"{stack.stripe_url}  (the emulator, pid {emulator.pid})",
        "MongoDB": stack.mongodb_uri + (f"  (pid {stack.mongod.pid})" if stack.mongod else ""),
        "logs": str(stack.directory),
    }


if __name__ == "__main__":
    sys.exit(main())
