"""What two processes do at once gives the same IR, and the same errors, as one process: the rules of the subset, which
are judged while lowering has begun; emission; and the check of places.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FINE = """
def count(n: int) -> Iterator[int]:
    for i in range(n):
        yield i

def main() -> None:
    total = 0
    for i in count(3):
        total += i
    print(total)
"""
BROKEN = {
    "a function": "def broken() -> object:\n    return {1, 2}\n\ndef main() -> None:\n    broken()\n",
    "a generator": FINE.replace("        yield i", "        yield i\n        print({1, 2})"),
    "a class": "class A:\n    def __del__(self) -> None:\n        pass\n\ndef main() -> None:\n    A()\n",
    "a value": "def main() -> None:\n    number: int = True\n    print(number)\n",
}
SCRIPT = """
import hashlib
import os
import pickle
import sys
from pathlib import Path
from compiler import apart, driver
from compiler.freeze import Freezer
from compiler.front.program import enter_verdicts, verdicts
from compiler.lower.debug import DebugInfo
from compiler.lower.interfaces import CompileErrors, Options
from compiler.lower import program as lowering_module
from compiler.lower.program import Lowering

file, way = Path(sys.argv[1]), sys.argv[2]
is_early = way == "early"
apart.has_room = lambda: way != "late"
program = driver.load([driver.HOST_MODULE], [file], is_judged=False)
driver.import_live([driver.HOST_MODULE], [file])
entries = driver.host_entries(program, "program.main", [file])
lowering = Lowering(program, Options("host", True), Freezer, DebugInfo)
is_fine = lowering.discovers_well(entries) if is_early else True
enter_verdicts(program, pickle.loads(pickle.dumps(verdicts(program))))
is_once = is_fine and not lowering.reaches_broken()
print("once" if is_once else "again", file=sys.stderr)
if not is_once:
    lowering = Lowering(program, Options("host", True), Freezer, DebugInfo)
if way in ("halves", "a killed half"):
    lowering.lowers_once, lowering_module.FEW_FUNCTIONS = True, 0
    if way == "a killed half":
        emit_here = lowering.emit_these
        lowering.emit_these = lambda instances: os._exit(1) if apart.is_apart() else emit_here(instances)
    emit_in_two = lowering_module.emit_in_two
    lowering_module.emit_in_two = lambda *given: [done := emit_in_two(*given), print(done, file=sys.stderr)][0]
try:
    for name, text in sorted(lowering.run(entries)):
        print(name, hashlib.sha256(text.encode()).hexdigest())
except CompileErrors as errors:
    print([(d.code, d.loc.line, d.message) for d in errors.diagnostics])
"""


def lowered(file: Path, when: str) -> tuple[str, str]:
    command = [sys.executable, "-c", SCRIPT, str(file), when]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_the_same_text(tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    file.write_text("from collections.abc import Iterator\n" + FINE)
    early, said = lowered(file, "early")
    assert said == "once\n" and early == lowered(file, "late")[0] and "program " in early


@pytest.mark.parametrize("what", BROKEN)
def test_the_same_errors(tmp_path: Path, what: str) -> None:
    file = tmp_path / "program.py"
    file.write_text("from collections.abc import Iterator\n" + BROKEN[what])
    early, said = lowered(file, "early")
    assert said == "again\n" and early.startswith("[('KP") and early == lowered(file, "late")[0]


def test_halves(tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    file.write_text("from collections.abc import Iterator\n" + FINE)
    late, _ = lowered(file, "late")
    assert lowered(file, "halves") == (late, "once\nTrue\n")
    assert lowered(file, "a killed half") == (late, "once\nFalse\n")
