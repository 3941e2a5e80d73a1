"""Draw docs/performance.md's tables as bars: how many times as long Linux takes. SVG, made from the page's own figures.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from pathlib import Path

WIDTH = 760
LABEL = 250
ROW = 20
HEAD = 40
QUICKER, SLOWER, LINE = "#3776ab", "#c0504d", "#888"

TABLE = re.compile(r"^\| \| Krait \| Linux \| Linux / Krait \|\n\|[-: |]+\|\n((?:\|.*\|\n)+)", re.MULTILINE)
HEADING = re.compile(r"^#{2,3} (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Table:
    """The rows of a table by name: Linux's time by Krait's."""

    title: str
    ratios: tuple[tuple[str, float], ...]


def tables_of(page: Path) -> list[Table]:
    """All comparisons of a page, under the headings above them."""
    text = page.read_text()
    found = []
    for match in TABLE.finditer(text):
        headings = HEADING.findall(text[: match.start()])
        rows = []
        for line in match[1].splitlines():
            name, *_, ratio = (cell.strip() for cell in line.strip("|").split("|"))
            if re.fullmatch(r"[\d,]+(\.\d+)?", ratio) and not name.startswith("geometric mean"):
                rows.append((name, float(ratio.replace(",", ""))))
        found.append(Table(headings[-1].replace("`", "") if headings else page.stem, tuple(rows)))
    return found


def draw(table: Table) -> str:
    """One bar a row; the line is where both take the same time."""
    height = HEAD + ROW * len(table.ratios) + 10
    most = max([1.0, *(ratio for _, ratio in table.ratios)])
    scale = (WIDTH - LABEL - 60) / most
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="8" y="24" font-size="15">{escape(table.title)}: how many times as long Linux takes</text>',
    ]
    for number, (name, ratio) in enumerate(table.ratios):
        y = HEAD + ROW * number
        fill = QUICKER if ratio >= 1 else SLOWER
        parts.append(
            f'<text x="{LABEL - 8}" y="{y + 14}" text-anchor="end">{escape(name)}</text>'
            f'<rect x="{LABEL}" y="{y + 2}" width="{ratio * scale:.1f}" height="{ROW - 5}" fill="{fill}"/>'
            f'<text x="{LABEL + ratio * scale + 5:.1f}" y="{y + 14}">{ratio:.2f}</text>'
        )
    one = LABEL + scale
    parts.append(f'<line x1="{one:.1f}" x2="{one:.1f}" y1="{HEAD - 6}" y2="{height - 6}" stroke="{LINE}"/>')
    parts.append("</svg>\n")
    return "\n".join(parts)
