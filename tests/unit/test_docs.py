"""The documentation says what the code does: settings, commands, changelog."""

import inspect
import re
from pathlib import Path

import pytest

from stripe_mongo_sync import __version__
from stripe_mongo_sync.sync.commands import SECTIONS
from stripe_mongo_sync.sync.commands.types import markdown
from stripe_mongo_sync.sync.operator import written
from stripe_mongo_sync.sync.operator.catalogue import all_ignored, catalogue
from stripe_mongo_sync.sync.settings import Settings
from tests.support.rooms import PRODUCT

README = Path("README.md").read_text()
FILE = re.compile(
    rf"(?<![\w/.*…-])((?:{'|'.join(PRODUCT)}|demo|bench|tests)/(?:\w+/)*\w\w+\.(?:py|txt|toml|html|json))\b"
)


def settings_of(text: str, pattern: str) -> set[str]:
    return set(re.findall(pattern, text, re.MULTILINE))


def test_every_setting_is_documented_and_every_documented_setting_exists() -> None:
    read = settings_of(inspect.getsource(Settings.from_environment), r'"([A-Z_]{4,})"')

    assert settings_of(README, r"^\| `([A-Z_]+)` \|") == read
    assert settings_of(Path(".env.example").read_text(), r"^#?([A-Z_]+)=") == read


def test_every_command_is_documented() -> None:
    commands = {name for section in SECTIONS.values() for name in section}

    assert settings_of(README, r"`stripe-mongo-sync ([a-z-]+)") >= commands


def test_the_page_of_types_is_as_the_registry_has_it() -> None:
    printed = "\n".join(markdown(catalogue())) + "\n"

    assert Path("docs/TYPES.md").read_text() == printed, "the registry has changed: run `make types`"


def test_what_the_command_tells_of_types_is_as_the_registry_has_it() -> None:
    told = written.text(catalogue(), all_ignored())

    assert written.FILE.read_text() == told, "the registry has changed: run `make types`"


def test_a_new_type_is_told_of_before_it_is_written_down(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert written.read() is not None
    for path in written.MODELS.glob("*.py"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "parcel.py").touch()
    monkeypatch.setattr(written, "MODELS", tmp_path)

    assert written.read() is None, "so the registry is asked"


def test_the_newest_release_of_the_changelog_is_this_version() -> None:
    released = re.findall(r"^## \[(\d\S*)\] - \d{4}-\d\d-\d\d$", Path("CHANGELOG.md").read_text(), re.MULTILINE)

    assert released[0] == __version__


def test_every_link_leads_somewhere() -> None:
    for page in (Path("README.md"), Path("CONTRIBUTING.md"), Path("SECURITY.md"), *Path("docs").rglob("*.md")):
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page} links to {target}"


def test_every_file_that_a_page_or_a_comment_names_exists() -> None:
    pages = [*Path().glob("*.md"), *Path("docs").glob("*.md")]
    pages = [page for page in pages if page.name not in ("CHANGELOG.md", "adding-a-type.md")]  # which makes some
    code = [path for top in (*PRODUCT, "demo", "bench", "tests") for path in Path(top).rglob("*.py")]
    named = {(page, name) for page in (*pages, *code) for name in FILE.findall(page.read_text())}
    hops = re.findall(r"^\| ([\w/]+) \| (`\w+\.py.*?) \|", Path("docs/ARCHITECTURE.md").read_text(), re.MULTILINE)
    named |= {("a hop", f"{room}/{name}") for room, files in hops for name in re.findall(r"`([\w/]+\.py)`", files)}

    assert len(hops) > 10
    assert {(page, name) for page, name in named if not Path(name).exists()} == set()


def test_what_users_read_names_no_way_that_only_a_checkout_has() -> None:
    pages = {Path("README.md"), *Path("docs").glob("*.md")}
    pages -= {Path("docs", name) for name in ("ARCHITECTURE.md", "FAULTS.md", "adding-a-type.md")}  # of colleagues
    code = (path for top in ("models", "sync", "webhooks", "ops", "api") for path in Path(top).rglob("*.py"))
    said = re.compile(r"python -m sync\b|[`@ ]sync\.(?:connect|disconnect|on)\(")

    for path in (*pages, *(path for path in code if path.name != "__main__.py")):
        assert not said.findall(path.read_text()), path


def test_every_fact_about_stripe_is_cited_and_every_citation_names_one() -> None:
    titles = settings_of(Path("docs/stripe-facts.md").read_text(), r"^## (.+)$")
    code = "".join(path.read_text() for top in ("emulator", "tests") for path in Path(top).rglob("*.py"))

    cited = settings_of(code, r"stripe-facts\.md#([a-z-]+)\b")
    assert cited == {title.lower().replace(" ", "-") for title in titles}


def test_every_test_that_the_page_of_threats_names_exists() -> None:
    there = {
        name for path in Path("tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)\(", path.read_text())
    }
    rows = re.findall(
        r"^\| (?!threat|what|---)(.*) \| (.*) \| (.*) \|$", Path("docs/SECURITY.md").read_text(), re.MULTILINE
    )
    named = {name for _, _, tests in rows for name in re.findall(r"`(test_\w+)`", tests)}

    assert len(named) > 40
    assert named <= there, named - there
