"""Chromium, and what drives it: where they are, and how a script is run in it. `make browser-tools` installs them."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.support import ROOT

TOOLS = ROOT / ".dev/browser-tools"
PICTURES = ROOT / ".dev/pictures"  # of each run, the last ones are kept
ABSENT = "Chromium or what drives it is not here: `apt install chromium` and `make browser-tools` (see CONTRIBUTING.md)"


def here() -> bool:
    """Return whether all of it is here."""
    packages = (TOOLS / "node_modules" / name for name in ("playwright-core", "axe-core"))
    return all(shutil.which(name) for name in ("chromium", "node")) and all(each.is_dir() for each in packages)


def browse(script: Path, name: str, **plan: Any) -> dict[str, Any]:
    """Run a script of Playwright's with this plan; return what it saw."""
    pictures = PICTURES / name
    shutil.rmtree(pictures, ignore_errors=True)
    pictures.mkdir(parents=True)
    given = {**plan, "tools": str(TOOLS), "chromium": shutil.which("chromium"), "pictures": str(pictures)}
    done = subprocess.run(
        ["node", str(script)], input=json.dumps(given), capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen
