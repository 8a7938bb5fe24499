"""Settings that a caller made by hand are checked before anything is contacted, and by the names of their fields."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from stripe_mongo_sync import init_app, sync
from stripe_mongo_sync.api import create_app
from stripe_mongo_sync.sync.settings import Settings

KEY = "sk_test_x"
SECRET = "whsec_7Qm2ZxT9bKc4LwRf6VnHs3JdPy8GaUeX"
NOBODY = "mongodb://127.0.0.1:1/shop"
WRONG: list[tuple[str, Any]] = [
    *(("stripe_secret_key", value) for value in ("", "pk_test_x", "sk_test_", "sk_test_x\n", None, 7)),
    *(("webhook_secrets", value) for value in (SECRET, ("",), ("pk_x",), (7,), [SECRET], None)),
    *(("api_tokens", value) for value in ("a-token", ("a-token",), None)),
    *(("api_rate", value) for value in (-1, "5", 1.5, True, None)),
    *(("stripe_api_base", value) for value in ("text", 7, "https://user:pw@stripe.example")),
    *(("mongodb_uri", value) for value in (7, None)),
    *(("adopt", value) for value in ("yes", 1, None)),
    *(("revalidate", value) for value in (frozenset({"nonsense"}), "customer", None)),
    *(("retention", value) for value in (45, timedelta(days=1), timedelta(days=-45), None)),
    *(("hooks", value) for value in ("my_shop.hooks", ("not a module",), (7,), None)),
    *(("collection_prefix", value) for value in (None, 7)),
    ("ca_bundle", 7),
]


@pytest.mark.parametrize("way", [sync.connect, create_app, lambda made: init_app(Flask("shop"), settings=made)])
def test_a_wrong_value_is_refused_by_the_name_of_its_field(way: Any) -> None:
    for name, value in WRONG:
        made = {"stripe_secret_key": KEY, "webhook_secrets": (SECRET,), "mongodb_uri": NOBODY, name: value}

        with pytest.raises(sync.BadSettings) as refused:
            way(Settings(**made))

        assert [problem.split()[0] for problem in refused.value.problems] == [name], value


@pytest.mark.parametrize("way", [sync.connect, create_app, lambda made: init_app(Flask("shop"), settings=made)])
@pytest.mark.parametrize("settings", ["text", 7, {"stripe_secret_key": KEY}, Settings])
def test_what_are_no_settings_is_refused(way: Any, settings: Any) -> None:
    with pytest.raises(sync.BadSettings, match="settings must be Settings"):
        way(settings)


@pytest.mark.parametrize(("name", "value"), [("http_client", 3), ("listeners", 3), ("listeners", (3,))])
@pytest.mark.parametrize(
    "way", [sync.connect, create_app, lambda made, **more: init_app(Flask("shop"), settings=made, **more)]
)
def test_what_is_no_client_or_listener_is_refused(way: Any, name: str, value: Any) -> None:
    with pytest.raises(sync.BadSettings, match=f"{name} must be"):
        way(Settings(KEY, (SECRET,), mongodb_uri=NOBODY), **{name: value})


def test_no_problem_quotes_a_value() -> None:
    with pytest.raises(sync.BadSettings) as refused:
        sync.connect(Settings("pk_test_Sesame", ("Sesame",), stripe_api_base="https://Sesame:Sesame@x.example"))

    assert "Sesame" not in str(refused.value)
    assert len(refused.value.problems) == 3
