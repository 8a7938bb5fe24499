"""With LOG_FORMAT=json every line of every process is a JSON object: gunicorn's master, its workers, the commands."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from stripe_mongo_sync.demo.stack import Stack
from tests.support import ROOT, eventually
from tests.support.mongo import MongoServer


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_every_line_of_a_service_and_its_commands_is_a_json_object(mongo_server: MongoServer) -> None:
    log_as_json = {"LOG_FORMAT": "json", "API_TOKENS": "a-token-of-the-shop,ops:operate:a-token-of-the-operators"}
    with Stack(mongodb=mongo_server.uri("x"), environment=log_as_json, token="a-token-of-the-shop") as stack:
        before = stack.workers()
        made = stack.service.post("/customers", {"username": "ada@here.com"})
        ops = {"Authorization": "Bearer a-token-of-the-operators"}
        asked = stack.service.call("POST", f"/operations/{made.body['id']}/retry", headers=ops)
        os.kill(before[0], signal.SIGKILL)
        eventually(lambda: len(stack.workers()) == 2)
        os.kill(stack.process("gunicorn").pid, signal.SIGHUP)
        eventually(lambda: len(stack.workers()) == 2 and not {*before} & {*stack.workers()}, 30)
        code, _ = stack.reconcile()
        stack.stop("gunicorn")
        served = lines(stack.process("gunicorn").log.read_text())
        reconciled = lines((stack.directory / "reconcile.log").read_text())
        stack.start("gunicorn")

    assert code == 0
    assert reconciled
    assert "Starting gunicorn" in served[0]["message"], "the master's first line"
    assert {"gunicorn.error", "stripe_mongo_sync", "stripe_mongo_sync.api"} <= {line["logger"] for line in served}
    (retried,) = [line for line in served if "asks to retry" in line["message"]]
    assert (retried["request"], retried["document"]) == (asked.headers["X-Request-Id"], made.body["id"])
    (active,) = [line for line in served if "→ active" in line["message"]]
    assert (active["request"], active["document"]) == (made.headers["X-Request-Id"], made.body["id"])
    assert "ada@here.com" not in json.dumps([*served, *reconciled])


def test_why_a_service_cannot_start_is_one_line_of_its_log(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "LOG_FORMAT": "json", "API_RATE": "many"}
    command = [sys.executable, "-m", "gunicorn", "--config", str(ROOT / "gunicorn.conf.py")]

    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)

    assert done.returncode == 2
    told = [line for line in lines(done.stderr) if line["level"] == "CRITICAL"]
    assert len(told) == 1
    assert "cannot start: STRIPE_SECRET_KEY is missing; " in told[0]["message"]
    assert "API_RATE must be a whole number" in told[0]["message"]
