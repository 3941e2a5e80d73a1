"""Draw the house: the chapters of docs/reading-order.md as rooms, each as large as it has lines. SVG."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from pathlib import Path

WIDTH, HEIGHT = 900, 560
HEAD = 34
ROW_ROOMS = 5  # rooms of a storey, about

CHAPTER = re.compile(r"^\| (?!\*\*|\d+\. )([^|]+?) \| ([\d,]+) \|$", re.MULTILINE)
COLOURS = ("#cfe3f1", "#ffe9a8", "#dbe9d2", "#f3d9d2", "#e4dcef")


def chapters_of(page: Path) -> list[tuple[str, int]]:
    """Names and lines, in the order of the page."""
    return [(name, int(lines.replace(",", ""))) for name, lines in CHAPTER.findall(page.read_text())]


def storeys(chapters: list[tuple[str, int]]) -> Iterator[list[tuple[str, int]]]:
    """Neighbours of about equal sums, from the bottom up."""
    limit = sum(lines for _, lines in chapters) * ROW_ROOMS / max(1, len(chapters))
    storey: list[tuple[str, int]] = []
    for chapter in chapters:
        storey.append(chapter)
        if sum(lines for _, lines in storey) >= limit:
            yield storey
            storey = []
    if storey:
        yield storey


def draw(chapters: list[tuple[str, int]]) -> str:
    """The picture: what is read first lies at the bottom."""
    total = sum(lines for _, lines in chapters)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="6" y="22" font-size="15">The house: {total:,} lines, what is read first at the bottom</text>',
    ]
    bottom = float(HEIGHT)
    number = 0
    for storey in storeys(chapters):
        lines = sum(count for _, count in storey)
        height = (HEIGHT - HEAD) * lines / total
        bottom -= height
        left = 0.0
        for name, count in storey:
            width = WIDTH * count / lines
            letters = int(width / 6.5)
            shown = name if len(name) <= letters else f"{name[: max(1, letters - 1)]}…"
            parts.append(
                f"<g><title>{escape(name)}: {count:,} lines</title>"
                f'<rect x="{left:.1f}" y="{bottom:.1f}" width="{width:.1f}" height="{height:.1f}" '
                f'fill="{COLOURS[number % len(COLOURS)]}" stroke="#fff"/>'
                f'<text x="{left + 5:.1f}" y="{bottom + 17:.1f}">{escape(shown)}</text></g>'
            )
            left += width
            number += 1
    parts.append("</svg>\n")
    return "\n".join(parts)
