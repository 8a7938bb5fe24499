"""The documentation as a site: it is built strictly, each page is in the navigation, and none asks another host."""

import os
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest

from tests.support import ROOT

MKDOCS = ROOT / ".dev/site/bin/mkdocs"
ABSENT = "mkdocs is not here: `make site` installs it"
HERE = "http://here/"
LOADS = {
    ("script", "src"),
    ("img", "src"),
    ("iframe", "src"),
    ("source", "src"),
    ("source", "srcset"),
    ("object", "data"),
}
LINKS = ("stylesheet", "icon", "preload", "prefetch", "preconnect", "dns-prefetch", "modulepreload", "manifest")
OF_CSS = re.compile(r"""(?:url\(|@import )\s*["']?(?!data:)([^"')\s;]+)""")
CODE = re.compile(r"repository/(.+\.\w+|.+/.+)/")  # of a file of code, or of a folder


class Page(HTMLParser):
    """What a page loads, and where its navigation leads."""

    def __init__(self, path: Path, top: Path) -> None:
        super().__init__()
        self.address = HERE + path.relative_to(top).as_posix().removesuffix("index.html")
        self.loads: list[str] = []
        self.leads: set[str] = set()
        self.links: set[str] = set()
        self.text = path.read_text()
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag loads, and where it leads."""
        given = {name: value or "" for name, value in attrs}
        self.loads += [self._at(value) for name, value in given.items() if (tag, name) in LOADS]
        if tag == "link" and any(word in LINKS for word in given.get("rel", "").split()):
            self.loads.append(self._at(given["href"]))
        if tag == "a" and "href" in given:
            self.links.add(self._at(given["href"]))
            if re.search(r"\bmd-(nav|tabs)__link\b", given.get("class", "")):
                self.leads.add(self._at(given["href"]))

    def _at(self, href: str) -> str:
        return urljoin(self.address, href).partition("#")[0]


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site, which is built as `make site` does."""
    if not MKDOCS.exists():
        pytest.skip(ABSENT)
    folder = tmp_path_factory.mktemp("site")
    command = [MKDOCS, "build", "--strict", "--quiet", "--site-dir", folder]
    built = subprocess.run(command, cwd=ROOT, env={"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True)
    assert (built.returncode, built.stdout + built.stderr) == (0, "")
    return folder


@pytest.fixture(scope="module")
def pages(html: Path) -> dict[str, Page]:
    """The pages, by their addresses."""
    found = (Page(path, html) for path in html.rglob("*.html") if path.name != "404.html")
    return {page.address: page for page in found}


def test_in_ci_the_site_is_built() -> None:
    assert MKDOCS.exists() or "CI" not in os.environ, ABSENT


def test_no_page_asks_another_host(html: Path, pages: dict[str, Page]) -> None:
    styles = {path: OF_CSS.findall(path.read_text()) for path in html.rglob("*.css")}
    loaded = {load for page in pages.values() for load in page.loads}
    loaded |= {urljoin(HERE, each) for found in styles.values() for each in found}

    assert {"/bundle.", "/main.", "/mermaid."} <= {found for load in loaded for found in re.findall(r"/\w+\.", load)}
    assert {load for load in loaded if not load.startswith(HERE)} == set()
    assert [load for load in loaded if "/assets/" in load and not (html / urlsplit(load).path[1:]).exists()] == []


def test_what_draws_is_on_the_page_before_the_theme_would_fetch_it(pages: dict[str, Page]) -> None:
    drawn = [page for page in pages.values() if 'class="mermaid"' in page.text]

    assert {page.address for page in drawn} >= {f"{HERE}data-model/", f"{HERE}ARCHITECTURE/"}
    for page in drawn:
        scripts = [urlsplit(load).path.rpartition("/")[2] for load in page.loads if load.endswith(".js")]
        assert scripts[0] == "mermaid.min.js", page.address
        assert scripts[-1].startswith("bundle."), page.address


def test_every_page_is_reached_by_the_navigation(pages: dict[str, Page]) -> None:
    reached, todo = set(), [HERE]
    while todo:
        page = todo.pop()
        reached.add(page)
        todo += pages[page].leads - reached - {*todo}

    left = pages.keys() - reached
    linked = {link for page in pages.values() for link in page.links - {page.address}}
    assert {page for page in left if not CODE.fullmatch(page.removeprefix(HERE))} == set()
    assert left <= linked


def test_every_link_within_the_site_leads_somewhere(html: Path, pages: dict[str, Page]) -> None:
    for page in pages.values():
        for link in page.links:
            if link.startswith(HERE) and link not in pages:
                assert (html / link.removeprefix(HERE)).is_file(), f"{page.address} links to {link}"
