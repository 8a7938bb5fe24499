"""The package as others have it: built, installed where no checkout is, beside an application with the same names."""

import json
import os
import re
import shutil
import site
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from stripe_mongo_sync import __version__
from stripe_mongo_sync.demo.mongod import free_port
from tests.support import ROOT, eventually
from tests.support.mongo import MongoServer
from tests.support.rooms import PACKAGE, PRODUCT
from tests.support.typed_user import USER
from tests.support.world import KEY, SECRET, TOKEN

PAGE = (".html", ".css", ".js", ".svg")  # the files of the operator's page
NAMES = ("models", "sync", "api", "ops", "webhooks")  # an application may well have folders of these names
BUILD = "from setuptools import build_meta; import sys; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"
HOST = '''
"""An application with a database, documents and folders of its own."""
import json
import sys

import mongoengine

import api, models, sync, webhooks

assert {each.WHOSE for each in (api, models, sync, webhooks)} == {"the host's"}
mongoengine.connect(host=sys.argv[1])


class Customer(mongoengine.Document):
    name = mongoengine.StringField()


class Order(mongoengine.Document):
    customer = mongoengine.ReferenceField("Customer")


Order(customer=Customer(name="Ann").save()).save()

import stripe_mongo_sync

stripe_mongo_sync.connect()
ours = stripe_mongo_sync.create_customer("ann@here.com")
order = Order.objects.get()
assert type(order.customer) is Customer and order.customer.name == "Ann"
try:
    ours.save()
except stripe_mongo_sync.ReadOnly as error:
    assert "update" in str(error)
else:
    raise AssertionError("save() wrote on a document of ours")
mine = sorted(mongoengine.get_db().list_collection_names())
assert stripe_mongo_sync.__file__.startswith(sys.prefix), "the installed one"
print(json.dumps({"id": str(ours.id), "status": ours.status, "stripe_id": ours.stripe_id, "collections": mine}))
'''
LIBRARIES = """
[mypy]
[mypy-stripe.*,flask.*,werkzeug.*,pymongo.*,requests.*,mongoengine.*]
follow_imports = skip
"""


def run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None, code: int = 0) -> str:
    """Run a program, which must end with `code`; return what it printed."""
    told = subprocess.run([*map(str, command)], cwd=cwd, env=env, capture_output=True, text=True, timeout=120)
    assert told.returncode == code, f"{command}: {told.returncode}\n{told.stdout}\n{told.stderr}"
    return told.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist of this checkout, and the wheel made of that."""
    made, source = tmp_path_factory.mktemp("built"), tmp_path_factory.mktemp("source") / "checkout"
    tracked = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT).split("\0")
    for name in filter(None, tracked):  # not this folder itself: what an earlier build left in it would come along
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, source / name)
    run(sys.executable, "-c", BUILD, "build_sdist", made, cwd=source)
    with tarfile.open(next(made.glob("*.tar.gz"))) as archive:
        archive.extractall(source.parent, filter="data")
    run(sys.executable, "-c", BUILD, "build_wheel", made, cwd=source.parent / f"{PACKAGE}-{__version__}")
    return made


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a fresh environment: the package comes from the wheel alone, what it needs from here, offline."""
    place = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", "--without-pip", place, cwd=place)
    python = place / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check")
    run(*pip, "install", "--no-index", "--no-deps", "--no-compile", *built.glob("*.whl"), cwd=place)
    (packages,) = place.glob("lib/python*/site-packages")
    needed = [folder for folder in sys.path if folder in site.getsitepackages() or folder.endswith("site-packages")]
    (packages / "needed.pth").write_text("\n".join(needed))  # their own .pth files are not read: no checkout is found
    return place / "bin"


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """The folder of an application."""
    for name in NAMES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text('WHOSE = "the host\'s"\n')
    (tmp_path / "host.py").write_text(HOST)
    return tmp_path


def test_both_are_whole_and_have_nothing_else(built: Path) -> None:
    wheel, sdist = next(built.glob("*.whl")), next(built.glob("*.tar.gz"))
    names = set(zipfile.ZipFile(wheel).namelist())
    code = {f"{PACKAGE}/{path.relative_to(ROOT)}" for top in PRODUCT for path in (ROOT / top).rglob("*.py")}
    code |= {f"{PACKAGE}/{path.name}" for path in (*ROOT.glob("*.py"), *ROOT.glob("*.pyi"))}
    page = {f"{PACKAGE}/{path.relative_to(ROOT)}" for path in (ROOT / "ops").rglob("*.*") if path.suffix in PAGE}
    about = {name for name in names if name.startswith(f"{PACKAGE}-{__version__}.dist-info/")}

    assert len(page) > 12
    assert names - about == code | page | {
        f"{PACKAGE}/py.typed",
        f"{PACKAGE}/api/docs.html",
        f"{PACKAGE}/sync/operator/types.json",
    }
    assert {Path(name).name for name in about} >= {"LICENSE", "METADATA", "entry_points.txt"}
    run(sys.executable, "-m", "twine", "check", "--strict", wheel, sdist, cwd=built)


def started(process: subprocess.Popen[str], stream: Any, pattern: str) -> str:
    """Read on until a line matches; return what its group says."""
    for line in stream:
        if found := re.search(pattern, line):
            return found[1]
    raise AssertionError(f"it ended with {process.wait()}, and said nothing of {pattern}")


@contextmanager
def running(*command: str | Path, cwd: Path, env: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A process that is ended as a platform ends it."""
    process = subprocess.Popen(
        [*map(str, command)], cwd=cwd, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_it_works_beside_an_application_with_the_same_names(
    installed: Path, host: Path, new_database: str, mongo_server: MongoServer
) -> None:
    port, theirs = free_port(), "host_" + new_database.partition("?")[0].rpartition("/")[2]
    address = f"http://127.0.0.1:{port}/webhooks/stripe"
    env = {"PATH": os.environ["PATH"], "MONGODB_URI": new_database, "STRIPE_SECRET_KEY": KEY, "API_TOKENS": TOKEN}
    emulator = (installed / "python", "-m", f"{PACKAGE}.emulator", "--port", "0", "--fast-retries")
    served = ("serve", "--bind", f"127.0.0.1:{port}", "--workers", "1")
    with (
        MongoClient[Any](new_database) as mongo,
        running(*emulator, "--webhook-url", address, "--webhook-secret", SECRET, cwd=host, env=env) as stripe,
    ):
        env |= {"STRIPE_API_BASE": started(stripe, stripe.stdout, "ready at (.*)"), "STRIPE_WEBHOOK_SECRET": SECRET}
        with running(installed / "stripe-mongo-sync", *served, cwd=host, env=env) as service:
            started(service, service.stdout, "(Booting worker)")
            try:
                told = json.loads(run(installed / "python", "host.py", mongo_server.uri(theirs), cwd=host, env=env))

                assert (told["status"], told["collections"]) == ("active", ["customer", "order"])
                ours = mongo.get_default_database()["customers"]
                eventually(lambda: ours.find_one({"stripe_id": told["stripe_id"], "confirmed_at": {"$ne": None}}))
                report = json.loads(run(installed / "stripe-mongo-sync", "reconcile", "--json", cwd=host, env=env))
                assert (report["exit_code"], report["unseen"]) == (0, [])
                assert ours.count_documents({}) == 1
            finally:
                mongo.drop_database(theirs)


def test_a_command_finds_the_hooks_of_the_folder_where_it_is_started(
    installed: Path, host: Path, new_database: str
) -> None:
    (host / "my_shop.py").write_text(
        'import models\nfrom stripe_mongo_sync import on\n\nassert models.WHOSE == "the host\'s"\n\n\n'
        "@on('customer.active')\ndef welcome(notice): ...\n"
    )
    env = {"PATH": os.environ["PATH"], "MONGODB_URI": new_database, "STRIPE_SECRET_KEY": KEY, "HOOKS": "my_shop"}
    command = (installed / "stripe-mongo-sync", "hooks", "list", "--json")

    run(*command, cwd=host, env=env)
    run(*command, cwd=host.parent, env=env, code=2)
    run(*command, cwd=host, env=env | {"PYTHONSAFEPATH": "1"}, code=2)


def test_mypy_tells_a_user_of_wrong_uses_and_of_nothing_else(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(USER)
    (tmp_path / "mypy.ini").write_text(LIBRARIES)  # nothing in it is of their types, and to check them takes longer

    told = run(
        *(sys.executable, "-m", "mypy", "--strict", "--hide-error-context", "--no-error-summary"),
        *("--python-executable", installed / "python", "--cache-dir", os.devnull, "shop.py"),
        cwd=tmp_path,
        code=1,
    )

    errors = {int(line) for line in re.findall(r"^shop\.py:(\d+): error:", told, re.MULTILINE)}
    wrong = {number for number, line in enumerate(USER.splitlines(), 1) if line.endswith("# wrong")}
    assert errors == wrong, told


def test_the_page_about_testing_a_shop(installed: Path, new_database: str, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "testing-your-shop.md").read_text()
    (tmp_path / "test_my_shop.py").write_text(re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0])
    environment = {"PATH": os.environ["PATH"], "MONGODB_URI": new_database}

    told = run(installed / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=tmp_path, env=environment)

    assert "3 passed" in told


def test_the_plugin_of_pytest_loads_nothing_until_a_fixture_is_asked_for(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text(
        "import sys\n\ndef test_of_others():\n"
        "    loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "    assert 'stripe_mongo_sync.testing' in sys.modules\n"
        "    assert not loaded & {'flask', 'mongoengine', 'pymongo', 'stripe'}\n"
    )
    plain = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-p", "no:schemathesis")

    assert "1 passed" in run(installed / "python", "-m", "pytest", "-q", *plain, cwd=tmp_path)
