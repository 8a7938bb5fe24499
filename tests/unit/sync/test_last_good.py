"""The settings in force: whatever slips, those of before stay, and what is good takes their place."""

from pathlib import Path

import pytest

from stripe_mongo_sync.sync.last_good import LastGood

GOOD = {
    "STRIPE_SECRET_KEY": "sk_test_shop",
    "STRIPE_WEBHOOK_SECRET": "whsec_aVeryLongSecretOfTheShop",
    "API_TOKENS": "a-token-of-the-shop",
    "MONGODB_URI": "mongodb://127.0.0.1:1/shop",
    "RETENTION_DAYS": "45",
}
SLIPS = {
    "STRIPE_SECRET_KEY": "pk_test_shop",
    "STRIPE_WEBHOOK_SECRET": "secret",
    "API_TOKENS": "short",
    "API_RATE": "many",
    "STRIPE_API_BASE": "ftp://here.com",
    "MONGODB_URI": "mongodb://ann:very-secret@127.0.0.1:1",
    "ADOPT": "perhaps",
    "REVALIDATE": "very-secret",
    "RETENTION_DAYS": "7",
    "HOOKS": "no_such_module_of_the_shop",
}


def tell(settings: dict[str, str]) -> None:
    Path(".env").write_text("".join(f"{name}='{value}'\n" for name, value in settings.items()))
    Path(".env").chmod(0o600)


@pytest.fixture
def last_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LastGood:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name in SLIPS:
        monkeypatch.delenv(name, raising=False)
    tell(GOOD)
    made = LastGood()
    made.begin()
    made.begins_to_serve()
    return made


@pytest.mark.parametrize("name", SLIPS)
def test_after_a_slip_the_settings_before_stay_in_force(last_good: LastGood, name: str) -> None:
    before, said = last_good.settings, list[str]()
    tell({**GOOD, name: SLIPS[name]})

    for _ in range(3):  # workers
        last_good.renew(said.append)

    assert last_good.settings is before
    assert len(said) == 1, "once, not for each worker"
    assert name in said[0]
    assert last_good.slip.startswith(f"refused: {name};")
    assert SLIPS[name] not in last_good.slip, "strangers may ask /readyz"

    tell({**GOOD, "RETENTION_DAYS": "60"})
    last_good.renew(said.append)

    assert last_good.slip == ""
    assert last_good.settings is not None
    assert last_good.settings.retention.days == 60
    assert len(said) == 1


def test_what_cannot_be_read_at_all_leaves_the_settings_as_they_are(last_good: LastGood) -> None:
    before, said = last_good.settings, list[str]()
    for wrong in (b"\xff\xfe", b"", b"API_TOKENS"):
        Path(".env").write_bytes(wrong)
        last_good.renew(said.append)
        assert last_good.settings is before
        assert last_good.slip

    Path(".env").unlink()
    Path(".env").mkdir()
    last_good.renew(said.append)

    assert last_good.settings is before
    assert last_good.slip


@pytest.mark.parametrize("code", ["1 / 0", "import os; os._exit(7)", "syntax error", "raise SystemExit"])
def test_a_module_of_hooks_that_cannot_be_imported_is_a_slip(last_good: LastGood, code: str) -> None:
    said = list[str]()
    Path("good_shop.py").write_text("import sync")
    tell({**GOOD, "HOOKS": "good_shop"})
    last_good.renew(said.append)
    before = last_good.settings
    assert before is not None
    assert before.hooks == ("good_shop",)

    Path("good_shop.py").write_text(code)
    last_good.renew(said.append)

    assert last_good.settings is before
    assert [each.count("HOOKS") for each in said] == [1]
    assert last_good.slip.startswith("refused: HOOKS;")


def test_a_module_of_hooks_that_hangs_holds_up_nothing(last_good: LastGood, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stripe_mongo_sync.sync.last_good.CHECK_TIMEOUT", 0.5)
    Path("hanging_shop.py").write_text("import threading; threading.Event().wait()")
    before, said = last_good.settings, list[str]()
    tell({**GOOD, "HOOKS": "hanging_shop"})

    last_good.renew(said.append)

    assert last_good.settings is before
    assert [each.count("HOOKS") for each in said] == [1]


def test_a_mongodb_that_cannot_be_reached_takes_no_service_away_from_the_one_before(
    last_good: LastGood, database: str
) -> None:
    before, said = last_good.settings, list[str]()
    tell({**GOOD, "MONGODB_URI": "mongodb://127.0.0.1:2/shop"})

    for _ in range(3):  # workers
        last_good.renew(said.append)

    assert last_good.settings is before
    assert len(said) == 1
    assert last_good.slip.startswith("refused: MONGODB_URI;")

    tell({**GOOD, "MONGODB_URI": database})
    last_good.renew(said.append)

    assert last_good.slip == ""
    assert last_good.settings is not None
    assert last_good.settings.mongodb_uri == database
