"""What is logged, and what never is: no secret, no e-mail address, no message of an exception that nobody foresaw.

Messages of MongoDB's, Python's and other people's exceptions quote values, so a traceback shows where and which, not
what. Ours name ids, states and fields; whatever looks like a secret or an address all the same is left out. A record
is one line, whatever is in a path, an id or the message of another: nobody can write a line into the log.
"""

import logging
import re
import sys
from traceback import StackSummary, extract_tb

log = logging.getLogger("stripe_mongo_sync")  # the one of everything in `sync`

LEFT_OUT: tuple[tuple[re.Pattern[str], str], ...] = (  # each looks at a bounded number of characters, so it is linear
    (re.compile(r"\b((?:sk|rk|pk)_(?:test|live)_|whsec_)\w+"), r"\1…"),
    (re.compile(r"\b([a-z]{2,20}_\w{1,100}?_secret_)\w+"), r"\1…"),  # client_secret: whoever has it can pay
    (re.compile(r"\b(Bearer|Basic) +[^\s'\"]+", re.IGNORECASE), r"\1 …"),
    (re.compile(r"\b(v[01]=)[0-9a-fA-F]{16,}"), r"\1…"),  # a signature
    (re.compile(r"\b(mongodb(?:\+srv)?://)[^@/\s]{1,500}@"), r"\1…@"),
    (re.compile(r"\b(dup key: ).*", re.DOTALL), r"\1…"),  # MongoDB quotes the value that is taken
    (re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){0,8}"), "…@…"),
)
# Letters and marks that Unicode calls printable, and nobody sees: fillers, blanks, joiners, selectors of variants.
UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
OTHERS = ("stripe", "pymongo", "urllib3")  # they would log request bodies, documents and addresses


def redact(text: str) -> str:
    """Return `text` without what must not be read by whoever reads the log."""
    for pattern, instead in LEFT_OUT:
        text = pattern.sub(instead, text)
    return text


def one_line(text: str) -> str:
    """Return `text` with all that cannot be seen spelled out, line ends and terminals' commands above all."""
    if not text.isprintable():
        text = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
    return UNSEEN.sub(lambda found: ascii(found[0])[1:-1], text)


def trace(error: BaseException) -> str:
    """Return a traceback that shows where, and which exceptions, and not what they say."""
    earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    lines = [trace(earlier), "\nand then:\n"] if earlier is not None else []
    lines += StackSummary.from_list(extract_tb(error.__traceback__)).format()
    return "".join([*lines, one_line(f"{type(error).__module__}.{type(error).__qualname__}")])


class Redaction(logging.Filter):
    """Lets every record pass, without what must not be in it. On a logger it holds for whatever reads from there."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite a record before anybody formats it."""
        record.msg, record.args = one_line(redact(record.getMessage())), None
        if record.exc_info and record.exc_info[1] is not None:
            record.exc_text = redact(trace(record.exc_info[1]))
            record.exc_info = None
        return True


REDACTION = Redaction()
NAMES = ("stripe_mongo_sync", "stripe_mongo_sync.api")  # a filter of one is not its children's
for name in NAMES:  # also where somebody else's process has its own handlers
    logging.getLogger(name).addFilter(REDACTION)


def log_to_stderr(form: str = "%(asctime)s %(levelname)s %(message)s") -> None:
    """Log one line for each transition, and of other libraries only what is wrong."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format=form)
    for name in OTHERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("", "gunicorn.error", "gunicorn.access"):
        for handler in logging.getLogger(name).handlers:
            handler.addFilter(REDACTION)
