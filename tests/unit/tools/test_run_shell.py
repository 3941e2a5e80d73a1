"""What becomes of a machine that has panicked, and our status."""

from __future__ import annotations

import os
import pty
import sys
from pathlib import Path

import pytest

from tools.errors import KraitError
from tools.paths import ROOT
from tools.run_shell import attend_shell

FAKE_QEMU = """#!/bin/sh
for word; do
    case $word in *logfile=*) log=${word##*logfile=} ;; esac
done
"""
PANICS = "printf '\\r\\nKernel panic - not syncing: it is over\\r\\n' | tee $log\n"
STANDS_STILL = "printf 'krait: this processor has no 64-bit mode\\r\\n' > $log; exec sleep 1000\n"
LEAVES = "read line; printf 'QEMU: Terminated\\n\\r' > $log\n"


def fake_qemu(place: Path, script: str) -> list[str]:
    (place / "qemu").write_text(FAKE_QEMU + script)
    (place / "qemu").chmod(0o755)
    return [str(place / "qemu")]


def test_a_machine_that_ends(tmp_path: Path) -> None:
    assert attend_shell(fake_qemu(tmp_path, "echo up > $log\n"), (), "1G") == 0
    assert attend_shell(fake_qemu(tmp_path, "exit 3\n"), (), "1G") == 3


@pytest.mark.parametrize(("script", "text", "status"), [
    (PANICS, "krait: the kernel has panicked", 125),
    (STANDS_STILL, "krait: the kernel has panicked", 125),
    ("echo \"qemu: unable to find CPU model 'x'\" >&2; exit 1\n",
     "krait: QEMU has no processor x: `qemu-system-x86_64 -cpu help` lists what there is", 2),
    ("kill -9 $$\n", "krait: QEMU was killed: by krait rm -f, or because this machine has no memory left", 125),
])  # fmt: skip
def test_without_a_terminal_the_end_has_a_reason(tmp_path: Path, script: str, text: str, status: int) -> None:
    with pytest.raises(KraitError) as caught:
        attend_shell(fake_qemu(tmp_path, script), (), "1G")
    assert (str(caught.value), caught.value.status) == (text, status)


def test_on_a_terminal_it_is_said_how_to_leave(tmp_path: Path) -> None:
    command = fake_qemu(tmp_path, PANICS + LEAVES)
    script = f"import sys\nfrom tools.run_shell import attend_shell\nsys.exit(attend_shell({command}, (), '1G'))"
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(ROOT)
        os.execv(sys.executable, [sys.executable, "-c", script])
    seen = b""
    while b"krait: the kernel has panicked (Ctrl-A X leaves)\r\n" not in seen:
        seen += os.read(terminal, 4096)  # at the end of the child it fails
    os.write(terminal, b"\n")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 125
    os.close(terminal)
