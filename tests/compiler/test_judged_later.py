"""The rules of the subset are judged while lowering has begun: the same IR, and the same errors."""

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
import pickle
import sys
from pathlib import Path
from compiler import driver
from compiler.freeze import Freezer
from compiler.front.program import enter_verdicts, verdicts
from compiler.lower.debug import DebugInfo
from compiler.lower.interfaces import CompileErrors, Options
from compiler.lower.program import Lowering

file, is_early = Path(sys.argv[1]), sys.argv[2] == "early"
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
