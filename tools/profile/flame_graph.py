"""Draw a flame graph as an SVG picture that explains itself: no script, no other file.

A box is a function, as wide as its share of the samples; upon it stand those that it called. Boxes that stand beside
each other are in the order of the alphabet, not of time. Pointing at one shows its name and share.
"""

from __future__ import annotations

import zlib
from collections import Counter
from dataclasses import dataclass, field
from html import escape

WIDTH = 1200
ROW = 17  # height of a box
MARGIN = 10
HEAD = 46
LETTER = 6.6  # width of one, about
SMALLEST = 0.3  # boxes narrower than that many pixels are left out

Stack = tuple[str, ...]  # outermost first


@dataclass
class Box:
    """A function as it was called by those below it."""

    count: int = 0
    children: dict[str, Box] = field(default_factory=dict)

    def depth(self) -> int:
        return 1 + max((child.depth() for child in self.children.values()), default=0)


def pile_up(stacks: Counter[Stack]) -> Box:
    """The boxes of all stacks; the root is all of them together."""
    root = Box()
    for stack, count in stacks.items():
        box = root
        box.count += count
        for name in stack:
            box = box.children.setdefault(name, Box())
            box.count += count
    return root


def colour(name: str) -> str:
    """Warm, and always the same for a name; what is no kernel code is grey."""
    if name.startswith("("):
        return "#b8bec6"
    value = zlib.crc32(name.encode())
    return f"#{225 + value % 30:02x}{110 + (value >> 8) % 90:02x}{50 + (value >> 16) % 40:02x}"


def draw(stacks: Counter[Stack], title: str, unit: str) -> str:
    """The picture. `unit` says what a sample stands for."""
    root = pile_up(stacks)
    height = HEAD + root.depth() * ROW + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'font-family="monospace" font-size="11">',
        "<style>g:hover rect { stroke: #000 }</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fffdf8"/>',
        f'<text x="{MARGIN}" y="20" font-size="15">{escape(title)}</text>',
        f'<text x="{MARGIN}" y="37">{root.count:,} samples, one for {escape(unit)}</text>',
    ]
    if root.count > 0:
        _draw(root, "all", MARGIN, (WIDTH - 2 * MARGIN) / root.count, height - MARGIN - ROW, root.count, parts)
    parts.append("</svg>\n")
    return "\n".join(parts)


def _draw(box: Box, name: str, x: float, scale: float, y: int, total: int, parts: list[str]) -> None:
    width = box.count * scale
    if width < SMALLEST:
        return
    letters = int((width - 4) / LETTER)
    shown = name if len(name) <= letters else f"{name[: letters - 1]}…" if letters > 3 else ""
    text = f'<text x="{x + 2:.1f}" y="{y + 12}">{escape(shown)}</text>' if shown else ""
    parts.append(
        f"<g><title>{escape(name)}: {box.count:,} samples, {100 * box.count / total:.1f} %</title>"
        f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{ROW - 1}" fill="{colour(name)}"/>{text}</g>'
    )
    for child, inner in sorted(box.children.items()):
        _draw(inner, child, x, scale, y - ROW, total, parts)
        x += inner.count * scale
