"""Who does not ask for traces pays nothing for them, and who lacks the packages is told so."""

import os
import subprocess
import sys

import pytest

from stripe_mongo_sync.sync import traces
from tests.support import ROOT

NONE = """
import sys
from stripe_mongo_sync.sync import traces
traces.begin()
print("opentelemetry" in sys.modules, traces.span("a") is traces.span("b", {}, events=1), traces.span("a").__enter__())
"""
LACKS = """
import logging, sys
sys.modules["opentelemetry"] = None
logging.basicConfig(format="%(message)s")
from stripe_mongo_sync.sync import traces
traces.begin()
print(traces.span("a").__enter__())
"""


def run(code: str, **given: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, cwd=ROOT, env=environment | given, capture_output=True, text=True, timeout=60, check=True
    )


def test_without_an_address_nothing_is_loaded_and_a_span_is_always_the_same() -> None:
    assert run(NONE).stdout.split() == ["False", "True", "None"]


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])
def test_without_the_packages_it_says_what_to_install_and_goes_on(name: str) -> None:
    done = run(LACKS, **{name: "http://127.0.0.1:4318"})

    assert done.stdout.strip() == "None"
    assert done.stderr.strip() == traces.MISSING
