"""How gunicorn serves the application; its command line and GUNICORN_CMD_ARGS override every line of this."""

import sys
from pathlib import Path
from typing import Any

from sync.errors import BadSettings
from sync.settings import Settings

wsgi_app = "wsgi:app"
bind = "127.0.0.1:8000"  # private unless somebody decides otherwise, say with --bind 0.0.0.0:8000 behind a proxy

# Threads, because a request waits for Stripe and MongoDB far more than it computes, and because a client that sends its
# body slowly then holds one thread, where it would hold a whole `sync` worker.
worker_class = "gthread"
workers = 2  # one can die or restart while the other serves; more only when a core is busy
threads = (
    8  # per worker: 16 requests can wait for Stripe at once, well below its limit of 100 a second (25 in test mode)
)

# A request has a budget of 45 s and checks it itself: `timeout` only ends a worker whose main loop hangs.
timeout = 60
graceful_timeout = 60  # longer than that budget, so a restart cuts nothing; shorter than the 120 s lease of a document
keepalive = (
    75  # longer than the idle time of the usual proxies (60 s): they close first, so no request meets a closed socket
)

# Every worker makes its own Stripe and MongoDB clients anyway, and one that is recycled reads the settings anew.
preload_app = False

# X-Forwarded-* is believed from a proxy on this machine only. Name yours with --forwarded-allow-ips.
forwarded_allow_ips = "127.0.0.1,::1"

# The heartbeat is a file that each worker touches; on a busy disk that can block, and a healthy worker would be ended.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 – gunicorn makes a private file in it
control_socket_disable = True  # it would be one path for all services of a user

# One line per request is left to the proxy: a path can hold a username. Transitions are logged by the service itself.
accesslog = None
errorlog = "-"


def on_starting(server: Any) -> None:
    """Complain about the settings, all at once, before a port is opened."""
    try:
        Settings.from_environment(serve=True)
    except BadSettings as error:
        print("cannot start:", *error.problems, sep="\n  ", file=sys.stderr)
        sys.exit(2)
