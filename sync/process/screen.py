"""Terminal output: prints visible characters only, in any encoding, and survives a reader that has closed the pipe.

A name, an id or a foreign message may contain terminal commands, line ends or invisible letters. They are escaped, as
in the log. JSON needs none of that: it is ASCII with escapes, so that it can be read back unchanged.

A person reads a terminal: there a line is broken between words, our marks have a colour, and headings are bold. A
program reads everything else, and gets one line for each.
"""

import codecs
import io
import os
import re
import sys
from datetime import UTC, datetime, timedelta
from typing import Any, TextIO

from stripe_mongo_sync.sync.visible import one_line

FAILED: dict[TextIO, str] = {}  # why the last write to a stream failed
PLAIN = re.compile(r"[\w.:/@+=%&?#*~\[\]…-]+")  # a word that needs no quotes
BOLD, RED, GREEN, YELLOW, CYAN, RESET = (f"\x1b[{code}m" for code in (1, 31, 32, 33, 36, 0))
STYLE = re.compile(r"\x1b\[\d+m")
MARKED = {"✔ ": GREEN, "! ": YELLOW, "✘ ": RED, "? ": YELLOW}  # how a finding begins
# Our signs where the encoding lacks them. No quotation mark is among them: it could end a quotation of ours.
SPELLED = {"…": "...", "✔": "ok", "✘": "x", "→": "->", "–": "-", "·": "|"}
WIDTH = 80  # columns where nobody says how many there are
UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


class Heading(str):
    """A line that is bold on a terminal."""


def tell(*lines: str, error: bool = False) -> bool:
    """Print each as one line, to stderr with `error`; return whether they were written.

    A terminal gets a line that is too long as several, broken between words.
    """
    stream = sys.stderr if error else sys.stdout
    if (width := columns(stream)) is None:
        return put(*lines, error=error)
    shown = [each for line in lines for each in _laid_out(line, width, stream)]
    return show("".join(f"{line}\n" for line in shown), error=error)


def put(*lines: str, error: bool = False) -> bool:
    """Print each as exactly one line, for a program: JSON, CSV, a script."""
    return draw("".join(f"{one_line(line)}\n" for line in lines), sys.stderr if error else sys.stdout)


def show(text: str, *, error: bool = False) -> bool:
    """Print a text of ours that is laid out already; its styles only where they are wanted."""
    stream = sys.stderr if error else sys.stdout
    return draw(text if coloured(stream) else STYLE.sub("", text), stream)


def columns(stream: TextIO) -> int | None:
    """Return how wide a terminal is; None for what is no terminal."""
    if not stream.isatty():
        return None
    try:
        return int(os.environ.get("COLUMNS", "")) or WIDTH
    except ValueError:
        pass
    try:
        return os.get_terminal_size(stream.fileno()).columns or WIDTH
    except OSError:
        return WIDTH


def coloured(stream: TextIO) -> bool:
    """Whether a stream is a terminal that has colours, and nobody set NO_COLOR."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def spelled(text: str, stream: TextIO) -> str:
    """Return a text in the letters that a stream has, and nothing invisible."""
    encoding = stream.encoding or "utf-8"
    return one_line(text).encode(encoding, SPELLING).decode(encoding)


def breadth(text: str) -> int:
    """Return how many columns a text takes: some letters take two, and accents none."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(each) else 1 + (east_asian_width(each) in "WF") for each in text)


def wrapped(text: str, width: int, indent: str = "", *, whole: bool = True) -> list[str]:
    """Return a text as lines of at most this width, all but the first indented. With `whole`, no word is broken."""
    lines: list[str] = []
    line = text[: len(text) - len(text.lstrip())]
    indent = line + indent
    for each in text.split():
        if line.strip() and breadth(line) + 1 + breadth(each) > width:
            lines.append(line)
            line = indent
        while not whole and not line.strip() and breadth(line) + breadth(each) > width:
            fitting = _fitting(each, width - breadth(line))
            lines.append(line + each[:fitting])
            line, each = indent, each[fitting:]
        line += f" {each}" if line.strip() else each
    return [*lines, line] if line.strip() or not lines else lines


def _fitting(text: str, room: int) -> int:
    """Return how many letters of a text fit into so many columns; at least one."""
    taken = 0
    for at, each in enumerate(text):
        taken += breadth(each)
        if taken > room:
            return max(1, at)
    return len(text)


def _laid_out(line: str, width: int, stream: TextIO) -> list[str]:
    """Return the lines that a terminal gets for one of ours."""
    text = spelled(line, stream)
    first, *more = wrapped(text, width, "  ") if breadth(text) > width else [text]
    if isinstance(line, Heading):
        first = f"{BOLD}{first}{RESET}"
    elif line[:2] in MARKED:
        mark, blank, rest = first.partition(" ")
        first = f"{MARKED[line[:2]]}{mark}{RESET}{blank}{rest}"
    return [first, *more]


def when(moment: datetime) -> str:
    """Return a time as a person and a program read it: 2026-11-23T18:00:05Z."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def precisely(moment: datetime) -> str:
    """Return a time as JSON has it: 2026-11-23T18:00:05.120Z, as exactly as MongoDB stores it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def spoken(value: Any) -> str:
    """Return a value as a text: of times and durations, in the form of `when` and `lasting`."""
    if isinstance(value, datetime):
        return when(value)
    return lasting(value) if isinstance(value, timedelta) else str(value)


def lasting(age: timedelta | float) -> str:
    """Return a duration as a person and a program read it, in its two largest units: 1 h 5 min."""
    left = int(age.total_seconds() if isinstance(age, timedelta) else age)
    parts: list[str] = []
    for unit, size in UNITS:
        if left >= size and len(parts) < 2:
            parts.append(f"{left // size} {unit}")
        left %= size
    return " ".join(parts) or "0 s"


def cannot_start(*why: str) -> None:
    """Say why the service cannot start: to stderr, in the form of its log."""
    from stripe_mongo_sync.sync.logs import log, log_to_stderr
    from stripe_mongo_sync.sync.process.environment import logs_as_json

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
    return str(text) if PLAIN.fullmatch(str(text)) and one_line(str(text)) == str(text) else quoted(text)


def in_json(data: Any) -> str:
    """Return the JSON that `--json` prints and the operator's API answers."""
    import json

    return json.dumps(data, default=lambda value: precisely(value) if isinstance(value, datetime) else str(value))


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


def _spell(error: UnicodeError) -> tuple[str, int]:
    if isinstance(error, UnicodeEncodeError) and (sign := SPELLED.get(error.object[error.start])):
        return sign, error.start + 1
    if isinstance(error, UnicodeEncodeError):
        return ascii(error.object[error.start])[1:-1], error.start + 1
    raise error


SPELLING = "stripe_mongo_sync.spelling"  # what an encoding lacks: our signs in others, all else escaped
codecs.register_error(SPELLING, _spell)


def opened() -> None:
    """Prepare both streams: spell characters that the encoding lacks, and replace a closed stream by /dev/null."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 – as long as the process lives
            setattr(sys, name, nowhere)
            setattr(sys, f"__{name}__", nowhere)
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=SPELLING)


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
