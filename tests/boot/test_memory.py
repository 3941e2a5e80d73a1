"""Nothing is lost: memory in use after many processes is what it was before them.

`make test` runs 4,000 rounds; KRAIT_ROUNDS=100000 is the long form.
"""

import os
import re

from tests.harness import Batch, Case, Kernel, compile_program
from tools.cpio import Archive
from tools.paths import ROOT

ROUNDS = int(os.environ.get("KRAIT_ROUNDS", "4000"))
SLACK_KIB = 512  # the reclaimer frees in batches, and the heap keeps some empty slabs


def test_memory_is_where_it_was_after_many_rounds_of_fork_exec_open_exit(kernel: Kernel) -> None:
    files = Archive()
    files.file("cases/rounds", compile_program(ROOT / "tests" / "boot" / "rounds.c").read_bytes(), 0o755)
    case = Case("rounds", ("/cases/rounds", str(ROUNDS), str(SLACK_KIB)), seconds=60 + ROUNDS / 100)
    result = Batch([case], files).run(kernel)["rounds"]
    found = re.search(r"free before (\d+) after (\d+)", result.output)
    assert found, f"{result.ending}\n{result.output}\n{result.log}"
    assert int(found[1]) - int(found[2]) <= SLACK_KIB
