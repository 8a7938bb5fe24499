"""What every file of the project keeps to, read from the files themselves."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import ROOT

PACKAGES = ("models", "sync", "webhooks", "api", "emulator", "demo", "bench")
SERVICE = ("models", "sync", "webhooks", "api")
READS_ENVIRONMENT = (
    "sync/process/environment.py",
    "sync/commands/serve.py",
    "testing.py",
    "gunicorn.conf.py",
    "emulator/__main__.py",
    "demo/",
    "bench/",
    "tests/",
)
WRITES = {  # MongoDB's and MongoEngine's names for a write
    *("insert_one", "insert_many", "update_one", "update_many", "replace_one", "delete_one", "delete_many"),
    *("bulk_write", "find_one_and_update", "find_one_and_replace", "find_one_and_delete"),
    *("modify", "upsert_one", "drop_collection", "drop_database"),
}
ENVIRONMENT = ("environ", "getenv", "putenv", "environb")
MACHINE_PATHS = re.compile(r"""(?<![\w.~$<{])/(?:home|Users|root|work|workspace)/[\w.-]+|\b[A-Z]:\\Users""")
PIN = re.compile(r"[A-Za-z0-9._-]+(\[[\w,-]+\])?==\d[\w.!+]*(\s*;.*)?$")

Check = Callable[[ast.Module], Iterator[str]]


def sources(*tops: str) -> list[Path]:
    """Return the Python files under these directories, as far as they exist."""
    return sorted(path for top in tops for path in (ROOT / top).rglob("*.py"))


def project_files() -> list[Path]:
    """Return every file that git tracks, or would; in an unpacked archive, all that is not hidden."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard"]
    if not (ROOT / ".git").exists():
        found = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
        return [ROOT / path for path in found if not re.search(r"(^|/)(\.|__pycache__/)", path.as_posix())]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.splitlines() if (ROOT / name).is_file()]


def breaches(check: Check, files: list[Path]) -> list[str]:
    """Return `file:line: what is wrong` for all of them, so that one run tells everything."""
    return [f"{path.relative_to(ROOT)}:{found}" for path in files for found in check(ast.parse(path.read_text()))]


def calls(tree: ast.Module) -> Iterator[tuple[ast.Call, str]]:
    """Yield every call of an attribute, with the attribute's name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node, node.func.attr


def lacks_first_sentence(tree: ast.Module) -> Iterator[str]:
    first = (ast.get_docstring(tree) or "").partition("\n\n")[0].strip()
    if not re.match(r"[A-Z\"'`].*[.!?]", first, re.DOTALL):
        yield "1: begin with a docstring whose first line is a sentence"


def saves(tree: ast.Module) -> Iterator[str]:
    for node, name in calls(tree):
        if name in ("save", "cascade_save"):
            yield f"{node.lineno}: .{name}() replaces, upserts and resurrects; insert once, then change conditionally"


def changes_blindly(tree: ast.Module) -> Iterator[str]:
    for node, name in calls(tree):
        of_a_query = any(isinstance(n, ast.Attribute) and n.attr == "objects" for n in ast.walk(node.func))
        has_operators = any("__" in (keyword.arg or "") for keyword in node.keywords)
        if (
            (name in ("update", "update_one", "delete", "upsert_one") and of_a_query)
            or (name == "update" and has_operators)
            or (name == "delete" and not node.args and not node.keywords)
        ):
            yield f"{node.lineno}: .{name}() changes whatever is there now; use a guarded modify or find_one_and_update"


def is_upsert(node: ast.Call) -> bool:
    """Say whether `upsert` is asked for, as far as can be read."""
    return any(keyword.arg == "upsert" and getattr(keyword.value, "value", True) for keyword in node.keywords)


def upserts(tree: ast.Module) -> Iterator[str]:
    """An upsert whose filter says that a field does not exist can only insert: it is how a row gets MongoDB's time."""
    for node, name in calls(tree):
        inserts = node.args and "{'$exists': False}" in ast.unparse(node.args[0])
        if is_upsert(node) and not inserts:
            yield f"{node.lineno}: .{name}(upsert=…) brings back what was removed"


def ignores_whether_it_hit(tree: ast.Module) -> Iterator[str]:
    dropped = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node, name in calls(tree):
        if id(node) in dropped and name in ("modify", "find_one_and_update") and not is_upsert(node):
            yield f"{node.lineno}: .{name}() is conditional: look at what it returns"


def writes(tree: ast.Module) -> Iterator[str]:
    for node, name in calls(tree):
        if name in WRITES:
            yield f"{node.lineno}: .{name}() is a write; all writes live in models/"


def reads_environment(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        of_a_request = isinstance(node, ast.Attribute) and ast.unparse(node.value) == "request"  # what WSGI tells of it
        if isinstance(node, ast.Attribute) and node.attr in ENVIRONMENT and not of_a_request:
            yield f"{node.lineno}: .{node.attr}: settings are read once, in sync/process/environment.py"
        if (
            isinstance(node, ast.ImportFrom)
            and node.module == "os"
            and {a.name for a in node.names} & {"environ", "getenv"}
        ):
            yield f"{node.lineno}: settings are read once, in sync/process/environment.py"


def takes_metadata(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.arg | ast.keyword) and node.arg == "metadata":
            yield f"{node.lineno}: no custom data goes to Stripe"
        if isinstance(node, ast.Dict):
            for key in node.keys:
                if isinstance(key, ast.Constant) and key.value == "metadata":
                    yield f"{key.lineno}: no custom data goes to Stripe"


def keeps_a_lock(tree: ast.Module) -> Iterator[str]:
    """What a process keeps in a name of its own must be renewed in a child; what a function makes for itself, not."""
    renews = any(isinstance(node, ast.Name) and node.id == "in_every_child" for node in ast.walk(tree))
    kept = [node for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign)]
    kept += [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and any("self." in ast.unparse(target) for target in node.targets)
    ]
    for node in [] if renews else kept:
        found = {name for call, name in calls(ast.Module([node], [])) if "threading." in ast.unparse(call.func)}
        if found & {"Lock", "RLock", "Condition", "Event", "Semaphore", "BoundedSemaphore", "local"}:
            yield f"{node.lineno}: what a thread holds while another forks, nobody opens in the child: `in_every_child`"


def runs_javascript(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value in ("$where", "$function", "$accumulator", "mapReduce"):
            yield f"{node.lineno}: {node.value} runs JavaScript in MongoDB"


def reads_docstrings(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
        if name in ("__doc__", "getdoc") and isinstance(node.ctx, ast.Load):
            yield f"{node.lineno}: {name}: `python -OO` takes docstrings away; what people are told is an attribute"


def asserts(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert) or (isinstance(node, ast.Name) and node.id == "__debug__"):
            yield f"{node.lineno}: `python -O` takes this away; see models/rows/sure.py"


def prints(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            yield f"{node.lineno}: print() shows a text of others as it is; sync/process/screen.py tells it"


def sleeps(tree: ast.Module) -> Iterator[str]:
    for node, name in calls(tree):
        if name == "sleep":
            yield f"{node.lineno}: wait for the thing itself, or move the clock"
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "time" and "sleep" in {a.name for a in node.names}:
            yield f"{node.lineno}: wait for the thing itself, or move the clock"


def unpinned(requirements: str) -> list[str]:
    """Return the lines that name no exact version."""
    lines = (line.split(" #")[0].strip() for line in requirements.splitlines())
    return [line for line in lines if line and not line.startswith(("#", "-r ", "-e .")) and not PIN.match(line)]


def targets(makefile: str) -> set[str]:
    """Return the names that make can be asked for."""
    return {name for line in re.findall(r"^([a-z][\w -]*):(?!=)", makefile, re.MULTILINE) for name in line.split()}


def used_targets(prose: str) -> set[str]:
    """Return the names in `make name`, where it is written as code."""
    code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", prose, re.DOTALL))
    return set(re.findall(r"(?:^|[`\s;&])make +([a-z][\w-]*)", code))


def test_every_file_begins_with_a_sentence() -> None:
    assert not breaches(lacks_first_sentence, sources(*PACKAGES))


def test_nothing_saves_a_document() -> None:
    assert not breaches(saves, sources(*SERVICE))


def test_nothing_changes_a_document_blindly() -> None:
    assert not breaches(changes_blindly, sources(*SERVICE))


def test_nothing_upserts_a_document() -> None:
    values = ROOT / "models" / "state.py"  # holds values under fixed names, of which the last one counts

    assert not breaches(upserts, [path for path in sources(*SERVICE) if path != values])


def test_every_conditional_write_is_checked() -> None:
    assert not breaches(ignores_whether_it_hit, sources(*SERVICE))


def test_all_writes_live_in_models() -> None:
    assert not breaches(writes, sources("sync", "webhooks", "api"))


def test_only_settings_reads_the_environment() -> None:
    files = [path for path in project_files() if path.suffix == ".py"]

    assert not breaches(
        reads_environment, [p for p in files if not str(p.relative_to(ROOT)).startswith(READS_ENVIRONMENT)]
    )


def test_no_custom_data_is_sent_to_stripe() -> None:
    assert not breaches(takes_metadata, sources("models", "sync", "api"))


def test_every_lock_of_a_process_is_renewed_in_its_children() -> None:
    own = {ROOT / "sync/process/stop.py", ROOT / "models" / "erasure.py"}  # of one command, which serves nobody
    own |= {ROOT / "models/rows/database.py"}  # `sync/connection.py` renews it with its own

    assert not breaches(keeps_a_lock, [path for path in sources(*SERVICE) if path not in own])


def test_nothing_runs_javascript_in_mongodb() -> None:
    assert not breaches(runs_javascript, sources(*SERVICE))


def test_no_docstring_is_what_people_are_told() -> None:
    assert not breaches(reads_docstrings, [*sources(*PACKAGES), ROOT / "wsgi.py", ROOT / "gunicorn.conf.py"])


def test_nothing_that_decides_is_an_assertion() -> None:
    served = sources(*SERVICE, "emulator", "demo")  # what measures and what tests is never run without them

    assert not breaches(asserts, [*served, ROOT / "wsgi.py", ROOT / "gunicorn.conf.py"])


def test_only_the_screen_prints() -> None:
    assert not breaches(prints, [*sources(*SERVICE), ROOT / "wsgi.py", ROOT / "gunicorn.conf.py"])


def test_no_test_sleeps() -> None:
    files = [path for path in (ROOT / "tests").rglob("test_*.py") if "e2e" not in path.parts]

    assert not breaches(sleeps, files)


def test_no_file_names_a_path_of_somebodys_machine() -> None:
    found = []
    for path in project_files():
        if path != Path(__file__).resolve() and b"\0" not in path.read_bytes()[:8_000]:
            text = path.read_text(errors="replace")
            found += [f"{path.relative_to(ROOT)}: {match}" for match in MACHINE_PATHS.findall(text)]

    assert not found


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-demo.txt", "requirements-dev.txt"])
def test_every_requirement_is_pinned(name: str) -> None:
    assert not unpinned((ROOT / name).read_text())


def test_nothing_is_asked_of_the_network_while_it_is_imported() -> None:
    offline = "import socket\ndef deny(*_, **__): raise AssertionError('the network')\n"
    offline += "socket.socket.connect = socket.getaddrinfo = socket.create_connection = deny\n"

    told = subprocess.run(
        [sys.executable, "-c", f"{offline}import api, api.app, webhooks, sync, sync.__main__, models, emulator"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin", "HOME": "/nonexistent", "PYTHONPATH": os.environ.get("PYTHONPATH", "")},
    )

    assert told.returncode == 0, told.stderr


def test_every_make_target_of_the_readme_exists() -> None:
    readme = ROOT / "README.md"
    if not readme.exists():
        pytest.skip("there is no README yet")

    assert used_targets(readme.read_text()) <= targets((ROOT / "Makefile").read_text())


def test_make_help_tells_of_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()

    assert set(re.findall(r"^([a-z][\w-]*):.*?##", makefile, re.MULTILINE)) == targets(makefile)


@pytest.mark.parametrize(
    ("check", "bad", "good"),
    [
        (lacks_first_sentence, "import os", '"""What a stranger could quote."""'),
        (lacks_first_sentence, '"""utils"""', '"""Two lines make\none sentence.\n\nand more"""'),
        (saves, "customer.save()", "customer.insert()"),
        (changes_blindly, "Customer.objects(id=1).update(set__a=1)", "values.update(a=1)"),
        (changes_blindly, "customer.update(set__a=1)", "values.update({'a': 1})"),
        (changes_blindly, "customer.delete()", "gateway.delete(customer)"),
        (upserts, "things.find_one_and_update({}, {}, upsert=True)", "f.find({'a': {'$exists': False}}, upsert=True)"),
        (upserts, "things.update_one({}, {}, upsert=True)", "things.update_one({}, {}, upsert=False)"),
        (upserts, "Thing.objects(id=1).modify(upsert=wanted)", "Thing.objects(id=1).modify(new=True)"),
        (ignores_whether_it_hit, "Thing.objects(id=1).modify(a=1)", "hit = Thing.objects(id=1).modify(a=1)"),
        (ignores_whether_it_hit, "things.find_one_and_update({}, {})", "return_(things.find_one_and_update({}, {}))"),
        (writes, "things.insert_one({})", "things.find_one({})"),
        (writes, "Thing.objects(id=1).modify(a=1)", "doc.claim(LEASE)"),
        (reads_environment, "import os\nos.environ['A']", "from stripe_mongo_sync.sync.settings import Settings"),
        (reads_environment, "import os\nos.getenv('A')", "import os\nos.getpid()"),
        (reads_environment, "from os import environ", "from os import getpid"),
        (takes_metadata, "def create(metadata=None): ...", "def create(name): ..."),
        (takes_metadata, "create(metadata={})", "remote['metadata']"),
        (takes_metadata, "fields = {'metadata': {}}", "fields = {'name': 'metadata'}"),
        (keeps_a_lock, "class A:\n def f(self):\n  self.a = threading.Lock()", "def f():\n a = threading.Event()"),
        (keeps_a_lock, "A = threading.local()", "A = threading.Lock()\nin_every_child(f)"),
        (runs_javascript, "find({'$where': '1'})", "find({'a': {'$eq': 1}})"),
        (reads_docstrings, "print(type(error).__doc__)", "print(error.says)"),
        (reads_docstrings, "main(__doc__)", "main('why')"),
        (reads_docstrings, "inspect.getdoc(model)", "model.says"),
        (prints, "print(error)", "tell(str(error))"),
        (asserts, "assert reply is not None", "sure(reply)"),
        (asserts, "if __debug__: look()", "look()"),
        (sleeps, "import time\ntime.sleep(1)", "done.wait(1)"),
        (sleeps, "from time import sleep", "from time import monotonic"),
    ],
)
def test_each_check_can_fail(check: Check, bad: str, good: str) -> None:
    assert list(check(ast.parse(bad)))
    assert not list(check(ast.parse(good)))


def test_the_checks_of_text_can_fail() -> None:
    assert unpinned("flask\nFlask>=3\nFlask==3.*\n-r other.txt\n-e .\nA==1.2 # why\nb[c]==1; os == 'x'") == [
        "flask",
        "Flask>=3",
        "Flask==3.*",
    ]
    assert MACHINE_PATHS.findall("see /home/ann/x or C:\\Users") == ["/home/ann", "C:\\Users"]
    assert not MACHINE_PATHS.findall("https://here.com/home/x ~/work/x GET /customers/cus_1")
    assert targets("CC := x\nhelp: ## Print\n\techo a: b\nrun test: setup ## Go\n.PHONY: x") == {"help", "run", "test"}
    assert used_targets("Do make sure.\n`make demo`\n```\nmake setup && make test\n```") == {"demo", "setup", "test"}
