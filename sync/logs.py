"""Logging without secrets: no key, no e-mail address, no message of an unexpected exception reaches the log.

Messages of MongoDB's, Python's and libraries' exceptions quote values, so a traceback shows the place and the type
only. Our own messages name ids, states and fields; a text in them that looks like a secret or an address is removed. A
record is one line, whatever a path, an id or a foreign message contains: no caller can forge a line of the log. With
`LOG_FORMAT=json`, that line is a JSON object.
"""

import json
import logging
import re
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from traceback import StackSummary, extract_tb

from stripe_mongo_sync.sync.visible import one_line as one_line

log = logging.getLogger("stripe_mongo_sync")  # all of `sync` logs here

NOBODY = "…@…"
EMAIL = re.compile(r"[\w.+-]{1,64}(?:@|%(?:25)?40)[\w-]{1,63}(?:\.[\w-]{1,63}){0,8}")  # also as a URL has it
LEFT_OUT: tuple[tuple[re.Pattern[str], str], ...] = (  # each repetition is bounded, so that matching takes linear time
    (re.compile(r"\b((?:sk|rk|pk)_(?:test|live)_|whsec_)\w+"), r"\1…"),
    (re.compile(r"\b([a-z]{2,20}_\w{1,100}?_secret_)\w+"), r"\1…"),  # client_secret: whoever has it can pay
    (re.compile(r"\b(Bearer|Basic) +[^\s'\"]+", re.IGNORECASE), r"\1 …"),
    (re.compile(r"\b(v[01]=)[0-9a-fA-F]{16,}"), r"\1…"),  # a signature
    (re.compile(r"\b(mongodb(?:\+srv)?://)[^@/\s]{1,500}@"), r"\1…@"),
    (re.compile(r"\b(dup key: ).*", re.DOTALL), r"\1…"),  # MongoDB quotes the value that is taken
    (EMAIL, NOBODY),
)
NAMED = {  # ids that a message may name: of a document, and of an event
    "document": re.compile(r"\b[0-9a-f]{24}\b"),
    "event": re.compile(r"\bevt_[A-Za-z0-9_]{1,250}"),
}
REQUEST: ContextVar[str | None] = ContextVar("REQUEST", default=None)  # the id of the request of the API, as its header
OTHERS = ("stripe", "pymongo", "urllib3")  # at INFO or DEBUG they log request bodies, documents and addresses


def redact(text: str) -> str:
    """Return `text` without secrets and e-mail addresses."""
    for pattern, instead in LEFT_OUT:
        text = pattern.sub(instead, text)
    return text


def nameless(text: str) -> str:
    """Return a text without the e-mail addresses in it: messages of Stripe, and those of hooks, may quote one."""
    return EMAIL.sub(NOBODY, text)


def trace(error: BaseException) -> str:
    """Return a traceback with places and exception types, but without the exceptions' messages."""
    earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    lines = [trace(earlier), "\nand then:\n"] if earlier is not None else []
    lines += StackSummary.from_list(extract_tb(error.__traceback__)).format()
    return "".join([*lines, one_line(f"{type(error).__module__}.{type(error).__qualname__}")])


class Redaction(logging.Filter):
    """Redacts every record and drops none. On a logger, it redacts for all handlers of that logger."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact a record before any handler formats it."""
        record.msg, record.args = one_line(redact(record.getMessage())), None
        if record.exc_info and record.exc_info[1] is not None:
            record.exc_text = redact(trace(record.exc_info[1]))
            record.exc_info = None
        return True


REDACTION = Redaction()
NAMES = ("stripe_mongo_sync", "stripe_mongo_sync.api")  # a logger's filter does not apply to its children
for name in NAMES:  # on the loggers, because an application that embeds us has handlers of its own
    logging.getLogger(name).addFilter(REDACTION)


class AsJson(logging.Formatter):
    """Formats a record as one JSON object in ASCII: when, how grave, of whom, what, and the ids that it is about."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line. It redacts by itself: gunicorn's master writes records that passed no filter of ours."""
        message = one_line(redact(record.getMessage()))
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        told = {"time": at, "level": record.levelname, "logger": record.name, "process": record.process}
        told |= {"message": message, "request": REQUEST.get()}
        told |= {name: found[0] if (found := shape.search(message)) else None for name, shape in NAMED.items()}
        error = record.exc_info[1] if record.exc_info else None
        told["trace"] = record.exc_text if error is None else redact(trace(error))
        return json.dumps({name: value for name, value in told.items() if value is not None})


def log_to_stderr(form: str = "%(asctime)s %(levelname)s %(message)s", *, as_json: bool = False) -> None:
    """Log to stderr: our own records from INFO on, those of other libraries from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(AsJson() if as_json else logging.Formatter(form))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for name in OTHERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("", "gunicorn.error", "gunicorn.access"):
        for each in logging.getLogger(name).handlers:
            each.addFilter(REDACTION)
