"""What an object of each kind costs in memory is what docs/limits.md says, and the settings that bound it are there.

`KRAIT_UPDATE=1` writes the measured figures into the page.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.harness import KRAIT, Guest, compile_program
from tests.harness.guest import PATIENCE
from tools.cpio import Archive, extend
from tools.machine import Machine
from tools.paths import ROOT

PAGE = ROOT / "docs" / "limits.md"
SOURCE = ROOT / "tests" / "boot" / "object_costs.c"
KINDS = re.findall(r"\bKIND\((\w+)\)", SOURCE.read_text().partition("#define KIND(name)")[2])
ROW = re.compile(r"^\| `(?P<kind>\w+)` \| (?P<what>[^|]+) \| (?P<krait>\S+) \| \S+ \| (?P<bound>[^|]+) \|$")
SETTING = re.compile(r"\b(?:fs|kernel|net|user|vm)(?:\.[\w-]+)+")
# Of a figure: slabs are given back whole, and a table that grew is divided among the objects that made it grow.
TOLERANCE = 0.06
TOLERANCE_BYTES = 16
SLACK_BYTES = 192 << 10  # of all objects of a kind together: what others gave back meanwhile
COST = re.compile(r"^cost (\w+): (\d+) made, (-?\d+) bytes", re.MULTILINE)

pytestmark = pytest.mark.timeout(int(300 * PATIENCE))


def rows() -> dict[str, re.Match[str]]:
    """The table, by kind."""
    return {row["kind"]: row for row in map(ROW.match, PAGE.read_text().splitlines()) if row}


def _update(costs: dict[str, int]) -> None:
    lines = []
    for line in PAGE.read_text().splitlines():
        row = ROW.match(line)
        if row:
            start, end = row.span("krait")
            line = f"{line[:start]}{costs[row['kind']]:,}{line[end:]}"
        lines.append(line)
    PAGE.write_text("\n".join(lines) + "\n")


def said_of(kind: str) -> int:
    """What the page says, in bytes."""
    return int(rows()[kind]["krait"].replace(",", ""))


def agrees(kind: str, cost: int, made: int) -> bool:
    """Whether a figure that was measured, with that many of them, is the page's."""
    return abs(cost - said_of(kind)) <= max(TOLERANCE_BYTES, said_of(kind) * TOLERANCE, SLACK_BYTES / made)


def test_objects_cost_what_the_page_says(root_image: Path, tmp_path: Path) -> None:
    assert list(rows()) == KINDS
    files = Archive()
    files.file("usr/bin/object_costs", compile_program(SOURCE).read_bytes(), 0o755)
    initrd = tmp_path / "initrd"
    initrd.write_bytes(extend(root_image.read_bytes(), files))
    with Guest(KRAIT.boot(initrd, "quiet"), Machine(memory="256M")) as guest:
        guest.expect_prompt(60)
        guest.check("mkdir -p /dev/mqueue")
        # Each kind by a process of its own: else objects also go into the holes that those of the kinds before have
        # left in shared pages, or whole slabs of theirs go back meanwhile.
        output = "".join(guest.check(f"object_costs {kind}", 60) for kind in KINDS)
        costs = {kind: (int(cost), int(made)) for kind, made, cost in COST.findall(output)}
        assert list(costs) == KINDS, output
        settings = sorted({found for row in rows().values() for found in SETTING.findall(row["bound"])})
        paths = " ".join(f"/proc/sys/{setting.replace('.', '/')}" for setting in settings)
        guest.check(f"cat {paths}")
    if os.environ.get("KRAIT_UPDATE"):
        _update({kind: cost for kind, (cost, _) in costs.items()})
        return
    wrong = []
    for kind, (cost, made) in costs.items():
        if not agrees(kind, cost, made):
            wrong.append(f"{kind}: {cost} bytes, and docs/limits.md says {said_of(kind)}")
    assert not wrong, "\n".join([*wrong, output])
