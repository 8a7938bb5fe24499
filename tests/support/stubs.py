"""The type stubs of the Python API, made from the code: `python -m tests.support.stubs` writes them.

A type checker cannot follow names that are loaded when they are asked for, nor know which class a kind has. So a call
that takes a kind has in the stubs a signature for each kind.
"""

import ast
import builtins
import inspect
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import stripe_mongo_sync
from stripe_mongo_sync import aio
from stripe_mongo_sync.models import changed_kinds, created_kinds, kinds

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = stripe_mongo_sync.__name__
MADE = "# Made from the code: `make types` writes it anew."
ONLY_READ = "OnlyRead"  # in the stubs, the kinds that are only mirrored


def stubs() -> dict[str, str]:
    """Return the text of each stub, by its path."""
    return {"__init__.pyi": _stub(waits=True), "aio.pyi": _stub(waits=False)}


def _stub(*, waits: bool) -> str:
    """Return the stub of the API, or of its coroutines, which do not wait."""
    uses: dict[str, str] = dict.fromkeys(("Any", "Literal", "overload"), "typing")
    calls, same = [], {}
    for name in stripe_mongo_sync.__all__:
        found = getattr(stripe_mongo_sync, name)
        signed = _overloads(found) if inspect.isfunction(found) else []
        if not inspect.isfunction(found) or name in aio.PLAIN or (waits and len(signed) == 1):
            same[name] = found.__module__
            continue
        for one in signed:
            calls += [_written(one, alone=len(signed) == 1, waits=waits)]
            uses |= _origins(one, sys.modules[found.__module__])
    if not waits:
        uses["AsyncIterator"] = "collections.abc"
        uses.pop("Iterator", None)
    only_read = [kind for kind, model in kinds().items() if model.resource.mirrored]
    lines = [MADE, "", *(f"from {module} import {name}" for name, module in sorted(uses.items()))]
    lines += [f"from {module} import {name} as {name}" for name, module in sorted(same.items())]
    told = ["__version__: str", "SERVED: dict[str, str]", "RENAMED: dict[str, str]"]
    lines += ["", *(told if waits else ["PLAIN: frozenset[str]"])]
    lines += [f"{old} = {new}" for old, new in stripe_mongo_sync.RENAMED.items()]
    lines += [f"__all__ = {stripe_mongo_sync.__all__}", "", f"{ONLY_READ} = Literal{only_read}", "", *calls]
    return "\n".join(lines) + "\n"


def _overloads(function: Any) -> list[ast.FunctionDef]:
    """Return the signatures of a function, one for each kind where it takes a kind; without overloads, its own."""
    module = Spelled().visit(ast.parse(inspect.getsource(sys.modules[function.__module__])))
    named = [node for node in module.body if isinstance(node, ast.FunctionDef) and node.name == function.__name__]
    own = [node for node in named[:-1] if any(ast.unparse(each) == "overload" for each in node.decorator_list)]
    return [one for node in own for one in _by_kind(node)] or named


class Spelled(ast.NodeTransformer):
    """Spells out the annotations that are quoted, as of what is imported for type checkers only."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
        quoted = node.annotation
        if isinstance(quoted, ast.Constant) and isinstance(quoted.value, str):
            node.annotation = ast.parse(quoted.value, mode="eval").body
        return node


def _by_kind(node: ast.FunctionDef) -> Iterator[ast.FunctionDef]:
    first = node.args.posonlyargs[0]
    if ast.unparse(first.annotation or first) not in ("Created", "Kind"):
        yield node
        return
    source = ast.unparse(ast.FunctionDef(node.name, node.args, [ast.Pass()], [], node.returns, lineno=0))
    takes = ast.unparse(first.annotation)  # type: ignore[arg-type]  # it has one
    for kind, model in created_kinds().items():
        yield _parsed(source, f"kind: {takes}", f"kind: Literal[{kind!r}]", model.__name__)
    for kind in changed_kinds().keys() - created_kinds().keys() if node.name in ("update", "act") else ():
        yield _parsed(source, f"kind: {takes}", f"kind: Literal[{kind!r}]", "SyncedDocument")
    if takes == "Kind":
        yield _parsed(source, f"kind: {takes}", f"kind: {ONLY_READ}", "SyncedDocument")


def _parsed(source: str, kind: str, literal: str, model: str) -> ast.FunctionDef:
    head, _, returns = source.replace(kind, literal).rpartition("->")
    (node,) = ast.parse(f"{head}->{returns.replace('Any', model)}").body
    assert isinstance(node, ast.FunctionDef)
    return node


def _written(node: ast.FunctionDef, *, alone: bool, waits: bool) -> str:
    returns = ast.unparse(node.returns) if node.returns else "None"
    many = returns.startswith("Iterator[")
    how = "def" if waits or many else "async def"
    returns = returns if waits or not many else f"Async{returns}"
    return ("" if alone else "@overload\n") + f"{how} {node.name}({ast.unparse(node.args)}) -> {returns}: ..."


def _origins(node: ast.FunctionDef, module: Any) -> dict[str, str]:
    """Return the module of each name in the annotations of a function."""
    models = {model.__name__: model.__module__ for model in created_kinds().values()}
    models["SyncedDocument"] = "stripe_mongo_sync.models"
    annotations = [node.returns, *(each.annotation for each in ast.walk(node.args) if isinstance(each, ast.arg))]
    names = {
        each.id
        for annotation in annotations
        for each in ast.walk(annotation or ast.Pass())
        if isinstance(each, ast.Name)
    }
    wanted = names - {*dir(builtins), ONLY_READ, "Literal"}
    return {name: models.get(name) or _imports(module).get(name) or module.__name__ for name in wanted}


@cache
def _imports(module: Any) -> dict[str, str]:
    """Return the module from which each imported name of a module comes."""
    found = (each for each in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(each, ast.ImportFrom))
    return {alias.name: str(each.module) for each in found for alias in each.names}


def write() -> None:
    """Write the stubs."""
    for name, text in stubs().items():
        (ROOT / name).write_text(formatted(text))


def formatted(text: str) -> str:
    """Return a stub as `ruff format` has it."""
    command = [sys.executable, "-m", "ruff"]
    sorted_ = subprocess.run(
        [*command, "check", "--quiet", "--select", "I", "--fix", "--stdin-filename", "made.pyi", "-"],
        input=text,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return subprocess.run(
        [*command, "format", "--stdin-filename", "made.pyi", "-"],
        input=sorted_,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


if __name__ == "__main__":
    write()
