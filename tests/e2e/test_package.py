"""The package as others have it: built, installed where no checkout is, beside an application with the same names."""

import os
import re
import shutil
import site
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from stripe_mongo_sync import __version__
from tests.support import ROOT
from tests.support.rooms import PACKAGE, PRODUCT

NAMES = ("models", "sync", "api", "webhooks")  # an application may well have folders of these names
BUILD = "from setuptools import build_meta; import sys; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"
TYPED = """
from stripe_mongo_sync import connect, create_customer

connect()
reveal_type(create_customer("ann@here.com").username)
create_customer(7)
"""


def run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None, code: int = 0) -> str:
    """Run a program, which must end with `code`; return what it printed."""
    told = subprocess.run([*map(str, command)], cwd=cwd, env=env, capture_output=True, text=True, timeout=120)
    assert told.returncode == code, f"{command}: {told.returncode}\n{told.stdout}\n{told.stderr}"
    return told.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist of this checkout, and the wheel made of that."""
    made, source = tmp_path_factory.mktemp("built"), tmp_path_factory.mktemp("source") / "checkout"
    tracked = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT).split("\0")
    for name in filter(None, tracked):  # not this folder itself: what an earlier build left in it would come along
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, source / name)
    run(sys.executable, "-c", BUILD, "build_sdist", made, cwd=source)
    with tarfile.open(next(made.glob("*.tar.gz"))) as archive:
        archive.extractall(source.parent, filter="data")
    run(sys.executable, "-c", BUILD, "build_wheel", made, cwd=source.parent / f"{PACKAGE}-{__version__}")
    return made


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a fresh environment: the package comes from the wheel alone, what it needs from here, offline."""
    place = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", "--without-pip", place, cwd=place)
    python = place / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check")
    run(*pip, "install", "--no-index", "--no-deps", "--no-compile", *built.glob("*.whl"), cwd=place)
    (packages,) = place.glob("lib/python*/site-packages")
    needed = [folder for folder in sys.path if folder in site.getsitepackages() or folder.endswith("site-packages")]
    (packages / "needed.pth").write_text("\n".join(needed))  # their own .pth files are not read: no checkout is found
    return place / "bin"


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """The folder of an application."""
    for name in NAMES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text('WHOSE = "the host\'s"\n')
    (tmp_path / "typed.py").write_text(TYPED)
    return tmp_path


def test_both_are_whole_and_have_nothing_else(built: Path) -> None:
    wheel, sdist = next(built.glob("*.whl")), next(built.glob("*.tar.gz"))
    names = set(zipfile.ZipFile(wheel).namelist())
    code = {f"{PACKAGE}/{path.relative_to(ROOT)}" for top in PRODUCT for path in (ROOT / top).rglob("*.py")}
    code |= {f"{PACKAGE}/{path.name}" for path in (*ROOT.glob("*.py"), *ROOT.glob("*.pyi"))}
    about = {name for name in names if name.startswith(f"{PACKAGE}-{__version__}.dist-info/")}

    assert names - about == code | {
        f"{PACKAGE}/py.typed",
        f"{PACKAGE}/api/docs.html",
        f"{PACKAGE}/sync/operator/types.json",
    }
    assert {Path(name).name for name in about} >= {"LICENSE", "METADATA", "entry_points.txt"}
    run(sys.executable, "-m", "twine", "check", "--strict", wheel, sdist, cwd=built)


def test_a_type_checker_sees_our_types(installed: Path, host: Path) -> None:
    command = (sys.executable, "-m", "mypy", "--python-executable", installed / "python", "--cache-dir", host / "cache")
    told = run(*command, "--strict", "typed.py", cwd=host, code=1)

    assert re.search(r'Revealed type is "(builtins\.)?str', told), told
    assert 'error: Argument 1 to "create_customer" has incompatible type "int"; expected "str"' in told
    assert told.count(" error: ") == 1


def test_the_page_about_testing_a_shop(installed: Path, new_database: str, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "testing-your-shop.md").read_text()
    (tmp_path / "test_my_shop.py").write_text(re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0])
    environment = {"PATH": os.environ["PATH"], "MONGODB_URI": new_database}

    told = run(installed / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=tmp_path, env=environment)

    assert "3 passed" in told


def test_the_plugin_of_pytest_loads_nothing_until_a_fixture_is_asked_for(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text(
        "import sys\n\ndef test_of_others():\n"
        "    loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "    assert 'stripe_mongo_sync.testing' in sys.modules\n"
        "    assert not loaded & {'flask', 'mongoengine', 'pymongo', 'stripe'}\n"
    )
    plain = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-p", "no:schemathesis")

    assert "1 passed" in run(installed / "python", "-m", "pytest", "-q", *plain, cwd=tmp_path)
