"""What importing a program says where that raises: each file of imported/, with the exact text in a .expected file
beside it. `KRAIT_UPDATE=1` writes them.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest

from compiler.diagnostics import render_all
from compiler.driver import Refused, guarded_import, import_file
from tools.paths import ROOT

CASES = sorted((Path(__file__).parent / "imported").glob("*.py"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_an_import_that_raises(case: Path) -> None:
    with pytest.raises(Refused) as refused:
        guarded_import(partial(import_file, f"imported_{case.stem}", case), case)
    files = [case, ROOT / "arch" / "x86_64" / "call_numbers.py"]
    text = render_all(refused.value.diagnostics, {str(file): file.read_text().splitlines() for file in files})
    text = text.replace(f"{ROOT}/", "")
    expected = case.with_suffix(".expected")
    if os.environ.get("KRAIT_UPDATE"):
        expected.write_text(text)
    assert text == expected.read_text()
