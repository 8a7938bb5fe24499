"""Escapes what nobody sees in a text, or what is a command to a terminal.

It is apart from the log, because help needs it, and Python takes a while to load its logging.
"""

import re

# Characters that Unicode calls printable, but that are invisible: fillers, blanks, joiners, variation selectors.
UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")


def one_line(text: str) -> str:
    """Return `text` with every invisible character escaped, such as line ends and terminal commands."""
    if not text.isprintable():
        text = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
    return UNSEEN.sub(lambda found: ascii(found[0])[1:-1], text)
