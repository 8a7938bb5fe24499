"""Judges whether a secret is strong: long enough, varied enough, and no placeholder from a manual."""

import re
from functools import cache
from hashlib import new, sha256
from itertools import chain, pairwise

LEAST = 16  # characters of a token; a request with a shorter one is refused, too
VARIETY = 6  # different characters, and different steps from one to the next: `openssl rand -hex 8` has more
STRIPE_LEAST = 24  # characters of a signing secret behind its prefix: Stripe's have 32 and more

# What is shown in place of a secret. In one that was drawn, none of these is likely: each has a sign that Stripe's do
# not have, or five letters.
PLACEHOLDER = re.compile(
    r"<[^>]*>|\$\{|\$\(|\{\{|%\(|\.\.\.|^\$\w+$|xxxxx+|\*\*\*|your[-_ ]|insert[-_ ]"
    r"|(change|replace)[-_ ]?(me|this|it|with)|example|placeholder|passw[o0]rd|qwerty|letmein|dummy|lorem"
    r"|secret[-_ ]?(key|token)|(signing|webhook)[-_ ]?secret",
    re.IGNORECASE,
)
STRIPES = re.compile(r"(sk|rk|pk)_(test|live)_|whsec_")
WORDS = """
a abc abcdefghijklmnop abcdefghijklmnopqrstuvwxyz admin api api-key api-token apikey bearer change-me change_me changeit
changeme change-me-please change-me-in-production default demo dev development dummy example false foo foobar guest
hello insecure key letmein local localhost my-secret-token mytoken none null passw0rd password password1 password123
placeholder production qwerty root secret secret123 secret-token secrettoken shop string super supersecret
supersecrettoken test test123 testing this-is-a-secret todo token true undefined user your-secret-token your-token
your_token xxx $TOKEN <token> <your-token> ${TOKEN} sha256= 0 1 123 1234 12345 123456 1234567 12345678 123456789
1234567890 0123456789 1234567890123456 0123456789abcdef
"""
COMMON = re.compile(
    "|".join(sorted((word for word in WORDS.split() if word.isalpha() and len(word) > 2), key=len, reverse=True)),
    re.IGNORECASE,
)
NOTHING = frozenset(  # the digests of no token, or of the end of its line only: they would be accepted as a token's
    new(each, text, usedforsecurity=False).hexdigest()
    for each in ("md5", "sha1", "sha256", "sha512")
    for text in (b"", b"\n")
)
ENDS = ("", "\n", "\r\n", " ", " \n")  # `echo "$TOKEN" | sha256sum` includes the end of the line


def weakness(secret: str, least: int = LEAST) -> str | None:
    """Return why this secret is weak, as the end of a sentence that quotes nothing; None if it may be strong."""
    if PLACEHOLDER.search(secret):
        return "is a placeholder from a manual"
    if len(secret) < least:
        return f"has fewer than {least} characters"
    if _is_monotonous(secret):
        return "repeats itself, or counts up"
    if _is_monotonous(COMMON.sub("", secret)):
        return "is made of words that attackers try first"
    return None


def weak_signing(secret: str) -> str | None:
    """Return why this is no signing secret of Stripe's, in the form of `weakness`."""
    drawn = secret.removeprefix("whsec_")
    if not drawn.isalnum() or drawn.isdigit() or (drawn.isalpha() and drawn in (drawn.lower(), drawn.upper())):
        return weakness(drawn, STRIPE_LEAST) or "does not mix letters and digits, as Stripe's do"
    return weakness(drawn, STRIPE_LEAST)


def is_placeholder(key: str) -> bool:
    """Whether this is a placeholder for a Stripe key. Any other wrong key is refused by Stripe itself."""
    drawn = re.sub(r"^(sk|rk)_(test|live)_", "", key)
    repeated = len(drawn) > 1 and len(set(drawn)) == 1
    left = COMMON.sub("", PLACEHOLDER.sub("", drawn))  # of a random key, most characters are left
    return repeated or not left or (PLACEHOLDER.search(key) is not None and len(left) < STRIPE_LEAST)


def _is_monotonous(text: str) -> bool:
    pairs = list(pairwise(text))
    steps = {ord(after) - ord(before) for before, after in pairs}
    return min(len(set(text)), len(steps)) < VARIETY or 2 * len(set(pairs)) < len(pairs)


@cache
def known_digests() -> frozenset[bytes]:
    """Return the digests of an empty text, and of the texts that attackers try first."""
    repeated = (chr(code) * count for code in range(0x20, 0x7F) for count in range(1, 65))
    texts = {"", "\0", *NOTHING, *WORDS.split(), *WORDS.upper().split(), *WORDS.title().split()}
    ended = (text + end for text in texts for end in ENDS)
    return frozenset(sha256(text.encode()).digest() for text in chain(ended, repeated))
