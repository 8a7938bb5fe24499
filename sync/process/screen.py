"""Terminal output: prints visible characters only, in any encoding, and survives a reader that has closed the pipe.

A name, an id or a foreign message may contain terminal commands, line ends or invisible letters. They are escaped, as
in the log. JSON needs none of that: it is ASCII with escapes, so that it can be read back unchanged.
"""

import io
import json
import os
import re
import sys
from typing import Any, TextIO

from stripe_mongo_sync.sync.logs import log, log_to_stderr, one_line
from stripe_mongo_sync.sync.process.environment import logs_as_json

FAILED: dict[TextIO, str] = {}  # why the last write to a stream failed
PLAIN = re.compile(r"[\w.:/@+=%&?#*~\[\]…-]+")  # a word that needs no quotes


def tell(*lines: str, error: bool = False) -> bool:
    """Print each as one line, to stderr with `error`; return whether they were written."""
    return draw("".join(f"{one_line(line)}\n" for line in lines), sys.stderr if error else sys.stdout)


def cannot_start(*why: str) -> None:
    """Say why the service cannot start: to stderr, in the form of its log."""
    if logs_as_json():
        log_to_stderr(as_json=True)
        log.critical("cannot start: %s", "; ".join(why))
    else:
        tell("cannot start:", *(f"  {each}" for each in why), error=True)


def quoted(text: object) -> str:
    """Return a foreign text in quotes, so that no part of it can be mistaken for a column of ours."""
    inner = str(text).replace("\\", r"\\").replace('"', r"\"")
    return f'"{one_line(inner)}"'


def word(text: object) -> str:
    """Return a foreign id, name or address: unchanged if it is one plain word, else in quotes."""
    return str(text) if PLAIN.fullmatch(str(text)) and one_line(str(text)) == text else quoted(text)


def in_json(data: Any) -> str:
    """Return the JSON that `--json` prints and the operator's API answers."""
    return json.dumps(data, default=str)


def draw(text: str, stream: TextIO) -> bool:
    """Write a text to a stream; return False if its reader has closed it or it cannot be written.

    A failed write ends no work; `closed` returns its reason.
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
    """Prepare both streams: escape characters that the encoding lacks, and replace a closed stream by /dev/null."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 – as long as the process lives
            setattr(sys, name, nowhere)
            setattr(sys, f"__{name}__", nowhere)
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def closed() -> str | None:
    """Flush both streams, and return why the last write failed; None if it succeeded or the reader has closed.

    Otherwise Python would try again when it exits, and then exit with 120.
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
    """Send the buffer and all further output of a stream to /dev/null."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, stream.fileno())
    finally:
        os.close(nowhere)
