"""Memory that a program of uid 1000 makes the kernel hold: it is refused or killed, and others go on.

A menu of programs on small machines (memory_hogs.c). After each the first process and a bystander of root live, and
free memory is back.
"""

import re
from pathlib import Path

import pytest

from tests.harness import Guest, Kernel, compile_program
from tests.harness.guest import PATIENCE
from tools.cpio import Archive, extend
from tools.machine import Machine
from tools.paths import ROOT

MILLISECONDS = 700  # until one that is neither refused nor killed is stopped
SLACK_KIB = 1024  # tables that have grown (of 32,000 queues: 850 KiB), what the reclaimer frees in batches
SLACK_OF_ALL_KIB = 2048
SOURCE = ROOT / "tests" / "boot" / "memory_hogs.c"
ALL = [name for name in re.findall(r"\b(?:HOG|LIMITED)\((\w+)\)", SOURCE.read_text()) if name != "name"]
MENUS = {
    "32M": ALL[::2],
    "32M, the others": ALL[1::2],
    "64M": (
        "anonymous pipes pipes_many socket_cycles nested_sockets page_tables tmpfs_unlinked fork_bomb open_files"
        " empty_messages semaphore_undo single_bytes unaccepted"
    ).split(),
    "128M": (
        "anonymous_many pipes_under_way unix_streams epoll_watches shared_memory areas_many empty_page_tables"
        " empty_messages_many small_rights half_read_texts thread_signals"
    ).split(),
}
pytestmark = pytest.mark.timeout(int(240 * PATIENCE))


@pytest.mark.parametrize("menu", MENUS)
def test_hogs_are_refused_or_killed_and_others_go_on(
    menu: str, kernel: Kernel, root_image: Path, tmp_path: Path
) -> None:
    names = MENUS[menu]
    files = Archive()
    program = compile_program(SOURCE)
    files.file("usr/bin/memory_hogs", program.read_bytes(), 0o755)
    initrd = tmp_path / "initrd"
    initrd.write_bytes(extend(root_image.read_bytes(), files))
    with Guest(kernel.boot(initrd, "quiet loglevel=1"), Machine(memory=menu.partition(",")[0])) as guest:
        guest.expect_prompt(60)
        guest.check("ifconfig lo up")
        output = guest.check(f"memory_hogs {MILLISECONDS} {' '.join(names)}", 200)
        print(output)
        lines = re.findall(r"^hog (\w+): (.*) free before (\d+) after (\d+); bystander (.),", output, re.MULTILINE)
        assert [line[0] for line in lines] == [name for name in ALL if name in names], output
        for name, ending, before, after, bystander in lines:
            assert "SOME LIVE ON" not in ending and "NO LIMIT" not in ending, f"{name}\n{output}"
            assert bystander == "y", f"{name}: the bystander\n{output}"
            assert int(before) - int(after) <= SLACK_KIB, f"{name} left {int(before) - int(after)} KiB\n{output}"
        assert int(lines[0][2]) - int(lines[-1][3]) <= SLACK_OF_ALL_KIB, output
        assert "menu done: init lives, bystander y" in output
        if "Kernel bug" in guest.log or "Kernel panic" in guest.log:
            guest.fail("the kernel trapped")
