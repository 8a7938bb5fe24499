"""How gunicorn serves the application; its command line and GUNICORN_CMD_ARGS override every line of this.

It imports nothing that a worker class may replace (gevent does), and nothing of ours that does: the settings are
checked when that is done.
"""

import os
import sys
from typing import Any

from stripe_mongo_sync.api.last_good import LAST_GOOD


def refuse(*why: str) -> None:
    """End before a port is opened."""
    from stripe_mongo_sync.sync.process.screen import tell

    tell("cannot start:", *(f"  {each}" for each in why), error=True)
    sys.exit(2)


def number(name: str, least: int, most: int) -> int | None:
    """Return the number that the environment gives; None if it gives nothing."""
    given = os.environ.get(name, "").strip()
    if not given:
        return None
    if not (given.isascii() and given.isdigit() and len(given) < 6 and least <= int(given) <= most):
        refuse(f"{name} must be a whole number from {least} to {most}")
    return int(given)


wsgi_app = "stripe_mongo_sync.wsgi:app"
# Private unless somebody decides otherwise, with --bind 0.0.0.0:8000 behind a proxy, or a platform that sets PORT.
port = number("PORT", 1, 65535)
bind = f"0.0.0.0:{port}" if port else "127.0.0.1:8000"

# Threads, because a request waits for Stripe and MongoDB far more than it computes; and our own worker, because in
# gunicorn's whoever is slow or silent holds one.
worker_class = "stripe_mongo_sync.api.server.worker.Worker"
workers = number("WEB_CONCURRENCY", 1, 1000) or 2  # one can die while the other serves; more when a core is busy
threads = 8  # per worker and kind of request: 16 calls can wait for Stripe at once, below its limit of 100 a second

# A request has a budget of 45 s and checks it itself: `timeout` only ends a worker whose main loop hangs.
timeout = 60
graceful_timeout = 60  # longer than that budget, so a restart cuts nothing; shorter than the 120 s lease of a document
keepalive = (
    75  # longer than the idle time of the usual proxies (60 s): they close first, so no request meets a closed socket
)
sendfile = False  # it would wait for who does not take an answer

# Every worker makes its own Stripe and MongoDB clients anyway, and for one that is recycled the settings are read anew.
preload_app = False


def everybody(addresses: str) -> bool:
    """Whether these addresses are all that there are."""
    return any(each.strip() == "*" or each.strip().endswith("/0") for each in addresses.split(","))


# Who is believed when it says how a request reached it (X-Forwarded-*, SCRIPT_NAME): nobody, or the proxies that are
# named by their addresses. With `*` or 0.0.0.0/0 everybody may say it was https; nobody may say where the path begins.
proxies = os.environ.get("FORWARDED_ALLOW_IPS", "").strip()
forwarded_allow_ips = proxies
forwarder_headers = "SCRIPT_NAME" if proxies and not everybody(proxies) else ""

# The heartbeat is a file that each worker touches; on a busy disk that can block, and a healthy worker would be ended.
shared = "/dev/shm"  # noqa: S108 – gunicorn makes a private file in it
worker_tmp_dir = shared if os.path.isdir(shared) and os.access(shared, os.W_OK | os.X_OK) else None
control_socket_disable = True  # it would be one path for all services of a user

# One line per request is left to the proxy: a path can hold a username. Transitions are logged by the service itself.
accesslog = None
errorlog = "-"

RUNS = (worker_class, "gthread", "sync")
ONLY = (
    "TLS, HTTP/2, uwsgi and the PROXY protocol end at a proxy; here is HTTP/1.1 (--worker-class gthread has the others)"
)


def on_starting(server: Any) -> None:
    """Complain about all that is wrong, at once, before a port is opened."""
    chosen, why = server.cfg.worker_class_str, []
    if chosen not in RUNS:
        why.append(f"--worker-class {chosen} does not run this service: take none, gthread or sync")
    if "SCRIPT_NAME" in server.cfg.forwarder_headers and everybody(",".join(server.cfg.forwarded_allow_ips)):
        why.append(
            "--forwarded-allow-ips lets everybody say where the path begins: name the proxies by their addresses"
        )
    spoken = (server.cfg.protocol, server.cfg.http_protocols, server.cfg.proxy_protocol, server.cfg.is_ssl)
    if chosen == RUNS[0] and spoken != ("http", ["h1"], "off", None):
        why.append(ONLY)
    if why:
        refuse(*why)
    if chosen != RUNS[0]:
        server.log.warning(
            "%s: slow and silent strangers hold its threads; a proxy must take in requests whole", chosen
        )
    from stripe_mongo_sync.sync.errors import BadSettings

    try:
        LAST_GOOD.begin()
    except BadSettings as error:
        refuse(*error.problems)


def pre_fork(server: Any, worker: Any) -> None:
    """Read the settings again before a worker is made: after a slip it has those of before."""
    LAST_GOOD.renew(server.log.error)


def post_worker_init(worker: Any) -> None:
    """From now on no worker that cannot start ends the service."""
    LAST_GOOD.begins_to_serve()
