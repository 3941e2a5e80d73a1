"""Files of /proc are declared once, where their text is made."""

import subprocess
import sys

import pytest

import kernel.start.main  # noqa: F401  (it imports all that declares files)
from kernel.lib.proc_files import NET_FILES, PROC_FILES, proc_file
from kernel.net.internet.sysctl import IP4_SETTINGS
from kernel.net.tcp.memory import MEMORY
from tools.paths import ROOT


def test_a_path_is_declared_once() -> None:
    def text() -> bytes:
        return b""

    for taken in ("uptime", "net/dev"):
        with pytest.raises(ValueError, match=f"/proc/{taken} is declared twice"):
            proc_file(taken)(text)
    for files in (PROC_FILES, NET_FILES):
        assert len({file.path for file in files}) == len(files)


def test_every_text_says_what_it_is() -> None:
    assert [file.path for file in PROC_FILES + NET_FILES if not (file.make or file.pieces).__doc__] == []


def test_how_many_numbers_a_setting_takes() -> None:
    ports, forwarding = IP4_SETTINGS.local_ports, IP4_SETTINGS.ip_forward
    assert ports.most_numbers() == 2
    assert forwarding.most_numbers() == 1
    assert MEMORY.marks.most_numbers() == 3


def test_the_page_is_up_to_date() -> None:
    """In a process of its own: other tests make settings."""
    subprocess.run([sys.executable, "-m", "tools.proc_files", "--check"], cwd=ROOT, check=True)
