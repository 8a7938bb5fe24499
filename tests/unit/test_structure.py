"""What every file of the project keeps to, read from the files themselves."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from stripe_mongo_sync.models.rows.sure import sure
from tests.support import ROOT
from tests.support.rooms import PACKAGE

PACKAGES = ("models", "sync", "webhooks", "ops", "api", "emulator", "demo", "bench")
SERVICE = ("models", "sync", "webhooks", "ops", "api")
READS_ENVIRONMENT = (
    "sync/process/environment.py",
    "sync/process/screen.py",  # NO_COLOR and COLUMNS, which a terminal sets
    "sync/commands/completion.py",  # what a shell asks
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
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
INNER = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
OF_EACH = {"__doc__", "__file__", "__name__", "__path__", "__dict__"}  # what every module has
CLOCK = "from stripe_mongo_sync.models.rows import clock\n"
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


@cache
def tree_of(path: Path) -> ast.Module:
    """Return the tree of a file, which many checks read; to parse it takes five times as long as a check."""
    return ast.parse(path.read_text())


@pytest.fixture(scope="module", autouse=True)
def _forgotten() -> Iterator[None]:
    """The trees are many objects, which every later collection of garbage would look at."""
    yield
    tree_of.cache_clear()


def breaches(check: Check, files: list[Path]) -> list[str]:
    """Return `file:line: what is wrong` for all of them, so that one run tells everything."""
    return [f"{path.relative_to(ROOT)}:{found}" for path in files for found in check(tree_of(path))]


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


def waits_in_a_cached_property(tree: ast.Module) -> Iterator[str]:
    """Until Python 3.12, all instances of a class share the lock under which such a property is computed."""
    for node in ast.walk(tree):
        cached = isinstance(node, ast.FunctionDef) and "cached_property" in map(ast.unparse, node.decorator_list)
        found = {name for _, name in calls(ast.Module(node.body, []))} if cached else set()
        if asked := found & {"having", "count", "objects", "find", "find_one", "aggregate", "read", "read_each"}:
            yield f"{node.lineno}: {', '.join(asked)} waits for MongoDB or Stripe, and others for this property"


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


@cache
def module_tree(module: str) -> ast.Module | None:
    """Return the tree of a module of ours, an empty one of a folder without `__init__.py`; None if there is neither."""
    top, *inner = module.split(".")
    place = ROOT.joinpath(*([] if top == PACKAGE else [top]), *inner)
    if top not in (PACKAGE, "tests"):
        return None
    file = next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)
    return tree_of(file) if file else ast.Module([], []) if place.is_dir() else None


def bound(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Yield each name that the body of a module or a class binds, with the node that binds it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, SCOPES):
            yield child.name, child
        elif isinstance(child, ast.ImportFrom):
            yield from ((alias.asname or alias.name, child) for alias in child.names)
        elif isinstance(child, ast.Import):
            yield from ((alias.asname or alias.name.split(".")[0], child) for alias in child.names)
        elif isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
            yield child.id, child
        elif not isinstance(child, INNER):
            yield from bound(child)


def listed(tree: ast.Module) -> set[str]:
    """Return the names in `__all__`: where a module has a `__getattr__`, they are loaded on first use."""
    lists = [node for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"]
    return {text.value for text in map(ast.walk, lists) for text in text if isinstance(text, ast.Constant)}


@cache
def names_of(place: str) -> set[str] | None:
    """Return the names of a module of ours, or the members of an enumeration; None for everything else."""
    if tree := module_tree(place):
        names = dict(bound(tree))
        lazy = listed(tree) | listed(sure(module_tree(PACKAGE))) if "__getattr__" in names else set()
        return OF_EACH | names.keys() | lazy
    module, _, name = place.rpartition(".")
    found = dict(bound(tree)).get(name) if (tree := module_tree(module)) else None
    if isinstance(found, ast.ImportFrom):
        return names_of(f"{found.module}.{name}")
    is_enum = isinstance(found, ast.ClassDef) and any("Enum" in ast.unparse(base) for base in found.bases)
    return {"__members__", *dict(bound(found))} if is_enum else None


def lacks(place: str, name: str) -> bool:
    """Whether a module or an enumeration of ours has no such name."""
    names = names_of(place)
    return names is not None and name not in names and module_tree(f"{place}.{name}") is None


def first_gone(path: str) -> str | None:
    """Return the first part of a path in text, such as `stripe_mongo_sync.aio.create`, that does not exist; or None."""
    module, _, rest = path.partition(".")
    while rest and module_tree(f"{module}.{rest.split('.')[0]}"):
        name, _, rest = rest.partition(".")
        module = f"{module}.{name}"
    name = rest.split(".")[0]
    return f"{module}.{name}" if name and lacks(module, name) else None


def names_what_is_gone(tree: ast.Module) -> Iterator[str]:
    """Yield the names of ours that do not exist: mypy reads no tests, and what runs seldom would fail late."""
    nodes, places = [*ast.walk(tree)], {}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] in (PACKAGE, "tests"):
            if module_tree(str(node.module)) is None:
                yield f"{node.lineno}: there is no module {node.module}"
            gone = [alias.name for alias in node.names if lacks(str(node.module), alias.name)]
            yield from (f"{node.lineno}: {node.module} has no {name}" for name in gone)
            places |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            places |= {alias.asname or alias.name: alias.name for alias in node.names}
    bound_here = {node.arg for node in nodes if isinstance(node, ast.arg)}
    bound_here |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    places = {name: place for name, place in places.items() if name not in bound_here}
    for node in nodes:
        match node:
            case ast.Attribute(value=ast.Name(id=local), attr=name) if local in places and lacks(places[local], name):
                yield f"{node.lineno}: {places[local]} has no {name}"
            case ast.Call(args=[ast.Name(id=local), ast.Constant(value=str(name)), _, *_]) if local in places:
                if lacks(places[local], name):  # setattr(module, "name", …)
                    yield f"{node.lineno}: {places[local]} has no {name}"
            case ast.Constant(value=str(text)) if re.fullmatch(r"stripe_mongo_sync(\.\w+)+", text):
                if gone := first_gone(text):
                    yield f"{node.lineno}: there is no {gone}"


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
    assert not breaches(writes, sources("sync", "webhooks", "ops", "api"))


def test_only_settings_reads_the_environment() -> None:
    files = [path for path in project_files() if path.suffix == ".py"]

    assert not breaches(
        reads_environment, [p for p in files if not str(p.relative_to(ROOT)).startswith(READS_ENVIRONMENT)]
    )


def test_no_custom_data_is_sent_to_stripe() -> None:
    refuses = ROOT / "models/params/ours.py"  # it names what is not sent
    assert not breaches(takes_metadata, [path for path in sources("models", "sync", "api") if path != refuses])


def test_every_lock_of_a_process_is_renewed_in_its_children() -> None:
    own = {ROOT / "sync/process/stop.py", ROOT / "models" / "erasure.py"}  # of one command, which serves nobody
    own |= {ROOT / "models/rows/database.py"}  # `sync/connection.py` renews it with its own

    assert not breaches(keeps_a_lock, [path for path in sources(*SERVICE) if path not in own])


def test_nobody_waits_for_what_another_computes() -> None:
    assert not breaches(waits_in_a_cached_property, sources("sync", "webhooks", "api"))


def test_nothing_runs_javascript_in_mongodb() -> None:
    assert not breaches(runs_javascript, sources(*SERVICE))


def test_no_docstring_is_what_people_are_told() -> None:
    assert not breaches(reads_docstrings, [*sources(*PACKAGES), ROOT / "wsgi.py", ROOT / "gunicorn.conf.py"])


def test_nothing_that_decides_is_an_assertion() -> None:
    served = sources(*SERVICE, "emulator", "demo")  # what measures and what tests is never run without them

    assert not breaches(asserts, [*served, ROOT / "wsgi.py", ROOT / "gunicorn.conf.py"])


def test_only_the_screen_prints() -> None:
    assert not breaches(prints, [*sources(*SERVICE), ROOT / "wsgi.py", ROOT / "gunicorn.conf.py"])


def test_what_tests_name_of_ours_exists() -> None:
    assert not breaches(names_what_is_gone, sources("tests"))


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


@pytest.mark.parametrize(
    "name", ["requirements.txt", "requirements-demo.txt", "requirements-dev.txt", "requirements-site.txt"]
)
def test_every_requirement_is_pinned(name: str) -> None:
    assert not unpinned((ROOT / name).read_text())


def test_nothing_is_asked_of_the_network_while_it_is_imported() -> None:
    offline = "import socket\ndef deny(*_, **__): raise AssertionError('the network')\n"
    offline += "socket.socket.connect = socket.getaddrinfo = socket.create_connection = deny\n"

    told = subprocess.run(
        [sys.executable, "-c", f"{offline}import api, api.app, webhooks, ops, sync, sync.__main__, models, emulator"],
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
        (
            waits_in_a_cached_property,
            "@cached_property\ndef cap(self): return Thing.objects(a=1).first()",
            "@cached_property\ndef id(self): return str(self.event['id'])",
        ),
        (runs_javascript, "find({'$where': '1'})", "find({'a': {'$eq': 1}})"),
        (reads_docstrings, "print(type(error).__doc__)", "print(error.says)"),
        (reads_docstrings, "main(__doc__)", "main('why')"),
        (reads_docstrings, "inspect.getdoc(model)", "model.says"),
        (prints, "print(error)", "tell(str(error))"),
        (asserts, "assert reply is not None", "sure(reply)"),
        (asserts, "if __debug__: look()", "look()"),
        (names_what_is_gone, "from stripe_mongo_sync.sync.gone import a", "from stripe_mongo_sync.sync import errors"),
        (names_what_is_gone, "from stripe_mongo_sync import gone", "from stripe_mongo_sync import connect"),
        (names_what_is_gone, f"{CLOCK}clock.gone", f"{CLOCK}clock.now()"),
        (names_what_is_gone, f"{CLOCK}put.setattr(clock, 'gone', 1)", f"{CLOCK}put.setattr(clock, 'now', 1)"),
        (names_what_is_gone, "from stripe_mongo_sync.models import Status\nStatus.GONE", f"{CLOCK}Status.GONE"),
        (
            names_what_is_gone,
            "put('stripe_mongo_sync.sync.errors.Gone')",
            "put('stripe_mongo_sync.sync.errors.Refused')",
        ),
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
