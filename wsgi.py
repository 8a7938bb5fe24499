"""What gunicorn runs: the application, made in each worker after the fork. It starts whatever MongoDB does."""

import sys

from api import create_app
from sync.errors import BadSettings
from sync.logs import log_to_stderr

log_to_stderr("%(asctime)s %(levelname)s %(name)s: %(message)s")
try:
    app = create_app(patient=True)
except BadSettings as error:
    print("cannot start:", *error.problems, sep="\n  ", file=sys.stderr)
    sys.exit(3)  # gunicorn's "worker failed to boot": it ends, instead of trying again for ever
