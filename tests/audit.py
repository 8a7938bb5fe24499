"""Asks the advisory database of PyPI whether anything that is installed here has a known vulnerability: `make audit`.

What is installed is what production runs, version by version (a test compares it with requirements.txt), and what
requirements-demo.txt and requirements-dev.txt lead to beside it.
One that is found fails. That the database cannot be asked is said, and fails nobody's build.
"""

import json
import re
import subprocess
import sys
from typing import Any

PATIENCE = 60.0  # s
OFFLINE = re.compile("Timeout|ConnectionError|ProxyError|SSLError|connect", re.IGNORECASE)


def installed() -> str:
    """Return every package and its version, but for pip itself and what belongs to it."""
    return _run("pip", "freeze", "--exclude-editable").stdout


def ask(packages: str) -> tuple[list[dict[str, Any]], str]:
    """Return what the database says of each package, and why it says nothing, if it does not."""
    quickly = ["--requirement", "/dev/stdin", "--no-deps", "--disable-pip"]  # all is pinned, so nothing is resolved
    try:
        told = _run("pip_audit", *quickly, "--format", "json", given=packages)
        return list(json.loads(told.stdout)["dependencies"]), ""
    except subprocess.TimeoutExpired:
        return [], f"no connection within {PATIENCE:.0f} s"
    except ValueError:
        return [], (told.stderr.strip().splitlines() or ["it said nothing"])[-1]


def judge(found: list[dict[str, Any]], why: str) -> tuple[int, list[str]]:
    """Return the exit code, and what to say."""
    bad = [one for one in found if one.get("vulns")]
    unknown = [one["name"] for one in found if "skip_reason" in one]
    lines = [
        f"{one['name']} {one['version']}: {hole['id']}, fixed in {', '.join(hole['fix_versions']) or 'no version yet'}"
        for one in bad
        for hole in one["vulns"]
    ]
    if not found and not OFFLINE.search(why):
        return 1, [f"the audit failed: {why}"]
    if not found:
        lines.append(f"NOT ASKED: the advisory database ({why})")
    if unknown:
        lines.append(
            f"NOT ASKED: {len(unknown)} packages that it does not show from here ({', '.join(unknown[:5])}, …)"
        )
    if asked := len(found) - len(unknown):
        lines.append(f"{asked} packages asked about, {len(bad)} with known vulnerabilities")
    return (1 if bad else 0), lines


def _run(module: str, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, input=given, capture_output=True, text=True, timeout=PATIENCE)


def main() -> int:
    """Ask, and tell."""
    code, lines = judge(*ask(installed()))
    print("\n".join(lines))
    return code


if __name__ == "__main__":
    sys.exit(main())
