"""Lay the pages out for mkdocs: the checkout's tree, with a page for each source file that some page leads to.

Every page stays where it lies in the checkout, so links hold. A link to a source becomes one to its page, and links to
what is not there are errors: here for sources, in mkdocs for pages and their sections.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from tools.errors import KraitError
from tools.paths import ROOT

LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)]*)?\))")
TOP = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
LANGUAGES = {".py": "python", ".S": "gas", ".c": "c", ".h": "c", ".sh": "sh", ".ld": "text", ".toml": "toml"}


def markdown_pages() -> list[Path]:
    return [*(ROOT / name for name in TOP), *sorted((ROOT / "docs").rglob("*.md"))]


def lay_out(target: Path) -> None:
    """Write all pages below `target`, which is emptied first. Raises KraitError for a link to nothing."""
    shutil.rmtree(target, ignore_errors=True)
    sources: set[Path] = set()
    for page in markdown_pages():
        place = target / page.relative_to(ROOT)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(_with_source_links(page, sources))
    for source in sorted(sources):
        place = target / f"{source.relative_to(ROOT)}.md"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(_source_page(source))


def _with_source_links(page: Path, sources: set[Path]) -> str:
    """The page's text; what it leads to besides pages is added to `sources`."""

    def replaced(match: re.Match[str]) -> str:
        start, target, end = match.groups()
        if "://" in target or target.endswith(".md"):
            return match[0]
        path = (page.parent / target).resolve()
        if not path.exists() or not path.is_relative_to(ROOT):
            raise KraitError(f"krait docs: {page.relative_to(ROOT)} leads to {target}, which is not there")
        if path.is_dir():
            return f"{start}{os.path.relpath(_first_page(path, page), page.parent)}{end}"
        if path.suffix in (".svg", ".png"):
            return match[0]
        sources.add(path)
        return f"{start}{target}.md{end}"

    return _outside_of_code(page.read_text(), replaced)


def _first_page(directory: Path, page: Path) -> Path:
    found = sorted(directory.glob("*.md"))
    if not found:
        raise KraitError(f"krait docs: {page.relative_to(ROOT)} leads to {directory.name}/, which has no page")
    return found[0]


def _outside_of_code(text: str, replaced: Callable[[re.Match[str]], str]) -> str:
    """Replace links, but not in what is shown word by word."""
    parts = re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if part.startswith("```") else LINK.sub(replaced, part) for part in parts)


def _source_page(source: Path) -> str:
    """A page that shows a file, with numbers of lines that links may name."""
    language = LANGUAGES.get(source.suffix, "text")
    name = source.relative_to(ROOT)
    fence = "`" * 6
    return f'# {name}\n\n{fence}{{ .{language} linenums="1" }}\n{source.read_text().rstrip()}\n{fence}\n'
