"""The image as it is deployed: the layers of the Dockerfile, run as its own user, with the commands of compose.yaml."""

import os
import re
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import yaml

from stripe_mongo_sync import __version__
from stripe_mongo_sync.demo.client import Client
from stripe_mongo_sync.demo.mongod import free_port
from tests.support import ROOT, eventually
from tests.support.image import CannotBuild, Image, python_for_others
from tests.support.package_index import needs_the_index, settings
from tests.support.rooms import PACKAGE
from tests.support.world import KEY, SECRET, TOKEN

pytestmark = [
    pytest.mark.long,  # pip fetches 20 packages: .ci/run runs it
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can run something as another user"),
]
COMPOSE: Mapping[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    python = python_for_others()
    if python is None:
        pytest.skip("no Python of this machine can be run by other users")
    top = Path(tempfile.mkdtemp(prefix="image-"))  # pytest's own folders are closed to others
    umask = os.umask(0o022)
    try:
        top.chmod(0o755)
        image = Image(top, python)
        try:
            image.build(settings())
        except CannotBuild as error:
            needs_the_index(str(error))
            raise
        yield image
    finally:
        os.umask(umask)
        shutil.rmtree(top)


def started(process: subprocess.Popen[str], pattern: str) -> str:
    """Read on until a line matches; return what its group says."""
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(pattern, line):
            return found[1]
    raise AssertionError(f"it ended with {process.wait()}, and said nothing of {pattern}")


def contents(image: Image) -> dict[Path, tuple[int, int, int]]:
    """Return each file of the image, with its owner, its mode and when it was changed."""
    paths = [path for top in ("app", "shop") for path in (image.root / top).rglob("*")]
    return {path: (path.lstat().st_uid, path.lstat().st_mode, path.lstat().st_mtime_ns) for path in paths}


def test_the_image_has_the_package_and_no_tools(image: Image) -> None:
    programs = {path.name for path in (image.root / "app/bin").iterdir()}

    assert image.run(*image.entrypoint, "--version") == (0, f"stripe-mongo-sync {__version__}\n")
    assert not [name for name in programs if name.startswith("pip")]
    assert not list((image.root / "app").rglob("setuptools"))
    assert not [path for path in contents(image) if path.name == ".env"]
    (package,) = (image.root / "app").glob(f"lib/*/site-packages/{PACKAGE}")
    assert not [name for name in ("tests", "demo", "bench", "docs") if (package / name).exists()]


def test_nothing_in_it_can_be_changed_by_its_user(image: Image) -> None:
    found = contents(image)

    assert len(found) > 1_000
    assert not [
        path
        for path, (owner, mode, _) in found.items()
        if owner == image.user or (mode & 0o002 and not path.is_symlink())
    ]


def test_everything_that_compose_starts_works_as_its_user(image: Image, new_database: str) -> None:
    port, before = free_port(), contents(image)
    url = f"http://127.0.0.1:{port}"
    given = {"STRIPE_SECRET_KEY": KEY, "STRIPE_WEBHOOK_SECRET": SECRET, "API_TOKENS": TOKEN, "PORT": str(port)}
    given |= {"MONGODB_URI": new_database}

    def command(name: str) -> list[str]:
        """What compose starts of a service, with the addresses that it has here."""
        service = COMPOSE[name]
        words = [*service.get("entrypoint", image.entrypoint), *service["command"]]
        here = {"http://service:8000": url, "${STRIPE_WEBHOOK_SECRET:-}": SECRET, "--host=0.0.0.0": "--port=0"}
        return [re.sub("|".join(map(re.escape, here)), lambda found: here[found[0]], word) for word in words]

    with image.running(*command("emulator")) as stripe:
        given["STRIPE_API_BASE"] = started(stripe, "ready at (.*)")
        assert image.run(*command("indexes"), **given)[0] == 0
        assert image.run(*image.healthcheck, **given)[0] != 0, "nobody serves yet"
        with image.running(*command("service"), **given) as service:
            started(service, "(serves)")
            client = Client(url, TOKEN)
            created = client.post("/customers", {"username": "user@here.com"})

            assert (created.status, created.body["status"]) == (201, "active")
            assert image.run(*image.healthcheck, **given) == (0, "")
            eventually(lambda: client.get("/customers/user@here.com").body["confirmed_at"])
            with image.running(*command("reconcile"), **given):
                ended, told = image.run(*image.entrypoint, "reconcile", **given)
                assert ended == 0, told
            ended, told = image.run(*image.entrypoint, "status", **given)
            assert ended == 0, told
            ended, told = image.run(*command("hooks"), **given)
            assert (ended, told) == (0, "HOOKS names no module with a hook: there is nothing to run\n")
    assert contents(image) == before, "a process wrote into its image"


def test_an_image_that_is_made_from_it_has_hooks_in_its_folder(image: Image, new_database: str) -> None:
    given = {"STRIPE_SECRET_KEY": KEY, "MONGODB_URI": new_database, "HOOKS": "my_shop"}
    (image.folder / "my_shop.py").write_text("from stripe_mongo_sync import on\n\n\n@on('*.active')\ndef f(n): ...\n")
    try:
        assert image.run(*image.entrypoint, "hooks", "run", **given) == (0, "nothing is due\n")
    finally:
        (image.folder / "my_shop.py").unlink()


@pytest.mark.skipif(shutil.which("systemd-socket-activate") is None, reason="systemd is not installed")
def test_the_service_takes_the_port_that_systemd_holds_and_says_when_it_serves(image: Image) -> None:
    address = ("127.0.0.1", free_port())
    given = {"STRIPE_SECRET_KEY": KEY, "STRIPE_WEBHOOK_SECRET": SECRET, "API_TOKENS": TOKEN, "WEB_CONCURRENCY": "1"}
    given |= {"MONGODB_URI": "mongodb://127.0.0.1:1/nowhere", "NOTIFY_SOCKET": f"@{uuid.uuid4().hex}"}
    passed_on = [option for name in given for option in ("-E", name)]
    holder = ("systemd-socket-activate", "--listen", f"{address[0]}:{address[1]}", *passed_on)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(given["NOTIFY_SOCKET"].replace("@", "\0"))
        systemd.settimeout(30)
        with image.running(*holder, str(image.root / "app/bin/stripe-mongo-sync"), "serve", **given) as process:
            started(process, "(Listening on)")
            with closing(HTTPConnection(*address, timeout=30)) as probe:
                probe.request("GET", "/healthz")  # before there is a process: it waits for one
                assert probe.getresponse().status == 200
            assert systemd.recv(200).startswith(b"READY=1")
