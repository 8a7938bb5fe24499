"""`make demo` tells the truth, `make dev` is what it says, and neither leaves anything behind."""

import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from dotenv import dotenv_values

from stripe_mongo_sync.demo.__main__ import story
from stripe_mongo_sync.demo.mongod import find_mongod, free_port
from stripe_mongo_sync.demo.process import Ended
from stripe_mongo_sync.demo.shop import Shop
from stripe_mongo_sync.demo.stack import ROOT, Stack, with_database
from stripe_mongo_sync.demo.story import CHAPTERS, Expectation, chapter
from stripe_mongo_sync.models import kinds
from tests.support import eventually
from tests.support.mongo import MongoServer

IN_SYNC = re.compile(r"in sync: (\d+) documents, (\d+) Stripe objects, 0 orphans")

pytestmark = pytest.mark.skipif(
    not (os.environ.get("MONGODB_URI") or find_mongod()), reason="there is no MongoDB to tell the story on"
)


@pytest.fixture(scope="module")
def running(mongo_server: MongoServer) -> Iterator[Stack]:
    with Stack(mongodb=mongo_server.address, workers=1) as stack:
        yield stack


@pytest.fixture
def stack(running: Stack) -> Stack:
    """A running stack whose both sides are empty, so that they are in sync."""
    running.stripe.wipe()
    for collection in (*(model._get_collection_name() for model in kinds().values()), "stripe_events"):
        running.database[collection].delete_many({})
    return running


@dataclass
class Left:
    """A stack that `--stay` left running: what it printed, and which processes and files it has."""

    process: subprocess.Popen[str]
    printed: str
    port: int

    def pids(self) -> list[int]:
        found = [int(pid) for pid in re.findall(r"pid (\d+)", self.printed)]
        log = (self.logs / "gunicorn.log").read_text()
        return [*found, *(int(pid) for pid in re.findall(r"Booting worker with pid: (\d+)", log))]

    @property
    def logs(self) -> Path:
        return Path(re.findall(r"logs +(\S+)", self.printed)[0])


@contextmanager
def left_running() -> Iterator[Left]:
    """Run `python -m demo --stay` as a terminal would: in a process group of its own."""
    port = free_port()
    command = [sys.executable, "-m", "demo", "--stay", "--port", str(port)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout
        lines: list[str] = []
        try:
            for line in process.stdout:
                lines.append(line)
                if "Ctrl-C" in line:
                    break
            yield Left(process, "".join(lines), port)
        finally:
            if process.poll() is None:
                process.terminate()


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m demo` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "demo", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


def typed(lines: list[str], directory: Path) -> subprocess.CompletedProcess[str]:
    """Type lines into a shell of a user's, in that directory."""
    command = ["bash", "-c", "\n".join(lines)]
    environment = {"PATH": os.environ["PATH"]}
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def worked() -> float:
    """How many seconds of work all processes did that this one has started, and that have ended."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def test_the_story_is_true_and_told_in_under_a_minute() -> None:
    began = worked()

    told = demo()

    assert told.returncode == 0, told.stdout + told.stderr
    ended = IN_SYNC.fullmatch(told.stdout.splitlines()[-1])
    assert ended, told.stdout
    assert int(ended[1]) == int(ended[2]) > 0
    assert "✘" not in told.stdout
    assert told.stdout.count("✔") >= 2 * len(CHAPTERS)
    assert re.findall(r"^\d+\. (.*)", told.stdout, re.MULTILINE) == [each.title for each in CHAPTERS]
    assert worked() - began < 30, "seconds of work, on as few as one core; a clock would judge who else runs here"


def test_a_missed_expectation_is_a_cross_and_exit_code_1(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    @chapter("A chapter that is not true")
    def untrue(shop: Shop) -> Iterator[Expectation | str]:
        yield Expectation("Stripe has a customer", lambda: len(shop.stripe.usable("customer")), 1, timeout=0.1)
        yield Expectation("what follows from it", lambda: True)

    assert story(stack, (untrue,)) == 1

    printed = capsys.readouterr().out
    assert "✘ Stripe has a customer\n      expected 1\n      seen     0\n" in printed
    assert "what follows from it" not in printed
    assert printed.splitlines()[-1].startswith("1 of 1 expectations were not met; in sync: 0 documents")


def test_a_chapter_that_breaks_off_is_a_cross_and_the_next_one_runs(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    @chapter("A chapter that breaks off")
    def broken(shop: Shop) -> Iterator[Expectation | str]:
        yield shop.document("nobody")["id"]  # type: ignore[index]

    @chapter("A good chapter")
    def good(shop: Shop) -> Iterator[Expectation | str]:
        yield Expectation("all is well", lambda: True)

    assert story(stack, (broken, good)) == 1

    printed = capsys.readouterr().out
    assert "TypeError" in printed
    assert "✔ all is well" in printed


def test_an_orphan_at_stripe_is_told_and_exit_code_1(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    orphan = stack.stripe.insert("customer", email="nobody@here.com")

    assert story(stack, ()) == 1

    said = f"NOT in sync: 0 documents, 1 Stripe objects, 1 orphans; without a document: {orphan['id']}"
    assert capsys.readouterr().out.splitlines()[-1] == said


def test_a_document_without_its_object_is_told(stack: Stack) -> None:
    made = stack.service.post("/customers", {"username": "ada@here.com"}).body
    stack.stripe.wipe()

    report = Shop(stack).consistency()

    assert not report.in_sync
    assert str(report) == f"NOT in sync: 1 documents, 0 Stripe objects, 0 orphans; gone at Stripe: {made['id']}"


def test_a_document_that_differs_or_is_unsettled_is_told(stack: Stack) -> None:
    made = stack.service.post("/customers", {"username": "ada@here.com"}).body
    eventually(lambda: Shop(stack).consistency().in_sync)
    stack.database["customers"].update_one(
        {}, {"$set": {"stripe.name": "somebody else", "review_reason": "a person must look"}}
    )

    told = str(Shop(stack).consistency())

    assert f"different: {made['stripe_id']}" in told
    assert f"unsettled: {made['id']}" in told


def test_an_order_has_no_object_of_its_own_but_must_be_settled(stack: Stack) -> None:
    product = stack.service.post("/products", {"name": "Lamp"}).body["id"]
    price = stack.service.post("/prices", {"product": product, "currency": "eur", "unit_amount": 990}).body["id"]
    stack.service.post("/customers", {"username": "ada@here.com"})
    sale = {"username": "ada@here.com", "items": [{"price": price, "quantity": 1}], "payment": "checkout"}
    made = stack.service.post("/orders", {**sale, "success_url": "https://shop.example/thanks"}).body
    eventually(lambda: str(Shop(stack).consistency()) == "in sync: 4 documents, 4 Stripe objects, 0 orphans")

    stack.database["orders"].update_one({}, {"$set": {"review_reason": "a person must look"}})

    assert f"unsettled: {made['id']}" in str(Shop(stack).consistency())


def test_a_process_that_cannot_start_is_told_with_its_last_words(stack: Stack) -> None:
    with pytest.raises(Ended) as ended, Stack(mongodb=stack.mongodb_uri, environment={"RETENTION_DAYS": "1"}):
        pass

    assert str(ended.value).startswith("gunicorn ended with exit code 2; it last said:\n")
    assert "RETENTION_DAYS must be" in str(ended.value)


def test_a_process_comes_back_where_it_was_and_one_that_dies_is_told_and_nothing_is_left(
    stack: Stack, tmp_path: Path
) -> None:
    names = stack.database.client.list_database_names

    with Stack(mongodb=stack.mongodb_uri, workers=1, state=tmp_path / "stripe") as other:
        other.service.post("/customers", {"username": "ada@here.com"})
        for name in ("emulator", "gunicorn"):
            other.kill(name)
            other.start(name)

        assert other.service.get("/customers/ada@here.com").status == 200
        assert len(other.stripe.objects("customer")) == 1

        os.kill(other.process("emulator").pid, signal.SIGKILL)

        def told() -> str:
            try:
                other.check()
            except Ended as ended:
                return str(ended)
            return ""

        eventually(told)
        assert "emulator ended with exit code -9; it last said:\n    emulator ready at http" in told()
        assert other.database.name in names()

    assert other.database.name not in names(), "on a server of yours"


def test_the_lines_to_try_work_and_ctrl_c_stops_every_process_and_removes_every_file(
    subtests: pytest.Subtests, tmp_path: Path
) -> None:
    with left_running() as left:
        with subtests.test("the lines work as they are printed"):
            lines = [line for line in left.printed.splitlines() if line.startswith("curl ")]
            assert len(lines) == 3
            if shutil.which("curl") is None:
                (pytest.fail if "CI" in os.environ else pytest.skip)("there is no curl")
            for line in lines[:2]:
                subprocess.run(line, shell=True, check=True, capture_output=True, text=True)

            def listed() -> str:
                return subprocess.run(lines[2], shell=True, check=True, capture_output=True, text=True).stdout

            eventually(lambda: "you@here.com" in listed() and "zoe@here.com" in listed())
        with subtests.test("the printed .env leads the commands to the same stack"):
            dotenv = re.findall(r"^([A-Z_]+)=(.*)$", left.printed, re.MULTILINE)
            assert {name: shlex.split(value)[0] for name, value in dotenv} == dotenv_values(left.logs / ".env")
            told = typed(
                re.findall(r"^(set -a; .*|.*/stripe-mongo-sync status)$", left.printed, re.MULTILINE), tmp_path
            )
            assert told.returncode == 0, told.stderr
            assert "customers active 2" in told.stdout
        with subtests.test("doctor finds nothing to do"):
            lines = re.findall(r"^(set -a; .*)$|^(.*/stripe-mongo-sync) status$", left.printed, re.MULTILINE)
            told = typed([source or f"{command} doctor" for source, command in lines], tmp_path)
            assert told.returncode == 0, told.stdout + told.stderr
        with subtests.test("a second one says whose port it is"):
            second = demo("--stay", "--port", str(left.port))
            assert (second.returncode, second.stderr) == (
                1,
                f"✘ port {left.port} is taken: end the process that listens there, or choose another with --port\n",
            )
        with subtests.test("the hooks run"):
            eventually(lambda: (left.logs / "hooks.log").read_text().count("hook: customer.active ") == 2)

        pids, logs = left.pids(), left.logs
        assert len(pids) >= 4
        assert all(map(exists, pids))

        os.killpg(left.process.pid, signal.SIGINT)

        assert left.process.wait(30) == 0
        assert left.process.stdout
        assert left.process.stdout.read().count("hook: customer.active ") == 2
    assert not [pid for pid in pids if exists(pid)]
    assert not logs.exists()


def test_nothing_outlives_a_demo_that_is_killed() -> None:
    with left_running() as left:
        pids, logs = left.pids(), left.logs

        left.process.kill()
        left.process.wait()

    eventually(lambda: not [pid for pid in pids if exists(pid)])
    eventually(lambda: not logs.exists())


@pytest.mark.parametrize(
    ("server", "address"),
    [
        ("mongodb://here:27017", "mongodb://here:27017/own?w=majority"),
        ("mongodb://here/shop?replicaSet=a&w=1", "mongodb://here/own?replicaSet=a&w=majority"),
        ("mongodb://me:pw@here/shop", "mongodb://me:pw@here/own?authSource=shop&w=majority"),
        ("mongodb://me:pw@here/?authSource=x", "mongodb://me:pw@here/own?authSource=x&w=majority"),
        ("mongodb+srv://me:pw@here", "mongodb+srv://me:pw@here/own?authSource=admin&w=majority"),
    ],
)
def test_a_server_of_yours_is_used_with_a_database_of_its_own(server: str, address: str) -> None:
    assert with_database(server, "own") == address
