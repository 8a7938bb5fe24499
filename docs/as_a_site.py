"""The hook of `mkdocs.yml`: pages that are written for GitHub become a site.

The site has no repository to point to, so each file or folder beside `docs/` that a page links to is a page of the
site, too, below `repository/`: `../README.md`, or a file of code.
"""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

DOCS = Path(__file__).parent
ROOT = DOCS.parent
BESIDE = PurePosixPath("repository")
MERMAID = ROOT / ".dev/site/mermaid.min.js"
SCRIPT = "assets/mermaid.min.js"
LINK = re.compile(r"(?<=\]\()(?![a-z]+:)([^)#\s]+)")
SPAN = re.compile(r"`[^`\n]+`")  # in a table, Python-Markdown shows the backslash of `\|`, GitHub does not
NAMED = re.compile(r"^(```\w+) ([\w/.]+)$", re.MULTILINE)  # a block of code with the name of its file
COMMENT = re.compile(r"^<!--.*-->\n", re.MULTILINE)  # to Python-Markdown, the table behind it would be its end


def on_config(config: MkDocsConfig) -> None:
    """List the decisions in the navigation, where it names their folder."""
    pages = [f"decisions/{path.name}" for path in sorted(DOCS.glob("decisions/*.md"))]
    for section in config.nav:
        for entries in section.values():
            for entry in entries if isinstance(entries, list) else ():
                entry.update({title: pages for title, place in entry.items() if place == "decisions/"})


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add what pages link to, and the script that draws."""
    if not MERMAID.exists():
        raise PluginError(f"{MERMAID} is missing: `make site` gets it")
    files.append(File.generated(config, SCRIPT, abs_src_path=str(MERMAID)))
    todo = [PurePosixPath("docs", file.src_uri) for file in files.documentation_pages()]
    known = {*todo}
    for page in todo:  # which grows
        found = {path for path in linked(page, shown(page)) if path.parts[0] != "docs"}
        for path in sorted(found - known):
            files.append(File.generated(config, place(path), content=shown(path)))
            known.add(path)
            todo += [path] if path.suffix == ".md" or (ROOT / path).is_dir() else []


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return the text of a page with its links as the site has them, and in Python-Markdown's words."""
    here = source(page.file)
    text = LINK.sub(lambda found: relpath(place(resolved(here, found[1])), PurePosixPath(place(here)).parent), markdown)
    text = SPAN.sub(lambda found: found[0].replace("\\|", "|"), COMMENT.sub("", text))
    text = NAMED.sub(r'\1 title="\2"', text)
    script = f'\n\n<script src="{get_relative_url(SCRIPT, page.url)}"></script>\n'
    return text + (script if "```mermaid" in text else "")


def linked(page: PurePosixPath, text: str) -> Iterator[PurePosixPath]:
    """Yield the files of the repository to which a page links."""
    return (resolved(page, target) for target in LINK.findall(text))


def resolved(page: PurePosixPath, target: str) -> PurePosixPath:
    """Return the path in the repository to which a link on a page leads."""
    return PurePosixPath(normpath(page.parent / target))


def place(path: PurePosixPath) -> str:
    """Return where the site has a file of the repository."""
    if path.parts[0] == "docs":
        return str(path.relative_to("docs"))
    return str(BESIDE / path) + ("" if path.suffix == ".md" else ".md")


def source(file: File) -> PurePosixPath:
    """Return the path in the repository of a page: the opposite of `place`."""
    path = PurePosixPath(file.src_uri)
    if BESIDE not in path.parents:
        return "docs" / path
    beside = path.relative_to(BESIDE)
    return beside if (ROOT / beside).exists() else beside.with_suffix("")


def shown(path: PurePosixPath) -> str:
    """Return the text of the page for a file, or for a folder beside `docs/`, which lists its files."""
    if (ROOT / path).is_dir():
        names = sorted(each.name for each in (ROOT / path).iterdir() if not each.name.startswith((".", "__")))
        return f"# `{path}`\n\n" + "".join(f"- [{name}]({path.name}/{name})\n" for name in names)
    text = (ROOT / path).read_text()
    return text if path.suffix == ".md" else f"# `{path}`\n\n````{path.suffix[1:]}\n{text}````\n"
