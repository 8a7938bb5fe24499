"""Settings: read once, all complaints at once, and nothing secret is ever shown."""

from datetime import timedelta
from hashlib import sha256
from itertools import combinations
from typing import Any

import pytest
from pymongo import MongoClient

from stripe_mongo_sync.models import kinds, stored_things
from stripe_mongo_sync.sync.errors import BadSettings
from stripe_mongo_sync.sync.settings import Settings, objections_to_prefix
from stripe_mongo_sync.sync.tokens import Scope, parse

GOOD = {
    "STRIPE_SECRET_KEY": "sk_test_abc123",
    "STRIPE_WEBHOOK_SECRET": "whsec_old, whsec_new",
    "API_TOKENS": "a-token-of-the-shop, another-good-token",
    "MONGODB_URI": "mongodb://ann:secret-word@db.example:27017/shop",
}

DRAWN = "whsec_7Qm2ZxT9bKc4LwRf6VnHs3JdPy8GaUeX"  # as Stripe draws them


def read(serve: bool = True, **changes: str | None) -> Settings:
    return Settings.from_environment(serve=serve, environment={**GOOD, **changes})


def problems(serve: bool = True, **changes: str | None) -> list[str]:
    with pytest.raises(BadSettings) as refused:
        read(serve, **changes)
    assert str(refused.value) == "; ".join(refused.value.problems)
    return refused.value.problems


def test_good_settings_are_read() -> None:
    settings = read(ADOPT="no", REVALIDATE="customer, price", RETENTION_DAYS="31", STRIPE_API_BASE="http://here:1/")

    assert settings.webhook_secrets == ("whsec_old", "whsec_new")
    assert settings.api_tokens == tuple(map(parse, ("a-token-of-the-shop", "another-good-token")))
    assert (settings.adopt, settings.revalidate) == (False, frozenset({"customer", "price"}))
    assert (settings.retention, settings.stripe_api_base) == (timedelta(days=31), "http://here:1")


def test_the_first_bundle_of_certificates_that_is_named_counts() -> None:
    named = {"REQUESTS_CA_BUNDLE": "/first.pem", "SSL_CERT_FILE": "/second.pem"}

    assert read().ca_bundle is None
    assert read(**named).ca_bundle == "/first.pem"
    assert read(**named | {"REQUESTS_CA_BUNDLE": ""}).ca_bundle == "/second.pem"


def test_what_may_be_left_out_has_the_default_of_the_contract() -> None:
    settings = Settings.from_environment(
        environment={"STRIPE_SECRET_KEY": "rk_live_1", "ADOPT": "", "RETENTION_DAYS": " "}
    )

    assert settings.mongodb_uri == "mongodb://127.0.0.1:27017/stripe_sync"
    assert (settings.adopt, settings.revalidate, settings.retention) == (True, frozenset(), timedelta(days=45))
    assert (settings.stripe_api_base, settings.livemode) == (None, True)
    assert (settings.api_tokens, settings.api_rate) == ((), 100)


def test_all_problems_are_told_at_once() -> None:
    told = problems(
        STRIPE_SECRET_KEY=None,
        STRIPE_WEBHOOK_SECRET="",
        API_TOKENS=" , ",
        API_RATE="fast",
        STRIPE_API_BASE="ftp://x",
        MONGODB_URI="localhost",
        ADOPT="maybe",
        REVALIDATE="customers",
        RETENTION_DAYS="30",
    )

    named = ["STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET", "API_TOKENS", "API_RATE", "STRIPE_API_BASE", "MONGODB_URI"]
    assert [problem.split()[0] for problem in told] == [*named, "ADOPT", "REVALIDATE", "RETENTION_DAYS"]
    assert told[:3] == [f"{name} is missing" for name in named[:3]]


def test_only_the_service_needs_webhook_secrets_and_tokens() -> None:
    assert not read(serve=False, STRIPE_WEBHOOK_SECRET="", API_TOKENS="").api_tokens


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STRIPE_SECRET_KEY", "pk_test_abc"),
        ("STRIPE_SECRET_KEY", "sk_abc"),
        ("STRIPE_SECRET_KEY", "sk_test_"),
        ("STRIPE_SECRET_KEY", "sk_test_a b"),
        ("STRIPE_SECRET_KEY", "sk_test_schlüssel"),
        ("STRIPE_SECRET_KEY", "sk_test_a\nsk_live_b"),
        ("STRIPE_WEBHOOK_SECRET", "secret"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_a;whsec_b c"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_good, oops"),
        ("API_TOKENS", "short"),
        ("API_TOKENS", "a-good-long-token, short"),
        ("API_TOKENS", "a token with blanks"),
        ("API_TOKENS", "tökentökentökentöken"),
        ("API_TOKENS", "sha256=a-good-long-token"),
        ("API_TOKENS", f"sha256={'A' * 64}"),
        ("API_TOKENS", f"SHA256={sha256(b'a-good-long-token').hexdigest()}"),
        ("API_TOKENS", f"sha256:{sha256(b'a-good-long-token').hexdigest()}"),
        ("API_TOKENS", f"shop:read:sha256:{sha256(b'a-good-long-token').hexdigest()}"),
        ("API_TOKENS", f"sha-256={sha256(b'a-good-long-token').hexdigest()}"),
        ("API_TOKENS", f"md5={'9f8a7c6b5d4e3f2a' * 2}"),
        ("API_TOKENS", "shop:read:short"),
        ("API_TOKENS", "shop::a-good-long-token"),
        ("API_TOKENS", "shop:raed:a-good-long-token"),
        ("API_TOKENS", "shop:read+:a-good-long-token"),
        ("API_TOKENS", "shop:read write:a-good-long-token"),
        ("API_TOKENS", ":read:a-good-long-token"),
        ("API_TOKENS", "the shop:read:a-good-long-token"),
        ("API_TOKENS", "python:read:a-good-long-token"),
        ("API_TOKENS", f"{'s' * 41}:read:a-good-long-token"),
        ("API_TOKENS", "shop:read:sha256=a-good-long-token"),
        ("API_TOKENS", "shop:read:a-good-long-token, shop:write:another-good-token"),
        ("API_TOKENS", "shop:read:a-good-long-token, till:write:a-good-long-token"),
        ("API_TOKENS", "a-good-long-token, a-good-long-token"),
        ("API_RATE", "-1"),
        ("API_RATE", "1.5"),
        ("API_RATE", "1000000"),
        ("API_RATE", "٤"),
        ("STRIPE_API_BASE", "api.stripe.com"),
        ("STRIPE_API_BASE", "http://"),
        ("STRIPE_API_BASE", "http://[::1"),
        ("STRIPE_API_BASE", "http://here:port"),
        ("STRIPE_API_BASE", "https://ann:p%40ss@api.stripe.com"),
        ("STRIPE_API_BASE", "https://ann@api.stripe.com"),
        ("STRIPE_API_BASE", "https://api.stripe.com/v1"),
        ("STRIPE_API_BASE", "https://api.stripe.com/v1/"),
        ("STRIPE_API_BASE", "https://api.stripe.com?v=1"),
        ("STRIPE_API_BASE", "http://here#there"),
        ("MONGODB_URI", "mongodb://host:27017"),
        ("MONGODB_URI", "mongodb://host:27017/"),
        ("MONGODB_URI", "postgres://host/shop"),
        ("MONGODB_URI", "mongodb://host/shop?w=1"),
        ("MONGODB_URI", "mongodb://host/shop?journal=true&W=0"),
        ("MONGODB_URI", "mongodb://host/shop?w=majority2"),
        ("MONGODB_URI", "mongodb://[host/shop"),
        ("MONGODB_URI", "mongodb://host:port/shop"),
        ("MONGODB_URI", "mongodb://ann:p@ss:w@rd@host/shop"),
        ("MONGODB_URI", "mongodb://host/shop?tls=perhaps"),
        ("MONGODB_URI", "mongodb+srv://host.example/"),
        ("MONGODB_URI", "mongodb+srv://host.example/shop?w=1"),
        ("MONGODB_URI", "mongodb+srv://ann:<db_password>@host.example/shop?w=majority"),
        ("MONGODB_URI", "mongodb+srv://<username>:<password>@host.example/shop"),
        ("MONGODB_URI", "mongodb://ann:%3Cpassword%3E@host/shop"),
        ("MONGODB_URI", "mongodb://ann:${PASSWORD}@host/shop"),
        ("MONGODB_URI", "mongodb://ann:$PASSWORD@host/shop"),
        ("MONGODB_URI", "mongodb://ann:{{ password }}@host/shop".replace(" ", "")),
        ("ADOPT", "true"),
        ("REVALIDATE", "all, customer, nothing"),
        ("REVALIDATE", "subscription_item"),
        ("COLLECTION_PREFIX", "$billing"),
        ("COLLECTION_PREFIX", "bill ing_"),
        ("COLLECTION_PREFIX", "système_"),
        ("COLLECTION_PREFIX", ".billing"),
        ("COLLECTION_PREFIX", "billing..of"),
        ("COLLECTION_PREFIX", "2billing_"),
        ("COLLECTION_PREFIX", "bill\0ing_"),
        ("COLLECTION_PREFIX", "b" * 41),
        ("COLLECTION_PREFIX", "system.billing_"),
        ("COLLECTION_PREFIX", "shop_issuing_"),
        ("RETENTION_DAYS", "30"),
        ("RETENTION_DAYS", "-45"),
        ("RETENTION_DAYS", "45.5"),
        ("RETENTION_DAYS", "forty"),
        ("RETENTION_DAYS", "²"),
        ("RETENTION_DAYS", "٤٥"),
        ("RETENTION_DAYS", "9" * 30),
        ("RETENTION_DAYS", "9" * 5000),
    ],
    ids=lambda text: text[:40],
)
def test_a_malformed_setting_is_named_and_its_value_is_not_shown(name: str, value: str) -> None:
    told = problems(**{name: value})

    assert [problem.split()[0] for problem in told] == [name]
    for part in ("ann", "p@ss", "schlüssel", "a-good", "good,"):
        assert part not in told[0]


def test_a_token_has_a_name_and_scopes() -> None:
    ops, shop, plain = read(
        API_TOKENS="ops:operate:a:good:long:token, shop:read+write:b-good-long-token, a:plain-good-old-one"
    ).api_tokens

    assert (ops.name, ops.scopes) == ("ops", {Scope.OPERATE})
    assert ops.digest == sha256(b"a:good:long:token").digest()
    assert (shop.name, shop.scopes) == ("shop", {Scope.READ, Scope.WRITE})
    assert (plain.name, plain.scopes) == (sha256(b"a:plain-good-old-one").hexdigest()[:16], {Scope.READ, Scope.WRITE})


def test_a_digest_stands_for_a_token() -> None:
    digest = sha256(b"a-good-long-token").hexdigest()

    assert read(API_TOKENS=f"shop:read:sha256={digest}") == read(API_TOKENS="shop:read:a-good-long-token")
    assert read(API_TOKENS=f"sha256={digest}") == read(API_TOKENS="a-good-long-token")


@pytest.mark.parametrize(
    "uri",
    [
        "mongodb://host/shop",
        "mongodb://a,b:2,c/shop?replicaSet=rs0&w=majority&tls=true",
        "mongodb://ann:p%40ss@[::1]:27017/shop?authSource=admin",
        "mongodb+srv://ann:word@host.example/shop?retryWrites=true&w=majority",
    ],
)
def test_every_usual_form_of_mongodb_address_is_good(uri: str) -> None:
    assert read(MONGODB_URI=uri).mongodb_uri == uri


@pytest.mark.parametrize(
    ("key", "live"), [("sk_test_x", False), ("rk_test_a_live_b", False), ("sk_live_x", True), ("rk_live_test_x", True)]
)
def test_the_key_says_the_mode(key: str, live: bool) -> None:
    assert read(STRIPE_SECRET_KEY=key, STRIPE_WEBHOOK_SECRET=DRAWN).livemode is live


@pytest.mark.parametrize(
    ("key", "base", "good"),
    [
        ("sk_live_x", "http://proxy.example", False),
        ("sk_live_x", "https://proxy.example", True),
        ("rk_live_x", "http://127.0.0.1:12111", True),
        ("sk_test_x", "http://proxy.example", True),
    ],
)
def test_a_live_key_goes_nowhere_unencrypted(key: str, base: str, good: bool) -> None:
    if good:
        assert read(STRIPE_SECRET_KEY=key, STRIPE_WEBHOOK_SECRET=DRAWN, STRIPE_API_BASE=base).stripe_api_base == base
    else:
        (told,) = problems(STRIPE_SECRET_KEY=key, STRIPE_WEBHOOK_SECRET=DRAWN, STRIPE_API_BASE=base)
        assert told.startswith("STRIPE_API_BASE must be https")


def test_all_kinds_can_be_named_by_one_word() -> None:
    assert read(REVALIDATE="all").revalidate == frozenset(kinds())


@pytest.mark.parametrize(
    "spell", [repr, str, lambda settings: f"{settings}", lambda settings: repr(vars(settings).keys())]
)
def test_secrets_are_in_no_representation(spell: Any) -> None:
    shown = spell(read())

    digest = sha256(b"a-token-of-the-shop")
    for secret in ("sk_test_abc123", "whsec_old", "a-token-of-the-shop", "secret-word", digest.hexdigest()):
        assert secret not in shown
    assert str(digest.digest()) not in shown


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text('STRIPE_SECRET_KEY=sk_test_file\nADOPT="no"\nMONGODB_URI=\n')
    for name in (*GOOD, "ADOPT"):
        monkeypatch.delenv(name, raising=False)
    assert Settings.from_environment().stripe_secret_key == "sk_test_file"
    assert not Settings.from_environment().adopt

    monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_test_environment")  # wins over the file
    assert Settings.from_environment().stripe_secret_key == "sk_test_environment"


# --- the prefix of collections ---

NAMES = [model.plural() for model in stored_things()]


def names_with(prefix: str) -> set[str]:
    return {prefix + name for name in NAMES}


@pytest.mark.parametrize("prefix", ["", "billing_", "a", "_", "Shop-2.", "shop.stripe.", "b" * 40])
def test_a_prefix_makes_names_that_mongodb_takes(prefix: str) -> None:
    assert read(COLLECTION_PREFIX=prefix).collection_prefix == prefix
    database = MongoClient[Any]("mongodb://127.0.0.1:9", connect=False)["d" * 63]
    for name in names_with(prefix):
        assert len(database[name].full_name.encode()) <= 255


def test_no_two_prefixes_make_one_name() -> None:
    """Of `issuing_`, the disputes would be the `issuing_disputes` of an installation without a prefix."""
    between = {a.removesuffix(b) for a in NAMES for b in NAMES if a.endswith(b) and a != b}
    assert between, "else there is nothing to refuse"
    for one in ("", "shop_", "shop."):
        for more in between:
            assert names_with(one) & names_with(one + more)
            assert any("must not end with" in told for told in problems(COLLECTION_PREFIX=one + more))
    taken = [prefix for prefix in ("", "a", "b_", "a.", "shop_", "shop_2_", "_") if not problems_of(prefix)]
    for one, other in combinations(taken, 2):
        assert not names_with(one) & names_with(other)


def problems_of(prefix: str) -> list[str]:
    return list(objections_to_prefix(prefix))
