"""The site: what it is laid out of, that mkdocs finds no dead link, and what its pictures show."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from tools.errors import KraitError
from tools.paths import ROOT
from tools.site import house, pages
from tools.site.build import build_site, navigation
from tools.site.plots import Table, draw, tables_of

SVG = "{http://www.w3.org/2000/svg}"
MEASURED = """\
# Speed
## Calls
### `-cpu max`

| | Krait | Linux | Linux / Krait |
| --- | ---: | ---: | ---: |
| getppid (ns) | 191 | 482 | 2.52 |
| slow (ns) | 2,000 | 1,000 | 0.50 |
| geometric mean of the system calls | | | 1.12 |
"""


@pytest.mark.timeout(600)
def test_the_site_is_built() -> None:
    first = build_site(with_machine=False)
    site = first.parent
    assert "Five minutes" in (site / "docs" / "tour.html").read_text()
    assert ">proc_file<" in (site / "kernel" / "lib" / "proc_files.py.html").read_text()
    assert (site / "docs" / "pictures" / "performance-0.svg").exists()
    assert "pictures/performance-0.svg" in (site / "docs" / "performance.html").read_text()


def test_the_menu_has_every_page() -> None:
    named = {page for entry in navigation() for value in entry.values()
             for page in (value if isinstance(value, list) else [value])}  # fmt: skip
    known = {str(page.relative_to(ROOT)) for page in pages.markdown_pages()}
    assert known - named <= {"docs/README.md"} and named <= known


@pytest.mark.parametrize("link", ["[x](none.py)", "[x](../../outside.py)", "[x](empty/)"])
def test_dead_links_to_sources(link: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "root" / "docs" / "empty").mkdir(parents=True)
    (tmp_path / "outside.py").write_text("")
    page = tmp_path / "root" / "docs" / "page.md"
    monkeypatch.setattr(pages, "ROOT", tmp_path / "root")
    monkeypatch.setattr(pages, "markdown_pages", lambda: [page])
    page.write_text(f"```\n{link}\n```\n")  # what is shown is not followed
    pages.lay_out(tmp_path / "stage")
    page.write_text(link)
    with pytest.raises(KraitError):
        pages.lay_out(tmp_path / "stage")


def test_the_house_has_a_room_for_each_chapter() -> None:
    chapters = house.chapters_of(ROOT / "docs" / "reading-order.md")
    assert len(chapters) > 15 and ("Terminals", dict(chapters)["Terminals"]) in chapters
    rooms = [each for each in ElementTree.fromstring(house.draw(chapters)).iter(f"{SVG}g")]
    areas = {}
    for room in rooms:
        title, rect = room.find(f"{SVG}title"), room.find(f"{SVG}rect")
        assert title is not None and title.text is not None and rect is not None
        areas[title.text.rsplit(":", 1)[0]] = float(rect.get("width", "")) * float(rect.get("height", ""))
    scale = sum(areas.values()) / sum(lines for _, lines in chapters)
    assert areas == {name: pytest.approx(lines * scale, rel=0.02) for name, lines in chapters}


def test_bars_are_ratios(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(MEASURED)
    assert tables_of(tmp_path / "page.md") == [Table("-cpu max", (("getppid (ns)", 2.52), ("slow (ns)", 0.5)))]
    root = ElementTree.fromstring(draw(tables_of(tmp_path / "page.md")[0]))
    widths = [float(rect.get("width", "0")) for rect in root.iter(f"{SVG}rect")][1:]
    assert widths[0] / widths[1] == pytest.approx(2.52 / 0.5, rel=0.01)
    assert len(tables_of(ROOT / "docs" / "performance.md")) >= 2
