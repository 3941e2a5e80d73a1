"""Names that programs give their memory, in /proc/PID/maps. Linux has this as an option, which the one that we compare
with was not built with; so the answers stand here, as prctl(2) and PR_SET_VMA(2const) describe them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness import KRAIT, Guest, compile_program
from tests.harness.guest import PATIENCE
from tools.cpio import Archive, extend

pytestmark = pytest.mark.timeout(int(120 * PATIENCE))

PROGRAM = Path(__file__).parent / "memory_names.c"
ANSWERS = PROGRAM.with_suffix(".txt")


def test_memory_has_the_names_that_it_was_given(root_image: Path, tmp_path: Path) -> None:
    overlay = Archive()
    overlay.file("usr/bin/memory_names", compile_program(PROGRAM).read_bytes(), 0o755)
    image = tmp_path / "initrd"
    image.write_bytes(extend(root_image.read_bytes(), overlay))
    with Guest(KRAIT.boot(image, "quiet")) as guest:
        guest.expect_prompt(60)
        assert guest.check("memory_names", 60) == ANSWERS.read_text()
