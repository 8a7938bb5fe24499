"""What gunicorn.conf.py makes of the environment and the machine; it is run as gunicorn runs it."""

import os
import runpy
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support import ROOT
from tests.support.world import KEY, SECRET, TOKEN

ASKED = ("PORT", "WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS")


def conf(monkeypatch: pytest.MonkeyPatch, **environment: str) -> dict[str, Any]:
    for name in ASKED:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return runpy.run_path(str(ROOT / "gunicorn.conf.py"))


def test_without_a_platform_it_is_private_and_believes_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    told = conf(monkeypatch)

    assert (told["bind"], told["workers"]) == ("127.0.0.1:8000", 2)
    assert (told["forwarded_allow_ips"], told["forwarder_headers"]) == ("", "")


@pytest.mark.parametrize(
    ("given", "bind", "workers"),
    [
        ({"PORT": "8080"}, "0.0.0.0:8080", 2),
        ({"PORT": " 65535 ", "WEB_CONCURRENCY": "1"}, "0.0.0.0:65535", 1),
        ({"WEB_CONCURRENCY": "12"}, "127.0.0.1:8000", 12),
        ({"PORT": "", "WEB_CONCURRENCY": " "}, "127.0.0.1:8000", 2),
    ],
)
def test_a_platform_says_where_to_listen_and_with_how_many_workers(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], bind: str, workers: int
) -> None:
    told = conf(monkeypatch, **given)

    assert (told["bind"], told["workers"]) == (bind, workers)


@pytest.mark.parametrize("name", ["PORT", "WEB_CONCURRENCY"])
@pytest.mark.parametrize("value", ["0", "-1", "http", "8000,", "1.5", "99999", "٣", "1" * 5_000])
def test_what_is_no_number_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        conf(monkeypatch, **{name: value})

    assert ended.value.code == 2
    assert f"{name} must be a whole number" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("proxies", "headers"),
    [
        ("10.0.0.1", "SCRIPT_NAME"),
        ("10.0.0.1,10.1.0.0/16", "SCRIPT_NAME"),
        ("*", ""),
        ("10.0.0.1, *", ""),
        ("0.0.0.0/0", ""),
        ("10.0.0.1,::/0", ""),
        (" ", ""),
    ],
)
def test_only_proxies_that_are_named_say_where_the_path_begins(
    monkeypatch: pytest.MonkeyPatch, proxies: str, headers: str
) -> None:
    told = conf(monkeypatch, FORWARDED_ALLOW_IPS=proxies)

    assert (told["forwarded_allow_ips"], told["forwarder_headers"]) == (proxies.strip(), headers)


@pytest.mark.parametrize("there", [True, False])
def test_the_heartbeat_is_in_memory_where_one_may_write_there(monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: there)
    monkeypatch.setattr(os.path, "isdir", lambda path: True)

    assert (conf(monkeypatch)["worker_tmp_dir"] is not None) == there


def test_gunicorns_master_imports_what_workers_share_but_nothing_before_the_worker_class() -> None:
    code = (
        "import sys; from types import SimpleNamespace; from gunicorn.app.wsgiapp import WSGIApplication\n"
        "sys.argv = ['gunicorn', '--config', 'gunicorn.conf.py']; app = WSGIApplication(); app.cfg.worker_class\n"
        "heavy = {'stripe', 'urllib3', 'requests', 'pymongo', 'mongoengine', 'flask', 'prometheus_client'}\n"
        "print(sorted(heavy & {*sys.modules}))\n"
        "server = SimpleNamespace(cfg=app.cfg); app.cfg.on_starting(server)\n"
        "print(sorted(heavy - {*sys.modules}), 'stripe_mongo_sync.wsgi' in sys.modules)\n"
        "import os; mode = oct(os.stat(server.counts).st_mode); app.cfg.on_exit(server)\n"
        "print(mode, os.environ['PROMETHEUS_MULTIPROC_DIR'] == server.counts, os.path.exists(server.counts))\n"
    )
    environment = {"PATH": os.environ["PATH"], "API_TOKENS": TOKEN, "MONGODB_URI": "mongodb://127.0.0.1:1/nowhere"}
    environment |= {"STRIPE_SECRET_KEY": KEY, "STRIPE_WEBHOOK_SECRET": SECRET}

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout.splitlines() == ["[]", "[] False", "0o40700 True False"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--worker-class", "asgi"], "--worker-class asgi does not run this service"),
        (["--worker-class", "tornado"], "tornado"),  # by gunicorn, where it is not installed
        (["--certfile", "pyproject.toml"], "serves HTTP/1.1 only"),
        (["--proxy-protocol"], "serves HTTP/1.1 only"),
        (["--forwarder-headers", "SCRIPT_NAME", "--forwarded-allow-ips", "0.0.0.0/0"], "every client set SCRIPT_NAME"),
    ],
)
def test_a_server_that_cannot_run_this_is_refused_before_a_port_is_opened(arguments: list[str], told: str) -> None:
    command = [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py", *arguments]

    done = subprocess.run(
        command, cwd=ROOT, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=60
    )

    assert done.returncode != 0
    assert told in done.stderr
    assert "Listening" not in done.stderr


def test_a_worker_counts_at_the_first_place_that_no_living_one_has(monkeypatch: pytest.MonkeyPatch) -> None:
    pre_fork = conf(monkeypatch)["pre_fork"]
    monkeypatch.setattr("stripe_mongo_sync.sync.last_good.LAST_GOOD.renew", lambda complain: None)
    server = SimpleNamespace(log=SimpleNamespace(error=None), WORKERS={})
    for pid in (11, 12, 13):
        pre_fork(server, worker := SimpleNamespace())
        server.WORKERS[pid] = worker
    del server.WORKERS[12]

    pre_fork(server, successor := SimpleNamespace())

    assert (successor.place, [each.place for each in server.WORKERS.values()]) == (1, [0, 2])


def test_who_may_give_no_file_away_counts_nevertheless(monkeypatch: pytest.MonkeyPatch) -> None:
    """The units for systemd forbid chown, and workers who run as the master's user need none."""

    def forbidden(*given: object) -> None:
        raise PermissionError("chown")

    monkeypatch.setattr("os.chown", forbidden)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")
    server = SimpleNamespace(cfg=SimpleNamespace(uid=os.geteuid(), gid=os.getegid()))
    made = conf(monkeypatch)

    made["share_counts"](server)
    shared = os.environ["PROMETHEUS_MULTIPROC_DIR"]
    made["on_exit"](server)

    assert shared == server.counts
    assert not os.path.exists(shared)


def test_without_a_folder_to_count_in_the_service_starts_nevertheless(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**given: object) -> str:
        raise OSError("no space")

    monkeypatch.setattr("tempfile.mkdtemp", full)
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    told: list[str] = []
    server = SimpleNamespace(log=SimpleNamespace(error=lambda form, *given: told.append(form % given)))
    made = conf(monkeypatch)

    made["share_counts"](server)
    made["on_exit"](server)

    assert told == ["no folder for the counts can be made (OSError): each worker has its own"]
    assert "PROMETHEUS_MULTIPROC_DIR" not in os.environ
