"""What gunicorn runs: the application, made in each worker after the fork."""

import sys

from api import create_app
from api.app import log_to_stderr
from sync.errors import SyncError

log_to_stderr()
try:
    app = create_app()
except SyncError as error:
    print("cannot start:", error, file=sys.stderr)
    sys.exit(2)
