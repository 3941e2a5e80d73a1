"""docs/prompt.ipynb: each cell prints what stands below it. The cells run in one process, as Jupyter would run them."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.harness.guest import PATIENCE
from tools.paths import ROOT

NOTEBOOK = ROOT / "docs" / "prompt.ipynb"
RUN = """
import contextlib, io, json, sys
names = {"__name__": "__main__"}
printed = []
for source in json.load(sys.stdin):
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(source, "<cell>", "exec"), names)
    printed.append(output.getvalue())
print(json.dumps(printed))
"""


def test_the_notebook_is_true() -> None:
    cells = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    sources = ["".join(cell["source"]) for cell in cells]
    expected = ["".join(text for output in cell["outputs"] for text in output["text"]) for cell in cells]
    done = subprocess.run(
        [sys.executable, "-c", RUN], cwd=NOTEBOOK.parent, input=json.dumps(sources), capture_output=True, text=True,
        timeout=60 * PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == expected
    assert len(cells) >= 5
