"""Usernames: what may be one, and what makes two of them the same: what nobody can see or tell apart is no difference.

The length is asked before anything else: to normalise takes time that grows with the square of it, where combining
marks must be put in order.
"""

import re
import unicodedata

from bson import ObjectId
from mongoengine import ValidationError

LONGEST = 255  # characters, and of a folded one:
LONGEST_FOLDED = 1024  # characters; one may become 18
STRIPE_ID = re.compile(r"cus_\w+")  # what Stripe gives a customer, as opposed to an id that somebody chose

# What shows nothing where it stands. Unicode's Default_Ignorable_Code_Point (DerivedCoreProperties.txt), which its own
# NFKC_Casefold takes out as well: soft hyphen, joiners, fillers, marks of direction, variation selectors, tags, …
_IGNORABLE = (
    (0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F),
    (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
)  # fmt: skip
# And what that leaves in: a braille cell without dots, marks of annotations and of what was cut out, joiners, a filler,
# a note without a head, and what is no character at all.
_BLANK = (
    (0x2800, 0x2800), (0xFFF9, 0xFFFC), (0x1107F, 0x1107F), (0x13430, 0x1343F), (0x16FE4, 0x16FE4), (0x1D159, 0x1D159),
    (0xFDD0, 0xFDEF), *((plane | 0xFFFE, plane | 0xFFFF) for plane in range(0, 0x110000, 0x10000)),
)  # fmt: skip


def _written(code: int) -> str:
    """Return a character as it is written in a pattern: as JSON Schema reads it, too, which knows four digits only."""
    return f"\\u{code:04x}" if code <= 0xFFFF else chr(code)


INVISIBLE = "".join(f"{_written(first)}-{_written(last)}" for first, last in (*_IGNORABLE, *_BLANK))
CONTROL = r"\x00-\x1f\x7f-\x9f\u2028\u2029"  # they end a line, or do whatever a terminal takes them for
UNSEEN = CONTROL + INVISIBLE
NOBODY_SEES = re.compile(f"[{INVISIBLE}]")
UNWRITABLE = re.compile(rf"[{CONTROL}\ud800-\udfff]")
LIKE_AN_ID = r"[0-9a-fA-F]{24}|[cC][uU][sS]_\w+"  # of a folded one; here, as it is written most often
FORM = rf"^(?!(?:{LIKE_AN_ID})$)[^\s{UNSEEN}]([^{UNSEEN}]*[^\s{UNSEEN}])?$"


def fold(username: str) -> str:
    """Return what makes two usernames the same, whatever their case and their composed forms: what is seen of them.

    It is what Unicode calls NFKC_Casefold, without spaces at the ends and with one where there are several.
    """
    seen = NOBODY_SEES.sub("", folded_before(username))
    return unicodedata.normalize("NFKC", " ".join(seen.split()))


def folded_before(username: str) -> str:
    """Return the same as it was when what cannot be seen made a difference: of old documents that look alike."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", username).casefold())


def keys_of(username: str) -> list[str]:
    """Return the keys under which the document of a username may be kept, its own before that of one that looks alike.

    None of what is too long, or cannot be stored, to be anybody's name.
    """
    if len(username) > LONGEST or re.search(r"[\ud800-\udfff]", username):
        return []
    return list(dict.fromkeys(filter(None, (folded_before(username), fold(username)))))


def key_of_id(stripe_id: str) -> str | None:
    """Return the key that a username would have that is this chosen id; none of an id that no username looks like."""
    return None if STRIPE_ID.fullmatch(stripe_id) else (fold(stripe_id[:LONGEST]) or None)


def check_username(username: str) -> None:
    """Raise ValidationError unless this may name a customer."""
    if len(username) > LONGEST:
        raise ValidationError(f"has more than {LONGEST} characters")
    if not username.strip():
        raise ValidationError("is empty")
    if UNWRITABLE.search(username):
        raise ValidationError("has control characters")
    if unseen := NOBODY_SEES.search(username):
        raise ValidationError(f"has a character that nobody can see (U+{ord(unseen[0]):04X}): leave it out")
    if username != username.strip():
        raise ValidationError("has a space at an end: leave it out")
    folded = fold(username)
    if ObjectId.is_valid(folded) or STRIPE_ID.fullmatch(folded):
        raise ValidationError("looks like an id; choose another name, such as an e-mail address")
    if len(folded) > LONGEST_FOLDED:
        raise ValidationError("is too long")
