"""sqlite3: a database's ways of locking, syncing, mapping and truncating files, in memory and on a disk."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import Guest, Kernel
from tests.harness.guest import PATIENCE
from tools.cpio import Archive, extend
from tools.machine import Disk, DiskMode, Machine
from userland.sqlite import build_sqlite

pytestmark = pytest.mark.timeout(int(240 * PATIENCE))

ROWS = 2000
FILL = f"""\
create table t(id integer primary key, word text, number integer);
create index by_word on t(word);
begin;
with recursive n(i) as (select 1 union all select i + 1 from n where i < {ROWS})
  insert into t(word, number) select printf('word%05d', (i * 7919) % {ROWS}), i * i from n;
commit;
"""
SINGLE = "".join(f"insert into t(word, number) values('single{i}', {i});\n" for i in range(20))
CHANGE = "update t set number = number + 1 where id % 3 = 0;\ndelete from t where id % 5 = 0;\n"
ASK = "select count(*), sum(number) from t; select word from t where word > 'word01990' order by word limit 3;\n"
CHECK = "pragma integrity_check;\n"
WRITERS = """\
write() {
	for i in $(seq 10); do
		sqlite3 -cmd '.timeout 60000' "$1" "insert into t values($i)" || echo failed
	done
}
write "$1" & write "$1" & write "$1" & wait
"""


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    image = tmp_path_factory.mktemp("sqlite") / "disk.img"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["mke2fs", "-q", "-t", "ext2", "-F", str(image)], check=True)
    return image


@pytest.fixture(scope="module")
def guest(kernel: Kernel, root_image: Path, disk: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    overlay = Archive()
    overlay.file("usr/bin/sqlite3", build_sqlite().read_bytes(), 0o755)
    overlay.file("root/fill", FILL.encode())
    overlay.file("root/change", (SINGLE + CHANGE).encode())
    overlay.file("root/writers", WRITERS.encode())
    overlay.file("root/ask", (ASK + CHECK).encode())
    initrd = tmp_path_factory.mktemp("image") / "initrd"
    initrd.write_bytes(extend(root_image.read_bytes(), overlay))
    with Guest(kernel.boot(initrd, "quiet"), Machine(disks=(Disk(disk, DiskMode.WRITE),))) as guest:
        guest.expect_prompt(30)
        guest.run("stty columns 500")  # so that the shell does not break long lines
        guest.check("mount -t ext2 /dev/vda /mnt")
        yield guest


def expected() -> str:
    """What the same statements give on the host."""
    import sqlite3

    database = sqlite3.connect(":memory:", isolation_level=None)
    for statement in (FILL + SINGLE + CHANGE).split(";\n"):
        database.execute(statement)
    lines = [
        "|".join(map(str, row)) for statement in (ASK + CHECK).split(";")[:3] for row in database.execute(statement)
    ]
    return "".join(line + "\n" for line in lines)


@pytest.mark.parametrize("place", ["/tmp", "/mnt"], ids=["tmpfs", "ext2"])
@pytest.mark.parametrize("journal", ["delete", "truncate", "persist", "wal"])
def test_inserts_and_selects(guest: Guest, place: str, journal: str) -> None:
    name = f"{place}/{journal}.db"
    assert guest.check(f"sqlite3 {name} 'pragma journal_mode={journal}'").strip() == journal
    guest.check(f"sqlite3 {name} <fill", 60)
    guest.check(f"sqlite3 {name} <change", 60)
    assert guest.check(f"sqlite3 {name} <ask", 30) == expected()


@pytest.mark.parametrize("place", ["/tmp", "/mnt"], ids=["tmpfs", "ext2"])
def test_writers_exclude_each_other(guest: Guest, place: str) -> None:
    name = f"{place}/shared.db"
    guest.check(f"sqlite3 {name} 'create table t(x)'")
    assert guest.check(f"sh writers {name}", 120) == ""
    assert guest.check(f"sqlite3 {name} 'select count(*), sum(x) from t; pragma integrity_check'") == "30|165\nok\n"


def test_the_disk_is_clean_afterwards(guest: Guest, disk: Path) -> None:
    guest.check("sync; umount /mnt")
    done = subprocess.run(["e2fsck", "-f", "-n", str(disk)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
