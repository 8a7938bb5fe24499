"""What is printed: lines of what can be shown and nothing else, in any encoding, whether or not somebody still reads.

A name, an id or the message of another may hold commands to a terminal, line ends, or letters that nobody sees. They
are spelled out, as in the log. JSON needs none of that: it is ASCII, and escapes the rest, so that it reads back the
same.
"""

import io
import json
import os
import re
import sys
from typing import Any, TextIO

from stripe_mongo_sync.sync.logs import one_line

FAILED: dict[TextIO, str] = {}  # why what was last said on a stream could not be written
PLAIN = re.compile(r"[\w.:/@+=%&?#*~\[\]…-]+")  # a word that needs no quotes to be told from its neighbours


def tell(*lines: str, error: bool = False) -> bool:
    """Print these, each as one line; return whether anybody reads them. `error` is for what is no result."""
    return draw("".join(f"{one_line(line)}\n" for line in lines), sys.stderr if error else sys.stdout)


def quoted(text: object) -> str:
    """Return a text of others in quotes, so that it ends where it ends: nothing in it is a column of ours."""
    inner = str(text).replace("\\", r"\\").replace('"', r"\"")
    return f'"{one_line(inner)}"'


def word(text: object) -> str:
    """Return an id, a name or an address of others as it is where it can be mistaken for nothing else, else quoted."""
    return str(text) if PLAIN.fullmatch(str(text)) and one_line(str(text)) == text else quoted(text)


def in_json(data: Any) -> str:
    """Return what `--json` prints, and the operator's door answers."""
    return json.dumps(data, default=str)


def draw(text: str, stream: TextIO) -> bool:
    """Write what was made here to a stream; return False where nobody reads it any more, or it cannot be written.

    That ends no work: what is done is done, and `closed` says why the last could not be written.
    """
    FAILED.pop(stream, None)
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        _let_go(stream)
        return False
    except OSError as error:
        FAILED[stream] = error.strerror or type(error).__name__
        return False
    return True


def opened() -> None:
    """Prepare both streams: what an encoding lacks is spelled out, and what was closed at the start takes anything."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 – as long as the process lives
            setattr(sys, name, nowhere)
            setattr(sys, f"__{name}__", nowhere)
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def closed() -> str | None:
    """Write the rest of both streams, and return why the last was not written; None where it was, or nobody reads.

    Python would try once more at its end, and then exit with 120.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            _let_go(stream)
        except OSError as error:
            FAILED[stream] = error.strerror or type(error).__name__
            _let_go(stream)
    failed = [FAILED.pop(stream) for stream in (*FAILED,)]
    return failed[0] if failed else None


def _let_go(stream: TextIO) -> None:
    """Let what is written from now on, and what is still in the buffer, go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, stream.fileno())
    finally:
        os.close(nowhere)
