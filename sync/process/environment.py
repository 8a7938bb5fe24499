"""Reads the environment: the process's own, `.env`, and the files that NAME_FILE names. No message quotes a value."""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from io import StringIO
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import parse_stream
from dotenv.variables import Variable, parse_variables

DOTENV = ".env"
SECRETS = ("STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET", "API_TOKENS", "MONGODB_URI")  # each may stand in a file
FILE = "_FILE"
LARGEST = 65_536  # bytes of a file with a secret
QUOTES = "\"'`“”„‘’«»"
OWN = ("/run/secrets/", "/var/run/secrets/")  # where a container finds what was given to it alone


@dataclass
class Given:
    """The given values, and the problems of each setting and of `.env` itself."""

    values: dict[str, str] = field(default_factory=dict, repr=False)
    wrong: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)  # if there is one, a missing value may just be unread


def read_environment(environment: Mapping[str, str] | None = None) -> Given:
    """Read this environment, or `.env` and the process's own, which wins over `.env`."""
    given = Given()
    if environment is None:
        _read_dotenv(given)
        environment = os.environ
    given.values |= {name: value or "" for name, value in environment.items()}
    for name, value in given.values.items():
        given.values[name] = _unquoted(value.strip())
        if is_quoted(given.values[name]):
            given.wrong[name] = f"{name} has quotes at its ends that are not one pair"
    for name in SECRETS:
        if place := given.values.get(name + FILE):
            if given.values.get(name):
                given.wrong[name] = f"{name} and {name}{FILE} are both given: keep one"
            else:
                _read_file(given, name, Path(place))
    return given


def logs_as_json() -> bool:
    """Whether the log is to be JSON. It is asked before the settings are read, because their errors are logged, too."""
    return read_environment().values.get("LOG_FORMAT", "").lower() == "json"


def is_quoted(value: str) -> bool:
    """Whether a value begins or ends with a quote."""
    return value != "" and (value[0] in QUOTES or value[-1] in QUOTES)


def files() -> Iterator[tuple[str, Path]]:
    """Yield the files with secrets that would be read now, each with its name for messages."""
    if os.path.lexists(DOTENV):
        yield DOTENV, Path(DOTENV)
    values = read_environment().values
    for name in SECRETS:
        if place := values.get(name + FILE):
            yield f"the file of {name}{FILE}", Path(place)


def open_to(path: Path) -> str | None:
    """Return which other users can read a file; None if none can, or if that is unknown."""
    try:
        found = path.stat()
    except OSError:
        return None
    if str(path).startswith(OWN) or not hasattr(os, "geteuid"):
        return None
    if found.st_uid not in (os.geteuid(), 0):
        return "its owner, who is another user"
    if found.st_mode & (stat.S_IROTH | stat.S_IWOTH):
        return "everybody on this machine"
    if found.st_mode & stat.S_IWGRP:
        return "its group, which may also change it"
    given_by_root = found.st_uid == 0 != os.geteuid() and found.st_gid in (os.getegid(), *os.getgroups())
    if found.st_mode & stat.S_IRGRP and not given_by_root:  # root:shop 0640 is how a service is given one
        return "its group"
    return None


def looks_like(name: str, others: Iterable[str]) -> str | None:
    """Return the one of these names that this name is probably a misspelling of, or None."""
    return next(iter(get_close_matches(name.upper(), others, n=1, cutoff=0.85)), None)


def _unquoted(value: str) -> str:
    """Remove one pair of quotes around a value: Docker's --env-file and many hosting panels keep them."""
    if len(value) > 1 and value[0] == value[-1] in "\"'" and value[0] not in value[1:-1]:
        return value[1:-1].strip()
    return value


def _read_dotenv(given: Given) -> None:
    """Read `.env` if it exists; record why it cannot be read."""
    try:
        text = _text(Path(DOTENV).read_bytes())
    except FileNotFoundError:
        if os.path.islink(DOTENV):
            given.problems.append(f"{DOTENV} is a link to a file that does not exist")
    except IsADirectoryError:
        given.problems.append(f"{DOTENV} is a directory (was it mounted where there was no such file?)")
    except OSError as error:
        given.problems.append(f"{DOTENV} cannot be read: {error.strerror}")
    except UnicodeError as error:
        given.problems.append(f"{DOTENV} {error}: save it as UTF-8")
    else:
        _parse_dotenv(given, text)


def _parse_dotenv(given: Given, text: str) -> None:
    seen: dict[str, str | None] = {}
    for binding in parse_stream(StringIO(text)):
        name = binding.key
        if binding.error:
            line = binding.original.line
            given.problems.append(
                f"{DOTENV} cannot be read from line {line} on: write NAME=value, with quotes in pairs"
            )
        elif name and name not in os.environ:
            if seen.setdefault(name, binding.value) != binding.value:
                given.wrong[name] = f"{name} is in {DOTENV} twice, with different values"
            elif _refers_to_nothing(binding.value or "", {*seen, *os.environ}):
                given.wrong[name] = (
                    f"{name} has ${{…}} in {DOTENV}, a reference to a variable that is not set before it"
                )
    if not given.problems:
        given.values |= {name: value or "" for name, value in dotenv_values(stream=StringIO(text)).items()}


def _refers_to_nothing(value: str, names: set[str]) -> bool:
    """Whether a value refers to a variable that is not set: python-dotenv would replace that by nothing."""
    named = (atom for atom in parse_variables(value) if isinstance(atom, Variable))
    return any(atom.default is None and atom.name not in names for atom in named)


def _read_file(given: Given, name: str, path: Path) -> None:
    """Read a secret from its file. No message quotes the path: a user who confused the two names gave the secret."""
    given.wrong[name] = f"{name}{FILE} names something that is no file"
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return
        with path.open("rb") as file:
            value = _unquoted(_text(file.read(LARGEST)).strip())
    except FileNotFoundError:
        given.wrong[name] = f"{name}{FILE} names a file that does not exist"
    except UnicodeError as error:
        given.wrong[name] = f"{name}{FILE} names a file that {error}"
    except OSError as error:
        given.wrong[name] = f"{name}{FILE} names a file that cannot be read: {error.strerror}"
    except ValueError:
        return  # no path can contain a null character
    else:
        del given.wrong[name]
        if not value or len(value.splitlines()) > 1:
            given.wrong[name] = f"{name}{FILE} names a file that {'has more than one line' if value else 'is empty'}"
        given.values[name] = value


def _text(raw: bytes) -> str:
    """Return the text of a file, without a byte order mark. Raises UnicodeError with the reason."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in raw:
        raise UnicodeError("is not UTF-8, but UTF-16 or no text")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UnicodeError(f"is not UTF-8 in line {line}") from None
