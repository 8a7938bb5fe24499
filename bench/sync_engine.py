"""The peer: @supabase/stripe-sync-engine from npm behind fastify, with the PostgreSQL of this machine.

npm puts it into `.dev/`, once. PostgreSQL has the settings that it is delivered with, which are durable, and a private
directory, which is removed.
"""

import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from stripe_mongo_sync.bench.measure import cpu_seconds_below
from stripe_mongo_sync.demo.mongod import free_port
from stripe_mongo_sync.demo.process import Ended
from stripe_mongo_sync.demo.stack import ROOT

VERSIONS = ("@supabase/stripe-sync-engine@0.48.5", "stripe@20.4.1", "fastify@5.12.8")
NODE = 20
INSTALLED = ROOT / ".dev" / "sync-engine"
HOST = Path(__file__).with_suffix(".mjs")
NOBODY = "postgres"  # PostgreSQL refuses to be run by root
STOP = 20.0  # seconds for a clean end


def missing() -> list[str]:
    """Return what this machine lacks to run the peer."""
    lacks = []
    if not shutil.which("npm") or _node() < NODE:
        lacks.append(f"npm, with node {NODE} or newer")
    if _binaries() is None:
        lacks.append("PostgreSQL: `apt install postgresql`, or initdb on PATH")
    elif os.getuid() == 0 and not (_exists(NOBODY) and shutil.which("setpriv")):
        lacks.append(f"a user called {NOBODY}, or to be started by one that is not root")
    return lacks


def _node() -> int:
    node = shutil.which("node")
    told = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout if node else ""
    found = re.match(r"v(\d+)", told)
    return int(found[1]) if found else 0


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def _binaries() -> Path | None:
    """Return the directory of PostgreSQL's programs: the one on PATH, else the newest of Debian's."""
    if on_path := shutil.which("initdb"):
        return Path(on_path).resolve().parent
    found = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    return max((path.parent for path in found), key=lambda path: float(path.parent.name), default=None)


def install() -> None:
    """Let npm install the peer, unless it is there. Raises Ended if it cannot."""
    if not (INSTALLED / "node_modules" / "@supabase").exists():
        quiet = ("--no-audit", "--no-fund", "--loglevel=error", "--save-exact")
        INSTALLED.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            ["npm", "install", "--prefix", str(INSTALLED), *quiet, *VERSIONS],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Ended(f"npm could not install {VERSIONS[0]}:\n{done.stderr.strip()}")
    shutil.copy(HOST, INSTALLED / HOST.name)  # node looks for packages beside the file that imports them


class Postgres:
    """A PostgreSQL of its own, from entry to exit."""

    def __enter__(self) -> Self:
        binaries = _binaries()
        if binaries is None:
            raise Ended("there is no PostgreSQL to start")
        self._binaries, self._port = binaries, free_port()
        self._directory = Path(tempfile.mkdtemp(prefix="postgres-"))
        self._as_user: list[str] = []
        if os.getuid() == 0:
            shutil.chown(self._directory, NOBODY)
            self._as_user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        try:
            self._run("initdb", "-U", NOBODY, "--auth=trust", "-E", "UTF8", "--locale=C")
            where = f"-p {self._port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self._directory}"
            self._run("pg_ctl", "-w", "-l", str(self._directory / "log"), "-o", where, "start")
        except BaseException:
            shutil.rmtree(self._directory)
            raise
        self._pid = int((self._directory / "postmaster.pid").read_text().split()[0])
        return self

    def __exit__(self, *_: object) -> None:
        self._run("pg_ctl", "-w", "-m", "fast", "stop")
        shutil.rmtree(self._directory)

    def used(self) -> float:
        """Return the seconds of processor time that it used so far; each connection has a process."""
        return cpu_seconds_below(self._pid)

    def url(self, database: str) -> str:
        """Return the address of a database."""
        return f"postgres://{NOBODY}@127.0.0.1:{self._port}/{database}"

    def ask(self, sql: str, database: str = "postgres") -> str:
        """Return what the statement yields, as text."""
        command = [str(self._binaries / "psql"), "-qAt", self.url(database), "-c", sql]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as_user, str(self._binaries / program), "-D", str(self._directory), *arguments]
        with tempfile.TemporaryFile("w+") as said:  # no pipe: the server would keep it open
            if subprocess.run(command, cwd="/", stdout=said, stderr=said, check=False).returncode:
                said.seek(0)
                raise Ended(f"{program} failed:\n{said.read().strip()}")


class SyncEngine:
    """The peer as so many processes, each on the same database."""

    path = "/webhooks"

    def __init__(self, postgres: Postgres, workers: int) -> None:
        self.name = f"sync-engine, {workers} process{'es' * (workers > 1)}"
        self.secret = f"whsec_{secrets.token_hex(16)}"
        self._postgres, self._workers, self._database = postgres, workers, f"bench{workers}"
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Run it, with an empty database."""
        self._postgres.ask(f"create database {self._database}")
        environment = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": self._postgres.url(self._database),
            "SECRET": self.secret,
            "PORT": str(self._port),
            "WORKERS": str(self._workers),
        }
        command = ["node", HOST.name]
        subprocess.run(command, cwd=INSTALLED, env={**environment, "MIGRATE": "1"}, check=True)
        self._process = subprocess.Popen(command, cwd=INSTALLED, env=environment, stdout=subprocess.PIPE, text=True)
        try:
            self._await()
            yield self
        finally:
            self._process.send_signal(signal.SIGTERM)
            self._process.communicate(timeout=STOP)

    def _await(self) -> None:
        """Return when each process serves. Raises Ended if one does not."""
        said = self._process.stdout
        for _ in range(self._workers):
            if said is None or said.readline() != "serves\n":
                raise Ended(f"{self.name} did not start")

    def used(self) -> tuple[float, float]:
        """Return the seconds of processor time so far of the service and of its database."""
        return cpu_seconds_below(self._process.pid), self._postgres.used()

    def prove(self, name: str, second: int, count: int) -> None:
        """Assert that so many customers have this name."""
        found = self._postgres.ask(f"select count(*) from stripe.customers where name = '{name}'", self._database)
        assert int(found) == count, f"{self.name}: {found} of {count} rows"
