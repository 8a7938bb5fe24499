"""The environment: quotes, files, names with a slip in them. What is wrong is told by name, and no value ever."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from stripe_mongo_sync.sync.errors import BadSettings
from stripe_mongo_sync.sync.process.environment import DOTENV, SECRETS, files, open_to
from stripe_mongo_sync.sync.settings import Settings
from stripe_mongo_sync.sync.tokens import authenticate

TOKEN = "a-token-of-the-shop"
TOLD = {
    "STRIPE_SECRET_KEY": "sk_test_abc123",
    "STRIPE_WEBHOOK_SECRET": "whsec_7Qm2ZxT9bKc4LwRf6VnHs3JdPy8GaUeX",
    "API_TOKENS": f"shop:read:{TOKEN}",
    "MONGODB_URI": "mongodb://ann:hunter7@db.example/shop",
    "API_RATE": "7",
    "RETENTION_DAYS": "50",
    "ADOPT": "no",
    "STRIPE_API_BASE": "http://127.0.0.1:1",
}
SECRET_PARTS = ("abc123", "7Qm2", "of-the-shop", "hunter7", "ann:")


def read(told: dict[str, str]) -> Settings:
    return Settings.from_environment(serve=True, environment=told)


def refused(told: dict[str, str] | None = None) -> list[str]:
    """The problems, none of which may tell a secret."""
    with pytest.raises(BadSettings) as problem:
        Settings.from_environment(serve=True, environment=told)
    assert not [part for part in SECRET_PARTS if part in str(problem.value)]
    return problem.value.problems


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to start in, and an environment in which nothing is set."""
    monkeypatch.chdir(tmp_path)
    for name in [*os.environ]:
        monkeypatch.delenv(name)
    return tmp_path


# --- quotes ---


@pytest.mark.parametrize("name", TOLD)
@pytest.mark.parametrize("around", ['"{}"', "'{}'", ' "{}" ', '" {} "', "'{} '"])
def test_one_pair_of_quotes_is_stripped(name: str, around: str) -> None:
    assert read({**TOLD, name: around.format(TOLD[name])}) == read(TOLD)


@pytest.mark.parametrize("name", TOLD)
@pytest.mark.parametrize(
    "around", ['"{}', "{}'", "\"{}'", "'\"{}\"'", "“{}”", "‘{}’", "`{}`", "«{}»", "\"'{}'\"", '""{}""', "''{}''"]
)
def test_any_other_quotes_are_told(name: str, around: str) -> None:
    (told,) = refused({**TOLD, name: around.format(TOLD[name])})

    assert told.startswith(f"{name} has quotes")


@pytest.mark.parametrize(
    "value", ['"{0}","till:read:b-good-long-token"', "{0}, 'till:read:b-good-long-token', d-good-long-token"]
)
def test_quotes_around_the_entries_are_told(value: str) -> None:
    (told,) = refused({**TOLD, "API_TOKENS": value.format(TOLD["API_TOKENS"])})

    assert told.startswith("API_TOKENS has quotes")


def test_quotes_around_nothing_are_nothing() -> None:
    assert refused({**TOLD, "API_TOKENS": '""', "STRIPE_SECRET_KEY": "''"})[0] == "STRIPE_SECRET_KEY is missing"


# --- .env ---


def lines(told: dict[str, str], form: str = "{}={}\n") -> str:
    return "".join(form.format(name, value) for name, value in told.items())


@pytest.mark.parametrize(
    "form", ["{}={}\n", "export {}={}\n", "{} = {}\r\n", '{}="{}"\n', "{}='{}' # why\r\n", "  {}={}\n\n", "{}={}\r"]
)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_every_usual_form_of_env_file_is_read(place: Path, form: str, mark: bytes) -> None:
    (place / DOTENV).write_bytes(mark + lines(TOLD, form).encode() + "# für alle\n".encode())

    assert Settings.from_environment(serve=True) == read(TOLD)


def link(path: Path) -> None:
    path.symlink_to("nowhere")


@pytest.mark.parametrize(
    ("write", "why"),
    [
        (lambda path: path.write_bytes(f"# für\n{lines(TOLD)}".encode("utf-16")), "UTF-16"),
        (lambda path: path.write_bytes(lines(TOLD).encode("utf-16-le")), "UTF-16"),
        (lambda path: path.write_bytes(lines(TOLD).encode("utf-32")), "UTF-16 or no text"),
        (lambda path: path.write_bytes(f"A=1\n# für\n{lines(TOLD)}".encode("latin-1")), "line 2"),
        (lambda path: path.write_bytes(os.urandom(64) + b"\0\xff"), "not UTF-8"),
        (lambda path: path.mkdir(), "is a directory"),
        (link, "is a link"),
        (lambda path: path.write_text('A=1\nAPI_TOKENS="a-token-of-the-shop\n' + lines(TOLD)), "from line 2"),
        (lambda path: path.write_text(lines(TOLD) + "=x\n"), "from line 9"),
    ],
    ids=[
        "UTF-16",
        "UTF-16 without a mark",
        "UTF-32",
        "Latin-1",
        "binary",
        "directory",
        "link",
        "open quote",
        "no name",
    ],
)
def test_an_env_file_that_cannot_be_read_is_named_and_nothing_is_called_missing(
    place: Path, write: Callable[[Path], object], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(place / DOTENV)
    monkeypatch.setenv("ADOPT", "perhaps")

    told, other = refused()

    assert told.startswith(DOTENV)
    assert why in told
    assert other.startswith("ADOPT")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read whatever there is")
def test_an_env_file_without_permission_is_named(place: Path) -> None:
    (place / DOTENV).write_text(lines(TOLD))
    (place / DOTENV).chmod(0)

    assert refused() == [".env cannot be read: Permission denied"]


def test_a_setting_that_stands_in_the_file_twice_is_told(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / DOTENV).write_text(lines(TOLD) + "API_RATE=8\nOTHER=1\nOTHER=2\nADOPT=no\n")
    assert refused() == ["API_RATE is in .env twice, with different values"]

    monkeypatch.setenv("API_RATE", "9")  # wins over the file, whatever that says

    assert Settings.from_environment(serve=True).api_rate == 9


@pytest.mark.parametrize(
    ("value", "good"),
    [
        ("${GIVEN}-of-the-shop", True),
        ("${THEIRS}-of-the-shop", True),
        ("${ABSENT:-a-token}-of-the-shop", True),
        ("a-tok$en-of-the-shop", True),
        ("a-token-of-the-shop${ABSENT}", False),
        ("'a-token-of-the-shop${ABSENT}'", False),
        ("a-token-of-${GIVEN}${LATER}", False),
    ],
)
def test_a_hole_in_a_value_is_told(place: Path, value: str, good: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"GIVEN": "a-token", **TOLD, "API_TOKENS": value, "LATER": "behind"}
    (place / DOTENV).write_text(lines(given))
    monkeypatch.setenv("THEIRS", "a-token")

    if good:
        assert len(Settings.from_environment(serve=True).api_tokens) == 1
    else:
        (told,) = refused()
        assert told.startswith("API_TOKENS has ${…} in .env")


# --- NAME_FILE ---


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("end", ["", "\n", "\r\n", " \n\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_each_secret_may_stand_in_a_file(place: Path, name: str, end: str, mark: str) -> None:
    (place / "secret").write_text(mark + TOLD[name] + end, newline="")
    others = {other: value for other, value in TOLD.items() if other != name}

    for path in ("secret", str(place / "secret"), '"secret"'):
        assert read({**others, f"{name}_FILE": path}) == read({**others, f"{name}_FILE": path, name: " "}) == read(TOLD)
    (place / "secret").write_text(f'{mark}"{TOLD[name]}"{end}', newline="")
    assert read({**others, f"{name}_FILE": "secret"}) == read(TOLD)


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize(
    ("write", "why"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.write_text(""), "empty"),
        (lambda path: path.write_text("\n \n"), "empty"),
        (lambda path: path.write_text("abc123\nof-the-shop\n"), "more than one line"),
        (lambda path: path.write_bytes("hunter7".encode("utf-16")), "UTF-16"),
        (lambda path: path.write_bytes(b"hunter7\xff"), "not UTF-8"),
        (lambda path: path.mkdir(), "no file"),
        (os.mkfifo, "no file"),
    ],
)
def test_a_file_without_its_secret_is_told_by_the_name_of_the_setting(
    place: Path, name: str, write: Callable[[Path], object], why: str
) -> None:
    write(place / "ann-hunter7")
    others = {other: value for other, value in TOLD.items() if other != name}

    (told,) = refused({**others, f"{name}_FILE": str(place / "ann-hunter7")})

    assert told.startswith(f"{name}_FILE names ")
    assert why in told


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_in_the_place_of_the_path_is_not_told(name: str) -> None:
    for value in (TOLD[name], TOLD[name] + "\0", TOLD[name] * 500):
        (told,) = refused({**{other: given for other, given in TOLD.items() if other != name}, f"{name}_FILE": value})
        assert told.startswith(f"{name}_FILE names")


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_that_is_given_twice_is_told(place: Path, name: str) -> None:
    (place / "secret").write_text(TOLD[name])

    assert refused({**TOLD, f"{name}_FILE": "secret"}) == [f"{name} and {name}_FILE are both given: keep one"]


def test_a_file_is_held_to_the_same_rules(place: Path) -> None:
    (place / "secret").write_text('"short"')

    (told,) = refused({**{n: v for n, v in TOLD.items() if n != "API_TOKENS"}, "API_TOKENS_FILE": "secret"})

    assert told.startswith("API_TOKENS")


# --- names ---


@pytest.mark.parametrize(
    ("given", "meant"),
    [("API_TOKEN", "API_TOKENS"), ("STRIPE_WEBHOOK_SECRETS", "STRIPE_WEBHOOK_SECRET"), ("MONGODB_URL", "MONGODB_URI")]
    + [("STRIPE_SECRET_KEYS", "STRIPE_SECRET_KEY"), ("stripe_secret_key", "STRIPE_SECRET_KEY")]
    + [("STRIPE_API_KEY", "STRIPE_SECRET_KEY"), ("PAYMENTS", "STRIPE_SECRET_KEY")]  # a secret tells what it is
    + [("STRIPE_ENDPOINT_SECRET", "STRIPE_WEBHOOK_SECRET")],
)
def test_a_missing_setting_is_told_with_the_name_that_was_given(given: str, meant: str) -> None:
    others = {name: value for name, value in TOLD.items() if name != meant}
    if meant == "MONGODB_URI":  # has a default
        (told,) = read({**others, given: TOLD[meant]}).warnings
    else:
        (told,) = refused({**others, given: TOLD[meant]})

    assert given in told
    assert meant in told


def test_other_peoples_names_are_not_ours() -> None:
    others = {"HOME": "/", "PATH": "/bin", "HOST": "x", "HOOK": "", "PORT": "8000", "WEB_CONCURRENCY": "2", "MODE": "a"}

    assert read({**others, **TOLD}).warnings == ()


def test_the_environment_is_read_again_and_again(place: Path) -> None:
    (place / DOTENV).write_text(lines(TOLD))
    first = Settings.from_environment(serve=True)
    (place / DOTENV).write_text(lines({**TOLD, "API_RATE": "8"}))

    assert first.differ(Settings.from_environment(serve=True)) == ["api_rate"]
    assert authenticate(first.api_tokens, TOKEN.encode()) is not None


# --- who else may read ---


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_file_of_ours_alone_is_open_to_nobody(place: Path, mode: int) -> None:
    (place / DOTENV).touch(mode)

    assert open_to(place / DOTENV) is None


@pytest.mark.parametrize(
    ("mode", "whom"),
    [
        (0o644, "everybody"),
        (0o604, "everybody"),
        (0o602, "everybody"),
        (0o666, "everybody"),
        (0o640, "group"),
        (0o620, "group"),
    ],
)
def test_a_file_that_others_may_read_or_change_is_open_to_them(place: Path, mode: int, whom: str) -> None:
    (place / DOTENV).touch()
    (place / DOTENV).chmod(mode)

    assert whom in str(open_to(place / DOTENV))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a file to another")
def test_a_file_of_another_user_is_open_to_its_owner(place: Path) -> None:
    (place / DOTENV).touch(0o600)
    os.chown(place / DOTENV, 12345, -1)

    assert "owner" in str(open_to(place / DOTENV))


@pytest.mark.skipif(os.geteuid() != 0, reason="it must be a file of root's")
@pytest.mark.parametrize(("group", "whom"), [(2345, None), (2346, "its group")])
def test_root_gives_a_service_a_file_by_its_group(
    place: Path, monkeypatch: pytest.MonkeyPatch, group: int, whom: str | None
) -> None:
    (place / DOTENV).touch()
    (place / DOTENV).chmod(0o640)
    os.chown(place / DOTENV, 0, group)
    for name, value in {"geteuid": 1234, "getegid": 2345, "getgroups": []}.items():
        monkeypatch.setattr(os, name, lambda value=value: value)

    assert open_to(place / DOTENV) == whom


def test_what_cannot_be_looked_at_is_not_told() -> None:
    assert open_to(Path("/nowhere/at/all")) is None


def test_every_file_with_a_secret_is_looked_at(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / DOTENV).write_text("API_TOKENS_FILE=token\n")
    for name in SECRETS:
        monkeypatch.setenv(f"{name}_FILE", name.lower())

    assert [str(path) for _, path in files()] == [DOTENV, *map(str.lower, SECRETS)]
