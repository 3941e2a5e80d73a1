"""Debian's fatrace, which prints who does what to the files of a mount (fanotify(7)): as on Linux.

When it reads decides which events come merged, and whether the program that did it is still there to be named. So the
letters of each file are put together, but for those that were not asked for, and names of programs are left out. It is
fetched with the machine's own apt, and not installed.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.harness import KRAIT, Batch, Case, Result
from tests.harness.agreement import linux_texts
from tests.harness.guest import PATIENCE
from tools.cpio import Archive
from tools.debian import fetch_package
from tools.libraries import add_libraries, interpreter
from tools.machine import Machine
from tools.paths import BUILD

pytestmark = pytest.mark.timeout(int(120 * PATIENCE))

PROGRAM = BUILD / "tests" / "fatrace"
# What they print: command(number): letters path. `-c`: of the mount that it is started in.
START = """\
mkdir -p /tmp/watched && mount -t tmpfs none /tmp/watched && cd /tmp/watched && mkdir d && echo text > d/f
cp /bin/busybox d/busybox
(cd /tmp/watched && exec fatrace -c {flags} -o /tmp/out) & tracer=$!
for i in $(seq 2000); do grep -q "^fanotify.*mask" /proc/$tracer/fdinfo/* 2> /dev/null && break; sleep 0.02; done
"""
END = """\
touch d/last; for i in $(seq 2000); do grep -q last /tmp/out && break; sleep 0.02; done
kill -INT $tracer; wait $tracer; echo "status $?"
sed 's/([0-9]*)//' /tmp/out | awk -v letters="$letters" '{ key = $3; seen[key] = seen[key] $2 }
    END { for (key in seen) { n = split(letters, all, " "); text = ""
        for (i = 1; i <= n; i++) if (index(seen[key], all[i])) text = text all[i]; print text, key } }' | sort
cd / && umount -l /tmp/watched && rm /tmp/out
"""
WORK = """\
cat d/f; echo more >> d/f; : > d/new; ls d > /dev/null
# fatrace looks a name up when it reads an event: it must have read those of this file before the name changes.
for i in $(seq 2000); do grep -q "): [A-Z]*$final[A-Z]* .*/d/new$" /tmp/out && break; sleep 0.02; done
mv d/new d/newer; rm d/newer; mkdir d/dir; rmdir d/dir
d/busybox true
"""
SCRIPTS = {
    "fatrace_files": "letters='R W O C + D < >' final=C\n" + START.format(flags="") + WORK + END,
    "fatrace_filtered": "letters=O final=O\n" + START.format(flags="-f O") + WORK + END,
}


def image() -> Archive:
    if not PROGRAM.exists():
        package = fetch_package("fatrace", BUILD / "packages")
        unpacked = BUILD / "packages" / "fatrace"
        subprocess.run(["dpkg-deb", "--extract", str(package), str(unpacked)], check=True)
        (found,) = unpacked.glob("usr/*bin/fatrace")
        PROGRAM.parent.mkdir(parents=True, exist_ok=True)
        PROGRAM.write_bytes(found.read_bytes())
        PROGRAM.chmod(0o755)
    files = Archive()
    data = PROGRAM.read_bytes()
    files.file("bin/fatrace", data, 0o755)
    loader = interpreter(data)
    assert loader is not None
    add_libraries(files, PROGRAM, loader)
    for name, text in SCRIPTS.items():
        files.file(f"fatrace/{name}.sh", text.encode(), 0o755)
    return files


def text_of(result: Result) -> str:
    return f"{result.output}{result.ending}{result.log}".replace("\r", "")


def batch() -> Batch:
    return Batch([Case(name, ("/bin/sh", f"/fatrace/{name}.sh")) for name in SCRIPTS], image(), Machine())


@pytest.fixture(scope="module")
def krait() -> dict[str, Result]:
    return batch().run(KRAIT)


@pytest.fixture(scope="module")
def linux(krait: dict[str, Result]) -> dict[str, str]:
    return linux_texts("fatrace", batch(), krait, text_of, Path(__file__))


@pytest.mark.parametrize("name", SCRIPTS)
def test_prints_what_it_prints_on_linux(linux: dict[str, str], krait: dict[str, Result], name: str) -> None:
    assert text_of(krait[name]) == linux[name]


def test_it_does_what_it_is_for(linux: dict[str, str]) -> None:
    """Equal outputs could be equally wrong."""
    assert "ROC" in linux["fatrace_files"] and "WOC /tmp/watched/d/new\n" in linux["fatrace_files"]
    assert "O /tmp/watched/d/f\n" in linux["fatrace_filtered"]
