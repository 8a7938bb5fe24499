"""`python -m bench.proxy`: a proxy of the emulator that answers the list of events itself, and counts the requests.

The emulator sorts its whole list for each page, and would hold 100,000 events in memory: a benchmark would measure the
emulator. This proxy computes each page when it is requested, and passes all other requests on.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

from stripe_mongo_sync.demo.stack import ROOT
from stripe_mongo_sync.emulator.fronts.control import Control
from stripe_mongo_sync.emulator.state.clock import Clock

PAGE = 100
PASSED_ON = ("Authorization", "Content-Type", "Idempotency-Key", "Stripe-Version")
COUNTS = "/_proxy"  # path of the counts

Json = dict[str, Any]


@dataclass(frozen=True)
class Listing:
    """The missed events: in each round, one second after the one before, every customer is edited once."""

    event: Json  # the template of all: they differ in id, object, name and second
    customers: Sequence[str]
    count: int
    first: int  # the second of the first round

    def page(self, cursor: str) -> str:
        """Return the events that follow `cursor`, newest first."""
        end = int(cursor.rpartition("_")[2]) if cursor else self.count
        numbers = range(end - 1, max(end - 1 - PAGE, -1), -1)
        data, more = ",".join(map(self._event, numbers)), "true" if end > PAGE else "false"
        return f'{{"object": "list", "url": "/v1/events", "has_more": {more}, "data": [{data}]}}'

    def _event(self, number: int) -> str:
        turn = number // len(self.customers)
        remote = self.event["data"]["object"]
        about = {**remote, "id": self.customers[number % len(self.customers)], "name": f"Edited {turn}"}
        event = {**self.event, "id": f"evt_missed_{number}", "created": self.first + turn, "data": {"object": about}}
        return json.dumps(event)


class StripeProxy(ThreadingHTTPServer):
    """Answers on its own port, `delay` seconds after each request."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, stripe: str, delay: float, listing: Listing) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.stripe, self.delay, self.listing = urlsplit(stripe).netloc, delay, listing
        self.clock = Clock(Control(stripe).clock.now() - time.time())  # with the emulator's offset of now
        self.seconds: Counter[int] = Counter()
        self.answers: Counter[int] = Counter()
        self.counting = threading.Lock()

    def count(self, status: int) -> None:
        """Count a request and its status."""
        with self.counting:
            self.seconds[int(time.time())] += 1
            self.answers[status] += 1


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16  # head and body leave in one packet
    server: StripeProxy

    def setup(self) -> None:
        super().setup()
        self.behind = HTTPConnection(self.server.stripe, timeout=60)

    def finish(self) -> None:
        self.behind.close()
        super().finish()

    def serve(self) -> None:
        asked = urlsplit(self.path)
        query = parse_qs(asked.query)
        if asked.path == COUNTS:
            counts = {"busiest": max(self.server.seconds.values(), default=0), "answers": self.server.answers}
            return self._say(200, {}, json.dumps(counts).encode())
        time.sleep(self.server.delay)
        if asked.path == "/v1/events" and not any(name.startswith("types") for name in query):
            status, page = 200, self.server.listing.page(query.get("starting_after", [""])[0])
            headers, body = (
                {"Content-Type": "application/json", "Date": formatdate(self.server.clock.now(), usegmt=True)},
                page.encode(),
            )
        else:
            status, headers, body = self._ask(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        self.server.count(status)
        return self._say(status, headers, body)

    do_GET = do_POST = do_DELETE = serve

    def _ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        headers = {name: self.headers[name] for name in PASSED_ON if name in self.headers}
        self.behind.request(self.command, self.path, body, headers)
        reply = self.behind.getresponse()
        return reply.status, dict(reply.getheaders()), reply.read()

    def _say(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name != "Content-Length":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: the log would be measured, too."""


@contextmanager
def stripe_proxy(stripe: str, listing: Listing, directory: Path, delay: float = 0.0) -> Iterator[str]:
    """Run a proxy of the emulator in its own process; yield its address."""
    file = directory / "listing.json"
    file.write_text(json.dumps(vars(listing)))
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.proxy", stripe, str(delay), str(file)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
    )
    try:
        assert process.stdout
        yield process.stdout.readline().strip()
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()


def counted(url: str) -> tuple[int, Counter[int]]:
    """Return the requests of the busiest second, and the number of answers of each status."""
    with urlopen(url + COUNTS) as reply:
        counts = json.load(reply)
    return counts["busiest"], Counter({int(status): number for status, number in counts["answers"].items()})


def main() -> None:
    """Serve until killed."""
    stripe, delay, file = sys.argv[1:]
    server = StripeProxy(stripe, float(delay), Listing(**json.loads(Path(file).read_text())))
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
