"""The audit fails on what is known to be vulnerable, and on nothing else; what could not be asked is said."""

from typing import Any

import pytest

from tests.audit import judge

FINE = {"name": "flask", "version": "3.1.3", "vulns": []}
BAD = {"name": "jinja", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1", "2.0"]}]}
UNKNOWN = {"name": "ours", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("found", "why", "code", "told"),
    [
        ([FINE], "", 0, ["1 packages asked about, 0 with known vulnerabilities"]),
        ([FINE, BAD], "", 1, ["jinja 1.0: PYSEC-1, fixed in 1.1, 2.0", "2 packages asked about, 1 with known"]),
        ([FINE, UNKNOWN], "", 0, ["NOT ASKED: 1 packages that it does not show", "1 packages asked about"]),
        ([BAD, UNKNOWN], "", 1, ["jinja 1.0", "NOT ASKED: 1 packages", "1 packages asked about, 1 with"]),
        ([UNKNOWN], "", 0, ["NOT ASKED: 1 packages"]),
        ([], "requests.exceptions.ConnectionError: x", 0, ["NOT ASKED: the advisory database (requests."]),
        ([], "No module named pip_audit", 1, ["the audit failed: No module"]),
        ([], "it said nothing", 1, ["the audit failed"]),
    ],
)
def test_only_a_known_vulnerability_fails(found: list[dict[str, Any]], why: str, code: int, told: list[str]) -> None:
    judged, lines = judge(found, why)

    assert judged == code
    assert len(lines) == len(told)
    assert all(line.startswith(start) for line, start in zip(lines, told, strict=True))
