"""The command line: `python -m sync COMMAND`. The commands are in `sync/commands/`."""

import sys

from pymongo.errors import PyMongoError

from sync.commands import parser
from sync.commands.line import CANNOT_LOOK, NEEDS_OPERATOR
from sync.connection import connect
from sync.errors import BadSettings, NotFound, NotPossible, SyncError
from sync.logs import log_to_stderr


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    given = parser().parse_args(arguments)
    log_to_stderr()
    try:
        if given.connects:
            connect()
        code: int = given.run(given)
    except BadSettings as error:
        print("cannot start:", *error.problems, sep="\n  ", file=sys.stderr)
        return CANNOT_LOOK
    except PyMongoError as error:
        print(f"MongoDB does not answer: {type(error).__name__}", file=sys.stderr)
        return CANNOT_LOOK
    except SyncError as error:
        print(error, file=sys.stderr)
        return NEEDS_OPERATOR if isinstance(error, NotFound | NotPossible) else CANNOT_LOOK
    return code


if __name__ == "__main__":
    sys.exit(main())
