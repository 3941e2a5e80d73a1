"""Debian's perf, as it is, with its libraries: its reports have here the form that they have on Linux.

Numbers and times differ from run to run, so they are taken out before the two are compared.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.harness import KRAIT, Batch, Case, Result, compile_program
from tests.harness.agreement import linux_texts
from tests.harness.guest import PATIENCE
from tools.cpio import Archive
from tools.libraries import add_libraries, interpreter
from tools.machine import Machine
from tools.setup import require

pytestmark = pytest.mark.timeout(int(300 * PATIENCE))

WORK = Path(__file__).parent / "profiled.c"
SCRIPTS = {
    "stat": """\
perf stat -e task-clock,page-faults,context-switches,cpu-migrations,minor-faults,major-faults true 2>&1 | form
perf stat -x, -e page-faults:u,dummy,cycles true 2>&1 | cut -d, -f 3
perf stat -e task-clock -r 2 true 2>&1 | form
""",
    "record": """\
perf record -q -e cpu-clock -F 2000 -o /tmp/data /perf/profiled
echo "status $?"
perf report -i /tmp/data --stdio -q --sort comm,dso,symbol 2>/dev/null | grep -o 'profiled .* busy' | form
perf report -i /tmp/data --stdio --header-only 2>/dev/null | grep -c cpu-clock
perf script -i /tmp/data -F comm,event,ip,sym 2>/dev/null | sed -nE 's/ [0-9a-f]+ busy/ ADDRESS busy/p' | form | sort -u
""",
    "chains": """\
perf record -q -e cpu-clock -F 1000 -g -o /tmp/data /perf/profiled
perf script -i /tmp/data -F ip,sym 2>/dev/null | grep -A2 ' busy' > /tmp/busy
sed -nE 's/^[[:space:]]*[0-9a-f]+ /ADDRESS /p' /tmp/busy | form | sort -u
""",
    "tracepoints": """\
perf record -q -e sched:sched_process_exec,syscalls:sys_enter_chdir -o /tmp/data sh -c 'cd /; cd /tmp; exec true'
perf script -i /tmp/data -F comm,event,trace 2>/dev/null | form
perf record -q -e raw_syscalls:sys_exit --filter 'id == 80' -o /tmp/data sh -c 'cd /; cd /nowhere; :'
perf script -i /tmp/data -F comm,event,trace 2>/dev/null | form
""",
    "trace": """\
perf trace -e chdir,getppid -o /tmp/out sh -c 'cd /; cd /nowhere' 2>/dev/null
cut -d '(' -f 2- /tmp/out | sed 's/^ *//' | form
perf trace -s -e chdir -o /tmp/out sh -c 'cd /; cd /nowhere' 2>/dev/null
grep chdir /tmp/out | form
""",
}
SURROUNDINGS = r"""
export PATH=/usr/bin:/bin:/usr/sbin:/sbin TERM=dumb HOME=/ PAGER=cat LANG=C
form() {
    sed -E 's/0x[0-9a-f]+/ADDRESS/g; s/^ *[0-9a-f]{6,} / ADDRESS /; s/[0-9][0-9.,]*/N/g
        s# [KMG]/sec# /sec#; s/ +/ /g; s/ $//'
}
mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null
cd /tmp
"""


def image() -> Archive:
    require("perf")
    files = Archive()
    path = Path("/usr/bin/perf")
    data = path.read_bytes()
    files.file("usr/bin/perf", data, 0o755)
    loader = interpreter(data)
    assert loader is not None
    add_libraries(files, path, loader)
    program = compile_program(WORK, flags=("-static", "-O0", "-fno-omit-frame-pointer"))
    files.file("perf/profiled", program.read_bytes(), 0o755)
    for name, text in SCRIPTS.items():
        files.file(f"perf/{name}.sh", (SURROUNDINGS + text).encode(), 0o755)
    return files


def text_of(result: Result) -> str:
    output = re.sub(r"\r", "", result.output)
    return f"{output}{result.ending}{result.log}"


def batch() -> Batch:
    cases = [Case(name, ("/bin/sh", f"/perf/{name}.sh"), 60.0) for name in SCRIPTS]
    return Batch(cases, image(), Machine(memory="512M"))


@pytest.fixture(scope="module")
def krait() -> dict[str, Result]:
    return batch().run(KRAIT)


@pytest.fixture(scope="module")
def linux(krait: dict[str, Result]) -> dict[str, str]:
    return linux_texts("perf", batch(), krait, text_of, Path(__file__))


@pytest.mark.parametrize("name", SCRIPTS)
def test_prints_what_it_prints_on_linux(linux: dict[str, str], krait: dict[str, Result], name: str) -> None:
    assert text_of(krait[name]) == linux[name]


def test_it_does_what_it_is_for(linux: dict[str, str]) -> None:
    """Equal outputs could be equally wrong."""
    assert "page-faults" in linux["stat"] and "context-switches" in linux["stat"]
    assert "busy" in linux["record"] and "main" in linux["chains"]
    assert "sys_enter_chdir" in linux["tracepoints"] and "sched_process_exec" in linux["tracepoints"]
    assert "chdir" in linux["trace"]
