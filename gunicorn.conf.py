"""gunicorn's configuration for this service; its command line and GUNICORN_CMD_ARGS override every line.

It imports nothing that a worker class may replace (as gevent does), directly or through our modules. So the settings
are checked later, in `on_starting`.
"""

import os
import sys
from itertools import count
from typing import Any

from stripe_mongo_sync.sync.last_good import LAST_GOOD
from stripe_mongo_sync.sync.process.environment import logs_as_json


def refuse(*why: str) -> None:
    """Print the reasons and exit with 2, before a port is opened."""
    from stripe_mongo_sync.sync.process.screen import cannot_start

    cannot_start(*why)
    sys.exit(2)


def number(name: str, least: int, most: int) -> int | None:
    """Return the number in an environment variable; None if it is empty. A bad number ends the process."""
    given = os.environ.get(name, "").strip()
    if not given:
        return None
    if not (given.isascii() and given.isdigit() and len(given) < 6 and least <= int(given) <= most):
        refuse(f"{name} must be a whole number from {least} to {most}")
    return int(given)


wsgi_app = "stripe_mongo_sync.wsgi:app"
# Only this machine can connect, unless --bind 0.0.0.0:8000 (behind a proxy) or a platform's PORT says otherwise.
port = number("PORT", 1, 65535)
bind = f"0.0.0.0:{port}" if port else "127.0.0.1:8000"

# Threads, because a request waits for Stripe and MongoDB far more than it computes. A worker of our own, because in
# gunicorn's workers a slow or silent client occupies a thread.
worker_class = "stripe_mongo_sync.api.server.worker.Worker"
workers = number("WEB_CONCURRENCY", 1, 1000) or 2  # one can die while the other serves; more when a core is busy
threads = 8  # per worker and kind of request: 16 calls can wait for Stripe at once, below its limit of 100 a second

# A request has a budget of 45 s and checks it itself: `timeout` only ends a worker whose main loop hangs.
timeout = 60
graceful_timeout = 60  # longer than that budget, so a restart cuts no request; shorter than a lease of 120 s
keepalive = 75  # s, longer than the usual proxies keep an idle connection (60 s): they close first, and lose no request
sendfile = False  # it would block on a client that does not take its response

# Each worker makes its own clients of Stripe and MongoDB anyway, and a new worker must get newly read settings.
preload_app = False


def everybody(addresses: str) -> bool:
    """Return whether this list of addresses includes every address."""
    return any(each.strip() == "*" or each.strip().endswith("/0") for each in addresses.split(","))


# X-Forwarded-* and SCRIPT_NAME are accepted from no client, or only from the proxies whose addresses are listed here.
# With `*` or 0.0.0.0/0, every client can claim https, but none can set SCRIPT_NAME.
proxies = os.environ.get("FORWARDED_ALLOW_IPS", "").strip()
forwarded_allow_ips = proxies
forwarder_headers = "SCRIPT_NAME" if proxies and not everybody(proxies) else ""

# Each worker touches a heartbeat file. On a busy disk that can block, and gunicorn would end a healthy worker.
shared = "/dev/shm"  # noqa: S108 – gunicorn makes a private file in it
worker_tmp_dir = shared if os.path.isdir(shared) and os.access(shared, os.W_OK | os.X_OK) else None
ROOM = 16 * 1024 * 1024  # bytes; a worker writes some 200 kB there, and who writes to a full one is ended
control_socket_disable = True  # its path would be the same for all services of a user

# No access log: a path can contain a username. The proxy can log requests; the service logs transitions.
accesslog = None
errorlog = "-"
if logs_as_json():
    logger_class = "stripe_mongo_sync.api.server.logger.Logger"

RUNS = (worker_class, "gthread", "sync")
ONLY = (
    "this worker serves HTTP/1.1 only: let a proxy handle TLS, HTTP/2, uwsgi and PROXY, or use --worker-class gthread"
)


def on_starting(server: Any) -> None:
    """Report all errors of options and settings together, before a port is opened, and exit with 2 if there are any."""
    chosen, why = server.cfg.worker_class_str, []
    if chosen not in RUNS:
        why.append(f"--worker-class {chosen} does not run this service: leave it out, or use gthread or sync")
    if "SCRIPT_NAME" in server.cfg.forwarder_headers and everybody(",".join(server.cfg.forwarded_allow_ips)):
        why.append("--forwarded-allow-ips lets every client set SCRIPT_NAME: list the addresses of the proxies instead")
    spoken = (server.cfg.protocol, server.cfg.http_protocols, server.cfg.proxy_protocol, server.cfg.is_ssl)
    if chosen == RUNS[0] and spoken != ("http", ["h1"], "off", None):
        why.append(ONLY)
    if why:
        refuse(*why)
    if chosen != RUNS[0]:
        server.log.warning(
            "%s: slow and silent clients occupy its threads, so a proxy must buffer whole requests", chosen
        )
    from stripe_mongo_sync.sync.errors import BadSettings

    try:
        LAST_GOOD.begin()
    except BadSettings as error:
        refuse(*error.problems)
    import stripe_mongo_sync.api.app  # noqa: F401 – before the fork: it is loaded once, and the workers share its memory

    share_counts(server)


def share_counts(server: Any) -> None:
    """Make the folder in which the workers count for `/metrics`: in memory, where there is room, and for us alone."""
    import shutil
    import tempfile

    roomy = worker_tmp_dir is not None and shutil.disk_usage(worker_tmp_dir).free > ROOM
    try:
        server.counts = tempfile.mkdtemp(prefix="stripe-sync-counts-", dir=worker_tmp_dir if roomy else None)
        if (server.cfg.uid, server.cfg.gid) != (os.geteuid(), os.getegid()):  # else systemd may have forbidden it
            os.chown(server.counts, server.cfg.uid, server.cfg.gid)
    except OSError as error:
        server.log.error("no folder for the counts can be made (%s): each worker has its own", type(error).__name__)
    else:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = server.counts
    import prometheus_client  # noqa: F401 – it reads that now; and it is loaded once, too


def on_exit(server: Any) -> None:
    """Remove that folder."""
    import shutil

    if hasattr(server, "counts"):
        shutil.rmtree(server.counts, ignore_errors=True)


def pre_fork(server: Any, worker: Any) -> None:
    """Read the settings again before a worker starts; if they have errors, it gets the previous ones.

    It counts at the first place that is free, and goes on with what the dead one there counted.
    """
    LAST_GOOD.renew(server.log.error)
    taken = {other.place for other in server.WORKERS.values()}
    worker.place = next(place for place in count() if place not in taken)


def post_fork(server: Any, worker: Any) -> None:
    """Let a worker count and trace. If it cannot, it serves nevertheless."""
    from stripe_mongo_sync.sync import metrics, traces

    for what, begin in (("counts", lambda: metrics.begin_at(worker.place)), ("traces", traces.begin)):
        try:
            begin()
        except Exception as error:
            worker.log.error("the %s of this worker are shown to nobody else (%s)", what, type(error).__name__)


def post_worker_init(worker: Any) -> None:
    """Record that a worker serves: from now on, a worker that cannot start does not end the service."""
    LAST_GOOD.begins_to_serve()
    worker.log.info("Worker %s serves", worker.pid)
