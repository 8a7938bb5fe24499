"""Secrets that are none: what is short, repeats itself, or stands in a manual is no token and no signing secret."""

import random
import re
import secrets
import string
from hashlib import new, sha256
from pathlib import Path

import pytest

from stripe_mongo_sync.sync.errors import BadSettings
from stripe_mongo_sync.sync.process.strength import LEAST, STRIPE_LEAST, known_digests, weak_signing, weakness
from stripe_mongo_sync.sync.settings import Settings
from stripe_mongo_sync.sync.tokens import Scope, Token, authenticate

KEYS = {"live": "sk_live_4eC39HqLyjWDarjtT1zdp7dc", "test": "sk_test_4eC39HqLyjWDarjtT1zdp7dc"}
DRAWN = {"STRIPE_WEBHOOK_SECRET": "whsec_7Qm2ZxT9bKc4LwRf6VnHs3JdPy8GaUeX", "API_TOKENS": "a-token-of-the-shop"}
PLACEHOLDERS = [
    *("supersecretsupersecret", "dev-token-dev-token", "insecure-development-token", "token-token-12345678"),
    *("your-token-goes-here", "YOUR_API_TOKEN_HERE", "change-me-in-production", "changeme-changeme-changeme"),
    *("<a token of your own>".replace(" ", "-"), "${API_TOKEN_OF_SHOP}", "$API_TOKEN_OF_SHOP", "{{vault.api.token}}"),
    *("this-is-an-example-token", "my-secret-token-1234", "replace-with-your-token", "placeholder-of-a-token"),
    *("password1234567890", "xxxxxxxxxxxxxxxxxxxx", "sk_live_4eC39HqLyjWDarjtT1", "pk_live_4eC39HqLyjWDarjtT1"),
    *("aaaaaaaaaaaaaaaa", "abababababababab", "abcabcabcabcabcabc", "0123456789abcdef", "abcdefghijklmnopqrstuvwxyz"),
    *("1234567890123456", "----------------", "whsec_7Qm2ZxT9bKc4LwRf6VnHs3JdPy8GaUeX", "****************"),
]
SIGNING = [
    *(
        "whsec_thisisnotarealsecretatallreally",
        "whsec_whsec_4eC39HqLyjWDarjtT1zdp7d9fKq",
        "whsec_12345098716273849501728394",
    ),
    *(
        "whsec_x",
        "whsec_xxx",
        "whsec_env",
        "whsec_test1234test1234test1234test",
        "whsec_" + "a" * 32,
        "whsec_" + "xX" * 16,
    ),
    *(
        "whsec_your_webhook_signing_secret_here",
        "whsec_YourWebhookSigningSecretFromStripe",
        "whsec_replace_me_with_the_real_one",
    ),
    *(
        "whsec_0123456789abcdef0123456789abcdef",
        "whsec_abcdefghijklmnopqrstuvwxyz012345",
        "whsec_4eC39HqLyjWDarjtT1zdp7d",
    ),
]


def read(mode: str, **changes: str) -> Settings:
    return Settings.from_environment(serve=True, environment={"STRIPE_SECRET_KEY": KEYS[mode], **DRAWN, **changes})


def refusals(mode: str, **changes: str) -> list[str]:
    with pytest.raises(BadSettings) as refused:
        read(mode, **changes)
    for value in changes.values():
        assert value == "whsec_…" or value not in str(refused.value)
    return refused.value.problems


@pytest.mark.parametrize(
    ("name", "value"),
    [("API_TOKENS", each) for each in PLACEHOLDERS]
    + [("API_TOKENS", f"shop:read:{each}") for each in PLACEHOLDERS]
    + [("STRIPE_WEBHOOK_SECRET", each) for each in SIGNING]
    + [
        ("STRIPE_SECRET_KEY", each)
        for each in (
            "sk_live_xxx",
            "sk_live_your_secret_key",
            "rk_live_example",
            "sk_live_aaaaaa",
            "sk_live_key",
            "sk_live_test",
        )
    ],
)
def test_what_is_no_secret_is_refused_with_a_live_key_and_told_with_a_test_key(name: str, value: str) -> None:
    (told,) = refusals("live", **{name: value})
    assert told.startswith(f"{name} ")

    if name == "STRIPE_SECRET_KEY":
        value = value.replace("_live_", "_test_")
    (warning,) = read("test", **{name: value}).warnings
    assert warning.startswith(told)
    assert value not in warning


@pytest.mark.parametrize("mode", KEYS)
@pytest.mark.parametrize(
    "value",
    [
        "whsec_...",
        "whsec_<your-secret>",
        'whsec_"quoted"',
        "whsec_a b",
        "whsec_schlüssel",
        "whsec_a-b",
        "whsec_a\nwhsec_b",
    ]
    + ["whsec_…", "whsec_a\u200bb", "whsec_аbc", "whsec_a;whsec_b", "WHSEC_abc", "whsec_a=", "whsec_a+/b", "whsec_٤"],
)
def test_a_signing_secret_has_the_letters_that_stripes_have(mode: str, value: str) -> None:
    (told,) = refusals(mode, STRIPE_WEBHOOK_SECRET=value)

    assert "letters and digits" in told or "quotes" in told


def test_all_that_is_weak_is_told_at_once() -> None:
    told = refusals("live", STRIPE_WEBHOOK_SECRET="whsec_x, whsec_y", API_TOKENS=f"{'ab' * 8},{'cd' * 8}")

    assert [problem.split()[:3] for problem in told] == [
        [name, "entry", number] for name in ("STRIPE_WEBHOOK_SECRET", "API_TOKENS") for number in ("1", "2")
    ]


def test_what_was_drawn_is_never_taken_for_weak() -> None:
    draw = random.Random(12)
    kinds = {
        ("0123456789abcdef", 32): LEAST,
        ("0123456789abcdef", 64): LEAST,
        (string.ascii_letters + string.digits, 20): LEAST,
        (string.ascii_letters + string.digits + "-_", 43): LEAST,
        (string.ascii_letters + string.digits, 32): STRIPE_LEAST,
    }
    for (letters, length), least in kinds.items():
        for _ in range(400):
            drawn = "".join(draw.choices(letters, k=length))
            assert (weakness(drawn) if least == LEAST else weak_signing(f"whsec_{drawn}")) is None
    for secret in (secrets.token_hex(16), secrets.token_urlsafe(32)):
        read("live", STRIPE_WEBHOOK_SECRET=f"whsec_{secrets.token_hex(32)}", API_TOKENS=secret)


@pytest.mark.parametrize("page", ["README.md", ".env.example", "docs/SECURITY.md", "docs/operations.md"])
def test_no_value_that_our_pages_show_is_taken_for_a_secret(page: str) -> None:
    shown = re.findall(r"\b(STRIPE_WEBHOOK_SECRET|API_TOKENS|STRIPE_SECRET_KEY)=([^\n`]+)", Path(page).read_text())
    shown += [("STRIPE_WEBHOOK_SECRET", each) for each in re.findall(r"whsec_[^\s`,;)]+", Path(page).read_text())]
    shown += [("API_TOKENS", each) for each in re.findall(r"\b\w+:[a-z+]+:[^\s`,]+", Path(page).read_text())]

    for name, value in shown:
        assert refusals("live", **{name: value.strip()})


# --- the digests that everybody knows ---


@pytest.mark.parametrize("mode", KEYS)
@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        " ",
        "a",
        "x",
        "password",
        "Password",
        "CHANGEME",
        "changeme\n",
        "test",
        "token",
        "secret",
        "$TOKEN",
        "<token>",
    ]
    + [
        "aaaa",
        "0" * 16,
        "x" * 40,
        "a" * 64,
        "null",
        "undefined",
        "1234567890",
        "change-me-in-production",
        "sha256=",
        "-" * 16,
    ],
)
def test_the_digest_of_what_everybody_tries_is_no_token(mode: str, text: str) -> None:
    digest = sha256(text.encode()).hexdigest()

    for entry in (f"sha256={digest}", f"shop:read:sha256={digest}", digest, f"shop:read:{digest}", digest.upper()):
        (told,) = refusals(mode, API_TOKENS=entry)
        assert "digest of an empty" in told


@pytest.mark.parametrize("mode", KEYS)
@pytest.mark.parametrize("text", [b"", b"\n"])
@pytest.mark.parametrize("name", ["md5", "sha1", "sha512"])
def test_what_another_hash_makes_of_nothing_is_no_token(mode: str, name: str, text: bytes) -> None:
    digest = new(name, text, usedforsecurity=False).hexdigest()

    for entry in (digest, digest.upper(), f"shop:read:{digest}", f"sha256={sha256(digest.encode()).hexdigest()}"):
        (told,) = refusals(mode, API_TOKENS=entry)
        assert "digest of an empty" in told


def test_a_long_key_is_not_refused_for_the_letters_that_chance_put_into_it() -> None:
    drawn = "51GAcV3abwoPRW7cQJTsXDobWOsjEA9KQe3DSReJOk4mHLXSqfvTIMGRf5X0JZpsYxXXXXCovIwnNlnMcvbrESBEEEHqtsVycZz"

    assert read("live", STRIPE_SECRET_KEY=f"sk_live_{drawn}").warnings == ()
    assert read("live", STRIPE_SECRET_KEY=f"rk_live_{drawn[:40]}dummy{drawn[40:]}").warnings == ()


@pytest.mark.parametrize("digest", ["0" * 64, "f" * 64, "0123456789abcdef" * 4, "deadbeef" * 8])
def test_what_is_no_digest_is_no_token(digest: str) -> None:
    assert refusals("test", API_TOKENS=f"shop:read:sha256={digest}")


def test_the_digest_of_a_good_token_is_one() -> None:
    assert read("live", API_TOKENS=f"sha256={sha256(b'a-token-of-the-shop').hexdigest()}").warnings == ()


@pytest.mark.parametrize("presented", [b"", b" ", b"\n", b"password", b"x" * 15, b"\xff" * 15])
def test_what_is_shorter_than_a_token_is_nobodys_whatever_digest_there_is(presented: bytes) -> None:
    admits = Token("shop", frozenset(Scope), sha256(presented).digest())

    assert authenticate([admits], presented) is None


def test_the_known_digests_are_made_once() -> None:
    assert known_digests() is known_digests()
    assert len(known_digests()) > 6000
