"""What needs MongoDB only waits for no stripe-python."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.world import KEY, SECRET

ROOT = Path(__file__).resolve().parents[4]
READERS = ("status", "operations list", "indexes --dry-run", "indexes", "events list", "hooks list")
RUN = """
import json, sys
from stripe_mongo_sync.sync.__main__ import main
told = {}
for line in sys.argv[1:]:
    code = main(line.split())
    told[line] = [code, sorted({"stripe", "requests"} & {name.partition(".")[0] for name in sys.modules})]
print(json.dumps(told))
"""


def test_what_needs_mongodb_only_does_not_import_stripe(database: str) -> None:
    environment = {"STRIPE_SECRET_KEY": KEY, "STRIPE_WEBHOOK_SECRET": SECRET, "MONGODB_URI": database}
    command = [sys.executable, "-c", RUN, *READERS]
    told = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, **environment})

    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout.splitlines()[-1]) == {line: [0, []] for line in READERS}, told.stdout
