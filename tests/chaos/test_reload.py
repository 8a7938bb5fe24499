"""A slip in a setting ends no running service: it goes on with the settings of before, and says why."""

import os
import signal

from demo.client import NoAnswer
from demo.stack import Stack
from tests.support import eventually

GOOD = b"RETENTION_DAYS=40\n"
SLIPS = {
    "RETENTION_DAYS": b"RETENTION_DAYS=7\n",
    "HOOKS": b"HOOKS=no_such_module_of_the_shop\n",
    ".env": b"RETENTION_DAYS=\xff\xfe\n",
}


def told(stack: Stack) -> str:
    """What whichever worker says of the settings; "" where all is well."""
    try:
        ready = stack.service.get("/readyz")
    except NoAnswer:
        return "?"
    return str(ready.body.get("settings", "")) if ready.status == 200 else "?"


def renew(stack: Stack, how: str) -> None:
    """Let gunicorn make new workers, and wait until only they are there."""
    before = stack.workers()
    if how == "reload":
        os.kill(stack.process("gunicorn").pid, signal.SIGHUP)
    else:
        for pid in before:
            os.kill(pid, signal.SIGKILL)
    eventually(lambda: len(stack.workers()) == len(before) and not {*before} & {*stack.workers()}, 30)


def test_a_slip_in_a_setting_ends_no_running_service(stack: Stack) -> None:
    env, log = stack.directory / ".env", stack.process("gunicorn").log
    for (name, slip), how in zip(SLIPS.items(), ("reload", "recycle", "recycle"), strict=True):
        said = log.read_text().count("the new settings are refused")
        env.write_bytes(slip)
        renew(stack, how)

        eventually(lambda name=name: name in told(stack), 30)  # type: ignore[misc]
        assert log.read_text().count("the new settings are refused") == said + 1, "once, not for each worker"
        assert name in log.read_text().rpartition("the new settings are refused")[2]
        assert stack.service.get("/customers").status == 200, "with the token of before"

    env.write_bytes(GOOD)
    renew(stack, "reload")
    eventually(lambda: told(stack) == "", 30)
    stack.process("gunicorn").check()
    env.unlink()
