"""Usernames: which texts are valid, and which two are the same: those that look alike, whatever their characters.

The length is checked before anything else: to normalise a text with many combining marks takes time that grows with
the square of its length.
"""

import re
import unicodedata

from bson import ObjectId
from mongoengine import ValidationError

LONGEST = 255  # characters
LONGEST_FOLDED = 1024  # characters after folding, where one character may become 18
STRIPE_ID = re.compile(r"cus_\w+")  # the form of a customer's id that Stripe generates; a custom id has any form

# Characters that are not shown: Unicode's Default_Ignorable_Code_Point (DerivedCoreProperties.txt), which Unicode's
# NFKC_Casefold removes, too: soft hyphen, joiners, fillers, marks of direction, variation selectors, tags, …
_IGNORABLE = (
    (0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F),
    (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
)  # fmt: skip
# Other characters that show nothing: the braille cell without dots, marks of annotations and of removed objects,
# joiners, a filler, a musical note without a head, and code points that are no characters.
_BLANK = (
    (0x2800, 0x2800), (0xFFF9, 0xFFFC), (0x1107F, 0x1107F), (0x13430, 0x1343F), (0x16FE4, 0x16FE4), (0x1D159, 0x1D159),
    (0xFDD0, 0xFDEF), *((plane | 0xFFFE, plane | 0xFFFF) for plane in range(0, 0x110000, 0x10000)),
)  # fmt: skip


def _written(code: int) -> str:
    r"""Return a character as a pattern writes it. JSON Schema knows `\u` with four digits only."""
    return f"\\u{code:04x}" if code <= 0xFFFF else chr(code)


INVISIBLE = "".join(f"{_written(first)}-{_written(last)}" for first, last in (*_IGNORABLE, *_BLANK))
CONTROL = r"\x00-\x1f\x7f-\x9f\u2028\u2029"  # they end a line, or are commands to a terminal
UNSEEN = CONTROL + INVISIBLE
NOBODY_SEES = re.compile(f"[{INVISIBLE}]")
UNWRITABLE = re.compile(rf"[{CONTROL}\ud800-\udfff]")
LIKE_AN_ID = r"[0-9a-fA-F]{24}|[cC][uU][sS]_\w+"  # for the API's description; `check_username` checks the folded name
FORM = rf"^(?!(?:{LIKE_AN_ID})$)[^\s{UNSEEN}]([^{UNSEEN}]*[^\s{UNSEEN}])?$"


def fold(username: str) -> str:
    """Return the key of a username: two usernames are the same if their keys are equal.

    It is Unicode's NFKC_Casefold, without spaces at the ends, and with one space in place of several.
    """
    seen = NOBODY_SEES.sub("", folded_before(username))
    return unicodedata.normalize("NFKC", " ".join(seen.split()))


def folded_before(username: str) -> str:
    """Return the key of a username as older versions stored it, in which invisible characters made a difference."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", username).casefold())


def keys_of(username: str) -> list[str]:
    """Return the keys under which a customer with this username may be stored, the exact one first.

    A text that is too long or cannot be stored has no keys, because no customer has it for a username.
    """
    if len(username) > LONGEST or re.search(r"[\ud800-\udfff]", username):
        return []
    return list(dict.fromkeys(filter(None, (folded_before(username), fold(username)))))


def key_of_id(stripe_id: str) -> str | None:
    """Return the key of the username that looks like this custom id; None if no username can look like it."""
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
        raise ValidationError(f"has an invisible character (U+{ord(unseen[0]):04X}): leave it out")
    if username != username.strip():
        raise ValidationError("has a space at an end: leave it out")
    folded = fold(username)
    if ObjectId.is_valid(folded) or STRIPE_ID.fullmatch(folded):
        raise ValidationError("looks like an id: choose another name, such as an e-mail address")
    if len(folded) > LONGEST_FOLDED:
        raise ValidationError("is too long")
