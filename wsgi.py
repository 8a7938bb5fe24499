"""What gunicorn runs: the application, made in each worker after the fork. It starts whatever MongoDB does."""

import sys

from api import create_app
from api.last_good import LAST_GOOD
from sync.errors import BadSettings
from sync.logs import log_to_stderr
from sync.screen import tell

log_to_stderr("%(asctime)s %(levelname)s %(name)s: %(message)s")
try:
    app = create_app(LAST_GOOD.settings, patient=True)
except BadSettings as error:
    tell("cannot start:", *(f"  {problem}" for problem in error.problems), error=True)
    sys.exit(1 if LAST_GOOD.serves else 3)  # 3 makes gunicorn end, instead of trying for ever: at the first start only
