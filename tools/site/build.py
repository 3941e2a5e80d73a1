"""Build the site: pages (pages.py), pictures (plots.py, `krait profile`), mkdocs in an environment of its own."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from compiler.progress import Step
from tools.errors import KraitError
from tools.import_map import PICTURE
from tools.paths import BUILD, ROOT
from tools.site import house, recording
from tools.site.pages import lay_out
from tools.site.plots import draw, tables_of
from tools.site.screen import ScreenError
from tools.version import VERSION

STAGE = BUILD / "site-pages"
SITE = BUILD / "site"
VENV = BUILD / "docs-venv"
REQUIREMENTS = Path(__file__).parent / "requirements.txt"
INDEX = ROOT / "docs" / "README.md"
PICTURES = Path("docs") / "pictures"
PROFILED = "find / -xdev >/tmp/a; sort /tmp/a | md5sum; seq 5000 | sort -n | tail -1; tar c /bin | wc -c"


def environment() -> Path:
    """The Python that has mkdocs, which is installed if it is missing or of other versions."""
    python = VENV / "bin" / "python"
    stamp = VENV / "installed"
    digest = hashlib.sha256((REQUIREMENTS.read_text() + sys.version).encode()).hexdigest()
    if not stamp.exists() or stamp.read_text() != digest:
        with Step("install mkdocs"):
            pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            for command in ([sys.executable, "-m", "venv", str(VENV)], [*pip, "-r", str(REQUIREMENTS)]):
                done = subprocess.run(command, check=False, capture_output=True, text=True)
                if done.returncode != 0:
                    raise KraitError(f"krait docs: mkdocs cannot be installed: {done.stderr.strip()}")
        stamp.write_text(digest)
    return python


def navigation() -> list[dict[str, object]]:
    """The menu: the groups of docs/README.md, and the directories beside it."""
    menu: list[dict[str, object]] = [{"Krait": "README.md"}]
    group: list[str] = []
    for line in INDEX.read_text().splitlines():
        if heading := re.fullmatch(r"\*\*(.+)\*\*", line):
            group = []
            menu.append({heading[1]: group})
        elif line.startswith("- "):
            group += [f"docs/{name}" for name in re.findall(r"\]\(([\w-]+\.md)\)", line)]
    for directory in sorted(path for path in (ROOT / "docs").iterdir() if path.is_dir()):
        found = sorted(directory.glob("*.md"), key=lambda path: (path.name != "README.md", path.name))
        menu.append({directory.name.capitalize(): [str(path.relative_to(ROOT)) for path in found]})
    menu.append({"Taking part": ["CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"]})
    return menu


def configuration() -> dict[str, object]:
    """The configuration for mkdocs. A link to no page or section is an error."""
    return {
        "site_name": f"Krait {VERSION}", "docs_dir": str(STAGE), "site_dir": str(SITE), "use_directory_urls": False,
        "theme": {"name": "material", "font": False,
                  "palette": [{"scheme": "default", "primary": "blue grey", "accent": "amber",
                               "media": "(prefers-color-scheme: light)"},
                              {"scheme": "slate", "primary": "blue grey", "accent": "amber",
                               "media": "(prefers-color-scheme: dark)"}],
                  "features": ["navigation.indexes", "navigation.top", "content.code.copy", "search.highlight"]},
        "markdown_extensions": ["tables", "toc", "attr_list", {"pymdownx.highlight": {"anchor_linenums": True}},
                                "pymdownx.superfences"],
        "plugins": ["search"], "nav": navigation(), "strict": True,
        "validation": {"links": {"not_found": "warn", "anchors": "warn", "unrecognized_links": "warn"},
                       "nav": {"omitted_files": "ignore", "not_found": "warn"}},
    }  # fmt: skip


def show_recording(stage: Path) -> None:
    """On the first page and that of the tour: the picture of the session, and the file to play it from."""
    for page, heading in (("README.md", "## A session\n"), ("docs/tour.md", "# Five minutes with Krait\n")):
        path = stage / page
        pictures = os.path.relpath(stage / PICTURES, path.parent)
        shown = f"![{recording.TITLE}]({pictures}/{recording.PICTURE})\n\nTo play it: `asciinema play` with [its file]"
        text = path.read_text()
        if heading not in text:
            raise KraitError(f"krait docs: {page} has no heading for the recording")
        path.write_text(text.replace(heading, f"{heading}\n{shown}({pictures}/{recording.CAST}).\n", 1))


def draw_pictures(with_machine: bool) -> None:
    """Into the pages: plots of the measurements, the house, and what the kernel does for a few commands."""
    place = STAGE / PICTURES
    place.mkdir(parents=True, exist_ok=True)
    page = STAGE / "docs" / "performance.md"
    text = page.read_text()
    shown = []
    for number, table in enumerate(tables_of(page)):
        (place / f"performance-{number}.svg").write_text(draw(table))
        shown.append(f"![{table.title}](pictures/performance-{number}.svg)")
    page.write_text(text.rstrip() + "\n\n## In pictures\n\n" + "\n\n".join(shown) + "\n")
    (place / "house.svg").write_text(house.draw(house.chapters_of(ROOT / "docs" / "reading-order.md")))
    (STAGE / "docs" / PICTURE.name).write_text(PICTURE.read_text())
    page = STAGE / "docs" / "architecture.md"
    page.write_text(page.read_text().rstrip() + "\n\n## In a picture\n\n![The house](pictures/house.svg)\n")
    if with_machine:
        try:
            recording.write(place)
        except ScreenError as error:
            raise KraitError(f"krait docs: the session was not recorded: {error}") from error
        show_recording(STAGE)
        picture = place / "flame.svg"
        done = subprocess.run(
            [sys.executable, "-m", "tools.front_end", "profile", "-o", str(picture), "--command", PROFILED],
            check=False, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if done.returncode != 0:
            raise KraitError(f"krait docs: the flame graph was not made: {done.stderr.strip()}")
        page = STAGE / "docs" / "debugging.md"
        page.write_text(page.read_text().rstrip() + "\n\n## A flame graph\n\n![A flame graph](pictures/flame.svg)\n")


def build_site(with_machine: bool = True) -> Path:
    """The site's first page. Raises KraitError; what is wrong with links is said by mkdocs."""
    python = environment()
    with Step("build the site"):
        lay_out(STAGE)
        draw_pictures(with_machine)
        settings = STAGE.parent / "mkdocs.yml"
        settings.write_text(json.dumps(configuration()))  # which is YAML, too
        done = subprocess.run(
            [str(python), "-m", "mkdocs", "build", "--quiet", "--clean", "-f", str(settings)],
            check=False, cwd=BUILD, capture_output=True, text=True,
        )  # fmt: skip
    if done.returncode != 0:
        raise KraitError(f"krait docs: the site was not built:\n{(done.stdout + done.stderr).strip()}")
    return SITE / "index.html"


def docs(options: argparse.Namespace) -> int:
    """The command."""
    print(build_site(not options.without_machine))
    return 0
