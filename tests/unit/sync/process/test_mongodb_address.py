"""The address of MongoDB: it changes nothing of what the code relies on, and says nothing of whoever it lets in."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import mongoengine
import pytest
from pymongo import common

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import kinds
from stripe_mongo_sync.models.rows.database import close_database, open_database
from stripe_mongo_sync.models.state import State
from stripe_mongo_sync.sync import connection
from stripe_mongo_sync.sync.database.in_force import CODEC, OURS, TIMEOUT, deviations
from stripe_mongo_sync.sync.errors import AlreadyConnected, BadSettings, SyncError
from stripe_mongo_sync.sync.process.mongodb_address import (
    FIXED,
    FREE,
    KNOWN,
    OVERRULED,
    UNCHECKED,
    BadAddress,
    objections,
    read_address,
)
from stripe_mongo_sync.sync.settings import Settings

HOST = "mongodb://127.0.0.1:9/shop"
HOSTILE = {  # of each option that an address may not change, values that pymongo takes, and that would change it
    "w": ["0", "1", "2", "Majority", "mine"],
    "journal": ["false"],
    "fsync": ["true"],
    "wTimeoutMS": ["1", "60000"],
    "readPreference": ["primaryPreferred", "secondary", "secondaryPreferred", "nearest"],
    "readPreferenceTags": ["dc:east", ""],
    "maxStalenessSeconds": ["120"],
    "readConcernLevel": ["available", "majority", "linearizable", "snapshot"],
    "retryWrites": ["false"],
    "retryReads": ["false"],
    "tz_aware": ["false"],
    "uuidRepresentation": ["javaLegacy", "pythonLegacy", "csharpLegacy", "unspecified"],
    "unicode_decode_error_handler": ["ignore", "replace"],
    "datetime_conversion": ["DATETIME_MS", "DATETIME_AUTO", "datetime_ms"],
}
EACH = [(name, value) for name, values in HOSTILE.items() for value in values]


@pytest.fixture
def opened() -> Iterator[Any]:
    """Opens an address as the service does, without a server; returns the database."""

    def open_(address: str) -> Any:
        return open_database("", host=address, connect=False, **OURS)

    yield open_
    close_database()


def reasons(address: str, live: bool = False) -> list[str]:
    return list(objections(address, live=live))


def test_every_option_that_pymongo_knows_is_classified_once() -> None:
    classes = [set(FIXED), OVERRULED, set(UNCHECKED), FREE]
    callers = {"driver", "server_api"}  # objects, which no text can be

    assert {name.lower() for each in classes for name in each} == set(common.URI_OPTIONS_VALIDATOR_MAP) - callers
    assert sum(map(len, classes)) == len(KNOWN)
    assert HOSTILE.keys() == FIXED.keys()


@pytest.mark.parametrize("name", sorted(set(common.VALIDATORS) - {each.lower() for each in KNOWN}))
def test_what_only_a_caller_of_pymongo_can_say_is_no_option(name: str) -> None:
    assert reasons(f"{HOST}?{name}=x") == [f"has an unknown option: {name}"]


@pytest.mark.parametrize(("name", "value"), EACH)
@pytest.mark.parametrize("form", ["?{}={}", "?appName=a&{}={}", "?appName=a;{}={}", "?{}={}&maxPoolSize=9"])
def test_what_the_code_relies_on_no_address_changes(name: str, value: str, form: str) -> None:
    for scheme, written in product(("mongodb://", "mongodb+srv://"), (name, name.upper())):
        (told, *more) = reasons(f"{scheme}host.example/shop{form.format(written, value)}")

        assert told.startswith(f"must not set {name}")
        assert not more


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in FIXED for value in FIXED[name][0]])
def test_what_an_address_only_repeats_is_good(name: str, value: str, opened: Any) -> None:
    address = f"{HOST}?{name}={value}"

    assert reasons(address) == []
    database = opened(address)
    assert deviations(database, State._get_collection(), {}) == []


@pytest.mark.parametrize(("name", "value"), EACH)
def test_what_came_of_an_address_is_looked_up(name: str, value: str, opened: Any) -> None:
    """Also where nobody asked the address: then ours is in force, or the check says that it is not."""
    try:
        database = opened(f"{HOST}?{name}={value}")
    except (mongoengine.ConnectionFailure, KeyError):
        return  # as MongoEngine makes nothing of it
    collection = State._get_collection()
    if deviations(database, collection, {}):
        return

    for each in (
        database.client,
        database,
        collection,
        *(model._get_collection() for model in kinds().values()),
    ):
        assert (each.write_concern.document | {"fsync": None}).items() >= {"w": "majority"}.items()
        assert each.write_concern.document.get("j") is not False
        assert each.read_preference.name == "Primary"
        assert each.read_concern.level in (None, "local")
        assert each.codec_options == CODEC
    options = database.client.options
    assert (options.retry_writes, options.retry_reads) == (True, True)


def test_the_time_limits_are_ours_whatever_an_address_says(opened: Any) -> None:
    said = "&".join(f"{name}=70000" for name in sorted(OVERRULED))

    assert reasons(f"{HOST}?{said}") == []
    options = opened(f"{HOST}?{said}").client.options
    assert options.timeout == options.server_selection_timeout == options.pool_options.connect_timeout == TIMEOUT / 1000
    assert options.pool_options.socket_timeout is None
    assert options.pool_options.metadata["application"]["name"] == "stripe-mongo-sync"


def test_a_single_member_of_a_set_is_not_read_alone(opened: Any) -> None:
    database = opened(f"{HOST}?directConnection=true")
    (told,) = deviations(database, State._get_collection(), {"hosts": ["a:1", "b:1"], "setName": "rs0"})

    assert "directConnection=true" in told
    assert deviations(database, State._get_collection(), {"hosts": ["a:1"], "setName": "rs0"}) == []


def test_settings_that_were_not_read_are_asked_as_well() -> None:
    with pytest.raises(BadSettings, match="MONGODB_URI must not set readPreference"):
        sync.connect(Settings("sk_test_x", mongodb_uri=f"{HOST}?readPreference=secondary"))
    with pytest.raises(sync.NotConnected):
        sync.current()


def test_what_only_the_client_finds_is_told_without_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OURS, "connect", False)
    with pytest.raises(SyncError, match="MONGODB_URI cannot be used: minPoolSize must be smaller"):
        sync.connect(Settings("sk_test_x", mongodb_uri=f"{HOST}?minPoolSize=5&maxPoolSize=2"))
    address = "mongodb://ann:p%3Ass@host/shop?tlsCertificateKeyFilePassword=hunter"

    assert connection._reason(address, ValueError("no p:ss here")) == "ValueError"
    assert connection._reason(address, ValueError("no hunter here")) == "ValueError"
    assert connection._reason(address, ValueError("no file here")) == "no file here"


def test_a_connection_that_others_opened_is_left_to_them() -> None:
    """Even where it has the alias that is ours."""
    where = {"host": "mongodb://127.0.0.1:9", "connect": False, "uuidRepresentation": "standard"}
    mongoengine.connect("theirs", alias="stripe_mongo_sync", **where)
    try:
        with pytest.raises(AlreadyConnected, match=r"uses MongoEngine's alias `stripe_mongo_sync`"):
            sync.connect(Settings("sk_test_x", mongodb_uri=HOST))
        assert mongoengine.connection.get_db("stripe_mongo_sync").name == "theirs"
    finally:
        mongoengine.disconnect("stripe_mongo_sync")


# --- the database ---


@pytest.mark.parametrize("name", ["admin", "local", "config", "Admin", "LOCAL", "%61dmin", "conf%69g"])
@pytest.mark.parametrize("server", ["mongodb://host", "mongodb+srv://host.example", "mongodb://ann:word@a,b:2"])
def test_a_database_of_mongodbs_own_is_not_taken(server: str, name: str) -> None:
    (told,) = reasons(f"{server}/{name}?authSource=admin")

    assert "MongoDB's own" in told


@pytest.mark.parametrize(
    "name",
    ["a.b", ".a", "a%2Eb", "a b", "a%20b", "a+b", "a/b", "a%2Fb", "shop/", "$a", "%24a", "a%00", 'a"', "a\\b"]
    + ["a" * 64, "%C3%A9" * 32, "a%0Ab", "*", "a:b", "a|b", ""],
)
def test_a_name_that_no_database_can_have_is_refused(name: str) -> None:
    (told,) = reasons(f"mongodb://host/{name}")

    assert "database" in told or "blanks" in told


@pytest.mark.parametrize("name", ["shop", "stripe_sync", "a-b", "Administration", "locals", "a" * 63, "caf%C3%A9"])
def test_any_other_name_is_a_database(name: str, opened: Any) -> None:
    address = f"mongodb://127.0.0.1:9/{name}"

    assert reasons(address) == []
    assert opened(address).name == read_address(address).database


# --- what cannot be read ---


@pytest.mark.parametrize("place", ["user", "password"])
@pytest.mark.parametrize("sign", [":", "/", "?", "#@", "[/", "]/", "@", "%", "%zz", "?w=1&x=", "/admin?w=", "&x=;@"])
def test_nothing_of_the_credentials_is_told(place: str, sign: str) -> None:
    secret = f"Zq9{sign}Kv7"
    user, password = (secret, "Wj4") if place == "user" else ("Wj4", secret)

    told = " ".join(reasons(f"mongodb://{user}:{password}@host/shop", live=True))

    for part in ("Zq9", "Kv7", "Wj4"):
        assert part not in told
    if (place, sign) != ("user", ":"):
        assert "percent-encoded" in told


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("", "must begin with mongodb://"),
        ("localhost", "must begin with mongodb://"),
        ("postgres://host/shop", "must begin with mongodb://"),
        ("MONGODB://host/shop", "must begin with mongodb://"),
        ("mongodb://", "must name servers"),
        ("mongodb:///shop", "must name servers"),
        ("mongodb://a,,b/shop", "must name servers"),
        ("mongodb://host:/shop", "must name servers"),
        ("mongodb://host:0/shop", "must name servers"),
        ("mongodb://host:65536/shop", "must name servers"),
        ("mongodb://host:port/shop", "must name servers"),
        ("mongodb://::1/shop", "must name servers"),
        ("mongodb://[::1/shop", "must name servers"),
        ("mongodb://ann:/shop", "must name servers"),
        ("mongodb://host/shop ?w=majority", "blanks"),
        ("mongodb://host/shop\n", "blanks"),
        ("mongodb://host/shop\udcff", "blanks"),
        ("mongodb://host/shop?w", "name=value"),
        ("mongodb://host/shop?w=majority&", "name=value"),
        ("mongodb://host/shop?appName=a=b", "name=value"),
        ("mongodb://host/shop?a=1&b=2;c=3", "by &, and not by ;"),
        ("mongodb://host/shop?tls=perhaps", "sets tls to a value"),
        ("mongodb://host/shop?tls=True", "sets tls to a value"),
        ("mongodb://host/shop?maxPoolSize=many", "sets maxPoolSize to a value"),
        ("mongodb://host/shop?authMechanism=NONE", "sets authMechanism to a value"),
        ("mongodb://host/shop?tlsCAFile=/nowhere/ca.pem", "sets tlsCAFile to a file"),
        ("mongodb://host/shop?ssl_cert_reqs=CERT_NONE", "unknown option: ssl_cert_reqs"),
        ("mongodb://host/shop?w=majority&W=majority", "sets w twice"),
        ("mongodb://host/shop?tls=true&TLS=false", "sets tls twice"),
        ("mongodb://host/shop?j=false", "unknown option: j"),
        ("mongodb://a,b/shop?directConnection=true", "contradict each other"),
        ("mongodb://host/shop?tls=true&ssl=false", "contradict each other"),
        ("mongodb://host/shop?tlsInsecure=true&tlsAllowInvalidHostnames=true", "contradict each other"),
        ("mongodb+srv://a.example,b.example/shop", "only one host"),
        ("mongodb+srv://a.example:27017/shop", "port"),
        ("mongodb+srv://ann:p@ss@a.example/shop", "percent-encoded"),
    ],
)
def test_an_address_that_cannot_be_read_is_refused_with_the_real_reason(address: str, why: str) -> None:
    (told,) = reasons(address)

    assert why in told
    with pytest.raises(BadAddress):
        read_address(address)


def test_all_that_is_wrong_with_the_options_is_told_at_once() -> None:
    assert len(reasons(f"{HOST}?w=1&readPreference=nearest&retryWrites=false")) == 3


def test_a_value_is_read_as_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "a+b & c;d.pem").touch()

    written = quote_plus(str(tmp_path / "a+b & c;d.pem"))
    assert reasons(f"mongodb://host/shop?tls=true&tlsCAFile={written}") == []
    assert reasons("mongodb://h/shop?authMechanism=GSSAPI&authMechanismProperties=SERVICE_NAME:x") == []


@pytest.mark.parametrize(
    "address",
    [
        "mongodb://host/shop?authMechanism=MONGODB-X509&tls=true&tlsCertificateKeyFile=/dev/null",
        "mongodb://u%40a:p%3A%2F%3F%23%5B%5D%40%25@[::1]:27017,b:2/shop?replicaSet=rs0&authSource=admin&compressors=zlib",
        "mongodb://%2Frun%2Fmongodb-27017.sock/shop",
        "mongodb+srv://u:p@cluster0.abcde.mongodb.net/shop?retryWrites=true&w=majority&appName=Cluster0",
        "mongodb://u:p@h/shop?ssl=true&retryWrites=true&maxIdleTimeMS=120000&serverSelectionTimeoutMS=200&loadBalanced=true",
    ],
)
def test_what_providers_hand_out_is_good(address: str) -> None:
    assert reasons(address, live=True) == []


# --- TLS ---

BEYOND = [
    "mongodb://u:p@db.example/shop?tls=true&",
    "mongodb+srv://u:p@db.example/shop?",
    "mongodb://127.0.0.1,10.0.0.7/shop?",
]


@pytest.mark.parametrize("option", UNCHECKED)
@pytest.mark.parametrize("server", BEYOND)
def test_tls_that_checks_nothing_is_refused_with_a_live_key(server: str, option: str) -> None:
    (told,) = reasons(f"{server}{option}=true", live=True)

    assert told.startswith(f"must not set {option} with a live key")
    assert reasons(f"{server}{option}=true") == reasons(f"{server}{option}=false", live=True) == []
    assert reasons(f"mongodb://127.0.0.1,[::1]:2,localhost/shop?tls=true&{option}=true", live=True) == []


@pytest.mark.parametrize("option", ["tls", "ssl"])
def test_an_address_that_encrypts_by_itself_is_not_told_to_stop_with_a_live_key(option: str) -> None:
    address = f"mongodb+srv://u:p@db.example/shop?{option}=false"

    assert len(reasons(address, live=True)) == 1
    assert reasons(address) == []


def test_no_representation_of_an_address_shows_a_secret() -> None:
    assert "Zq9" not in repr(read_address("mongodb://Zq9:Zq9@h/shop?tlsCertificateKeyFilePassword=Zq9"))


def test_the_page_of_decisions_names_each_option_that_is_fixed() -> None:
    page = Path("docs/decisions/0156-what-an-address-may-say.md").read_text()

    assert [name for name in (*FIXED, *UNCHECKED) if f"`{name}`" not in page] == []
