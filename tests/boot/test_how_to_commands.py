"""The commands of the how-to pages do what they say there."""

from __future__ import annotations

import re
import shlex
import subprocess

import pytest

from tests.harness import KRAIT, Kernel
from tests.harness.guest import PATIENCE
from tools.paths import ROOT

COMMANDS = [
    (page.stem, line[2:].partition("   #")[0].strip())
    for page in sorted((ROOT / "docs").glob("how-to-*.md"))
    for block in re.findall(r"^```console\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
    if line.startswith("$ ")
]
SHOWN = {"trace=getppid": r"getppid\(\)", "threads-max": r"^\d+\r?$"}  # what must be in the output of some
WRITES_A_PAGE = ("tools.compatibility", "tools.proc_files")  # --check says whether it would change anything


def test_the_pages_have_commands() -> None:
    assert {page for page, _ in COMMANDS} >= {"how-to-add-a-system-call", "how-to-add-a-proc-file"}


@pytest.mark.timeout(int(300 * PATIENCE))
@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_a_command_works(kernel: Kernel, page: str, command: str) -> None:
    if kernel is not KRAIT:
        pytest.skip("the pages are about Krait")
    words = shlex.split(command)
    if words[:2] == ["./krait", "test"]:  # that is what runs this
        assert [word for word in words[2:] if not word.startswith("-") and not (ROOT / word).exists()] == []
        return
    if any(name in words for name in WRITES_A_PAGE):
        words.append("--check")
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for part, pattern in SHOWN.items():
        if part in command:
            assert re.search(pattern, done.stdout + done.stderr, re.MULTILINE), done.stdout
