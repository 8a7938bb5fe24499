"""The WSGI application that gunicorn loads in each worker, after the fork. It starts even without MongoDB."""

import sys

from stripe_mongo_sync.api import create_app
from stripe_mongo_sync.sync.errors import BadSettings
from stripe_mongo_sync.sync.last_good import LAST_GOOD
from stripe_mongo_sync.sync.logs import log_to_stderr
from stripe_mongo_sync.sync.process.environment import logs_as_json
from stripe_mongo_sync.sync.process.screen import cannot_start

log_to_stderr("%(asctime)s %(levelname)s %(name)s: %(message)s", as_json=logs_as_json())
try:
    app = create_app(LAST_GOOD.settings, patient=True)
    app.extensions["door"] = True  # it is served as it is: the worker may take webhooks for it
except BadSettings as error:
    cannot_start(*error.problems)
    sys.exit(1 if LAST_GOOD.serves else 3)  # 3 ends gunicorn, instead of endless restarts; only at the first start
