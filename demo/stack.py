"""Runs the whole service as local processes: MongoDB, the emulator, gunicorn, and if wanted reconcile and hooks.

`make demo` runs its story on a `Stack`, `make dev` keeps one running, and end-to-end tests and benchmarks use it. Its
processes never outlive it, however its owner ends, and leave no files.
"""

import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from pymongo import MongoClient, timeout
from pymongo.database import Database
from pymongo.errors import PyMongoError

from stripe_mongo_sync.demo.client import Client, Json
from stripe_mongo_sync.demo.mongod import Mongod, free_port, input_of, is_free
from stripe_mongo_sync.demo.process import Ended, Process, wait_until
from stripe_mongo_sync.emulator.fronts.control import Control

ROOT = Path(__file__).resolve().parents[1]
KEPT = (
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LD_LIBRARY_PATH",
    "PATH",
    "TMPDIR",
)  # inherited
COMMANDS = {"reconcile": ("reconcile",), "hooks": ("hooks", "run")}
WORKERS = 2  # of gunicorn, as in its configuration
SERVES = re.compile(r"Worker (\d+) serves")

# Reads the running process groups, newest first, whenever they change. Its input ends when the owner ends, even by
# SIGKILL. Then it kills the groups that are left, and removes the directory with their logs.
JANITOR = """
while read -r line; do groups=$line; done
for group in $groups; do kill -s KILL -- "-$group"; done
rm -rf "$1"
"""
ANSWERS = 5.0  # s for a MongoDB that somebody else runs


class Taken(RuntimeError):
    """Another process listens on the port that the service was to use."""

    def __init__(self, port: int) -> None:
        super().__init__(f"port {port} is taken: end the process that listens there, or choose another with --port")


class Silent(RuntimeError):
    """The MongoDB that was named does not answer."""

    def __init__(self, hosts: str, why: Exception) -> None:
        do = "start it, or unset MONGODB_URI, and one is started for you"
        super().__init__(f"the MongoDB of MONGODB_URI, {hosts}, does not answer ({type(why).__name__}): {do}")


class Stack:
    """A running service: `stack.service` is a client of its API, and `stack.stripe` controls the emulator."""

    def __init__(
        self,
        *,
        workers: int = WORKERS,
        threads: int | None = None,
        environment: Mapping[str, str] | None = None,
        seed: int | None = None,
        state: Path | None = None,
        mongodb: str | None = None,
        reconcile_every: float | None = None,
        hooks_every: float | None = None,
        port: int | None = None,
        token: str | None = None,
    ) -> None:
        """Prepare a stack.

        `workers` and `threads` are gunicorn's; `environment` adds settings; `seed` and `state` are options
        of the emulator; `mongodb` is the address of a server to use instead of an embedded one. `reconcile_every` and
        `hooks_every` are the seconds between background runs of reconcile and hooks; without them, neither runs. `port`
        and `token` are the service's, if they must be known beforehand.
        """
        self.mongod = None if mongodb else Mongod(fast=True)
        self._beside = {"reconcile": reconcile_every, "hooks": hooks_every}
        self._port, self._token = port, token
        self._server = mongodb
        self._workers = workers
        self._sizes = {"--workers": workers, "--threads": threads}
        self._emulator_options = {"--seed": seed, "--state": state}
        self._extra = dict(environment or {})
        self._processes: dict[str, Process] = {}
        self._end = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._end.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._end.close()

    def _start(self) -> None:
        if self._port is not None and not is_free(self._port):
            raise Taken(self._port)
        self.directory = Path(tempfile.mkdtemp(prefix="stripe-sync-"))
        self._janitor = self._begin_janitor()
        self.mongodb_uri = self._begin_mongodb()
        client: MongoClient[Any] = self._end.enter_context(MongoClient(self.mongodb_uri, tz_aware=True))
        self.database: Database[Any] = client.get_default_database()
        if self.mongod is None:
            try:
                with timeout(ANSWERS):
                    client.admin.command("ping")
            except PyMongoError as error:
                hosts = ", ".join(f"{host}:{port}" for host, port in client.topology_description.server_descriptions())
                raise Silent(hosts, error) from error
            self._end.callback(client.drop_database, self.database.name)  # the server outlives this stack
        self.stripe_url, self.url = (f"http://127.0.0.1:{port}" for port in (free_port(), self._port or free_port()))
        self.stripe, self.service = Control(self.stripe_url), Client(self.url, self._token or secrets.token_hex(16))
        self.environment = self._environment()
        self._begin("emulator", "emulator", *self._emulator_arguments())
        self._begin("gunicorn", "gunicorn", *self._gunicorn_arguments())
        for name, every in self._beside.items():
            if every is not None:
                self._begin(name, "sync", *COMMANDS[name], "--every", str(every))

    # --- the processes ---

    def process(self, name: str) -> Process:
        """Return the process with this name: emulator, gunicorn, reconcile or hooks."""
        return self._processes[name]

    def start(self, name: str) -> None:
        """Start a process, and return as soon as it answers. Raises Ended if it ends first."""
        process = self._processes[name]
        process.start()
        self._tell_janitor()
        ready = {"emulator": self._emulator_answers, "gunicorn": self._service_answers}.get(name)
        if ready:
            wait_until(ready, process)

    def stop(self, name: str) -> None:
        """Stop a process gracefully."""
        self._processes[name].stop()
        self._tell_janitor()

    def kill(self, name: str, *, alone: bool = False) -> None:
        """`kill -9` a process and its children; with `alone`, only the process: its children end when they notice."""
        self._processes[name].kill(alone=alone)
        self._tell_janitor()

    def check(self) -> None:
        """Raise Ended, with the end of its log, if a process died."""
        for process in self._processes.values():
            process.check()

    def workers(self) -> list[int]:
        """Return the process ids of gunicorn's workers that serve, from its log, as every operating system has that."""
        pids = SERVES.findall(self.process("gunicorn").log.read_text(errors="replace"))
        return [pid for pid in map(int, pids) if _exists(pid)]

    def reconcile(self, *options: str) -> tuple[int, Json]:
        """Run `python -m sync reconcile` once, and return its exit code and its report."""
        with (self.directory / "reconcile.log").open("ab") as log:
            done = subprocess.run(
                [sys.executable, "-m", "sync", "reconcile", "--json", *options],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=self.directory,
                env=self.environment,
                check=False,
            )
        return done.returncode, json.loads(done.stdout or b"{}")

    # --- how they are started ---

    def _begin_janitor(self) -> subprocess.Popen[str]:
        janitor = subprocess.Popen(
            ["sh", "-c", JANITOR, "janitor", str(self.directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,  # Ctrl-C must reach only the owner; the janitor ends last
            text=True,
        )
        self._end.callback(janitor.wait)
        self._end.callback(input_of(janitor).close)
        return janitor

    def _begin_mongodb(self) -> str:
        if self.mongod is not None:
            return self._end.enter_context(self.mongod).uri("stripe_sync")
        if self._server is None:
            raise Ended("there is no mongod to start: set MONGODB_URI to the address of one")
        return with_database(self._server, f"stripe_sync_demo_{uuid.uuid4().hex}")

    def _begin(self, name: str, *arguments: str) -> None:
        self._processes[name] = Process(name, list(arguments), self.environment, self.directory)
        self._end.callback(self.stop, name)
        self.start(name)

    def _environment(self) -> dict[str, str]:
        """Return the environment of the processes; the owner's settings, gunicorn options and proxies are left out."""
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        self.settings = self._settings()
        return {**kept, "PYTHONPATH": os.pathsep.join(paths), **self.settings}

    def _settings(self) -> dict[str, str]:
        """Return the settings by which our commands reach this stack, as a `.env` would have them."""
        self.webhook_secret = f"whsec_{secrets.token_hex(16)}"
        return {
            "STRIPE_SECRET_KEY": "sk_test_demo",
            "STRIPE_WEBHOOK_SECRET": self.webhook_secret,
            "STRIPE_API_BASE": self.stripe_url,
            "API_TOKENS": self.service.token,
            "API_RATE": "0",  # no limit, as benchmarks and chaos tests use this stack, too
            "MONGODB_URI": self.mongodb_uri,
            **self._extra,
        }

    def _emulator_arguments(self) -> list[str]:
        webhooks = ["--webhook-url", f"{self.url}/webhooks/stripe", "--webhook-secret", self.webhook_secret]
        # A killed worker is back within a second; a demo cannot wait the hours after which Stripe would retry.
        return ["--port", _port(self.stripe_url), *webhooks, "--fast-retries", *_options(self._emulator_options)]

    def _gunicorn_arguments(self) -> list[str]:
        config = ["--config", str(ROOT / "gunicorn.conf.py")]
        return [*config, "--bind", f"127.0.0.1:{_port(self.url)}", *_options(self._sizes)]

    def _emulator_answers(self) -> bool:
        return bool(self.stripe.account)

    def _service_answers(self) -> bool:
        """Return whether all workers serve. One of them answers a little before the last has begun."""
        return self.service.get("/readyz").status == 200 and len(self.workers()) >= self._workers

    def _tell_janitor(self) -> None:
        running = [str(process.pid) for process in reversed(self._processes.values()) if process.running]
        pipe = input_of(self._janitor)
        pipe.write(" ".join(running) + "\n")
        pipe.flush()


def with_database(server: str, database: str) -> str:
    """Return the address of a database on that server, with the write concern that the service requires."""
    parts = urlsplit(server)
    options = [option for option in parts.query.split("&") if option and not option.startswith("w=")]
    if "@" in parts.netloc and "authSource=" not in parts.query:  # the default is the database in the address
        options.append(f"authSource={parts.path.strip('/') or 'admin'}")
    return parts._replace(path=f"/{database}", query="&".join([*options, "w=majority"])).geturl()


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _options(given: Mapping[str, object]) -> list[str]:
    return [word for name, value in given.items() if value is not None for word in (name, str(value))]


def _port(url: str) -> str:
    return str(urlsplit(url).port)
