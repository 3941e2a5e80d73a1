"""`krait run -v`: directories of the host in the guest, seen and changed from both sides."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.boot.test_front_end import krait
from tests.harness import Kernel, compile_program
from tests.harness.guest import PATIENCE
from tools.paths import ROOT
from tools.setup import require

pytestmark = pytest.mark.timeout(int(240 * PATIENCE))

LARGE = 2000  # names in a directory, which need several messages

FILES = r"""
set -e
cd /s
[ "$(cat host)" = "from the host" ]
echo guest >made; echo more >>made; chmod 640 made
mkdir -p d/e; mv made d/e/moved; ln d/e/moved twice; ln -s d/e/moved link
[ "$(cat link)" = "$(printf 'guest\nmore')" ]
head -c 3000000 /dev/urandom >big; cp big d/big; cmp big d/big
dd if=/dev/zero of=big bs=1 seek=1000 count=5 conv=notrunc 2>/dev/null
truncate -s 2000000 big; [ "$(stat -c %s big)" = 2000000 ]
mkdir many; for i in $(seq 300); do : >many/$i; done; [ "$(ls many | wc -l)" = 300 ]; rm -r many
[ "$(ls -a large | sort -u | wc -l)" = TOTAL ]
touch -d '2001-02-03 04:05:06' old; [ "$(stat -c %Y old)" = 981173106 ]
mkfifo fifo; (echo through >fifo) & [ "$(cat fifo)" = through ]; rm fifo
(flock -x 9; : >held; sleep 0.3; echo first >>order) 9>lock & until [ -e held ]; do sleep 0.01; done
(flock -x 9; echo second >>order) 9>lock
[ "$(cat order)" = "$(printf 'first\nsecond')" ]; rm order lock held
exec 3>gone 4<gone; rm gone; echo kept >&3; [ "$(cat <&4)" = kept ]; exec 3>&- 4<&-
! rmdir d 2>/dev/null; ! cat none 2>/dev/null
./program mapped $(cat /ro/attributes); [ "$(cat mapped)" = "written by mmap" ]
! touch /ro/x 2>/dev/null; [ "$(cat /ro/host)" = "from the host" ]
mkdir inside; mount -t tmpfs none inside; echo x >inside/x; umount inside; [ -z "$(ls inside)" ]
echo ready
until [ "$(cat answer 2>/dev/null)" = yes ]; do sleep 0.1; done
[ ! -e host ] && [ "$(cat renamed)" = "from the host" ]
df /s >/dev/null; grep -q ' /s TYPE ' /proc/mounts
""".replace("TOTAL", str(LARGE + 2))

PROGRAM = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

/* A lock of ours is in the way of our child's. */
static int locks(int file)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 4};
	int status;
	if (fcntl(file, F_SETLK, &lock) != 0)
		return 0;
	if (fork() == 0)
		_exit(fcntl(file, F_SETLK, &lock) == -1 && errno == EAGAIN ? 0 : 1);
	return wait(&status) > 0 && status == 0;
}

static int attributes(const char *path)
{
	char value[10];
	return setxattr(path, "user.colour", "blue", 4, XATTR_CREATE) == 0
		&& setxattr(path, "user.colour", "red", 3, XATTR_CREATE) == -1 && errno == EEXIST
		&& setxattr(path, "user.gone", "x", 1, 0) == 0 && removexattr(path, "user.gone") == 0
		&& getxattr(path, "user.gone", value, 10) == -1 && errno == ENODATA
		&& getxattr(path, "user.colour", value, 10) == 4 && memcmp(value, "blue", 4) == 0;
}

int main(int count, char **arguments)
{
	int file = open(arguments[1], O_RDWR | O_CREAT | O_TRUNC, 0600);
	ftruncate(file, 15);
	char *text = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (text == MAP_FAILED)
		return 1;
	memcpy(text, "written by mmap", 15);
	if (!locks(file) || (count > 2 && !attributes(arguments[1])))
		return 2;
	if (renameat2(AT_FDCWD, arguments[1], AT_FDCWD, "host", RENAME_NOREPLACE) != -1 || errno != EEXIST)
		return 3;
	return msync(text, 4096, MS_SYNC) != 0 || munmap(text, 4096) != 0;
}
"""


def keeps_attributes(path: Path) -> bool:
    """Whether the file system of this machine has attributes of users: tmpfs has them since Linux 6.6."""
    try:
        os.setxattr(path, "user.probe", b"")
    except OSError as error:
        assert error.errno == errno.ENOTSUP
        return False
    return True


def without_server(place: Path) -> dict[str, str]:
    """An environment in which no virtiofsd comes up: QEMU serves by 9P."""
    place.mkdir()
    program = place / "virtiofsd"
    program.write_text('#!/bin/sh\n[ "$*" = --version ] && exec echo virtiofsd 1.13.0\nexit 1\n')
    program.chmod(0o755)
    return {**os.environ, "PATH": f"{place}:{os.environ['PATH']}"}


@pytest.mark.parametrize(
    ("machine", "kind"), [("microvm", "9p"), ("q35", "9p"), ("microvm", "virtiofs"), ("q35", "virtiofs")]
)
def test_files_of_both_sides(kernel: Kernel, tmp_path: Path, machine: str, kind: str) -> None:
    """On microvm the devices hang on no PCI bus. Where a virtiofsd comes up, it serves."""
    require("shared")
    environment = without_server(tmp_path / "programs") if kind == "9p" else None
    (tmp_path / "program.c").write_text(PROGRAM)
    shared = tmp_path / "a directory"
    shared.mkdir()
    (shared / "program").write_bytes(compile_program(tmp_path / "program.c").read_bytes())
    (shared / "program").chmod(0o755)
    (shared / "host").write_text("from the host")
    (shared / "large").mkdir()
    for number in range(LARGE):
        (shared / "large" / f"a file with number {number}{'.' * 100}").touch()
    (tmp_path / "ro").mkdir()
    (tmp_path / "ro" / "host").write_text("from the host")
    has_attributes = keeps_attributes(tmp_path / "ro" / "host")
    (tmp_path / "ro" / "attributes").write_text("with attributes" if has_attributes else "")
    process = subprocess.Popen(
        [ROOT / "krait", "run", "--kernel", kernel.path, "--machine", machine, "-v", f"{shared}:/s",
         "-v", f"{tmp_path / 'ro'}:/ro:ro", "--command", FILES.replace("TYPE", kind)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    alarm = threading.Timer(200 * PATIENCE, process.kill)
    alarm.start()
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline() == "ready\n", process.stderr.read()
    (shared / "host").rename(shared / "renamed")
    (shared / "answer").write_text("yes")
    _, errors = process.communicate()
    alarm.cancel()
    assert (process.returncode, errors) == (0, ""), "the program has said nothing"
    assert (shared / "d" / "e" / "moved").read_text() == "guest\nmore\n"
    assert (shared / "twice").stat().st_nlink == 2 and (shared / "twice").stat().st_mode & 0o777 == 0o640
    assert os.readlink(shared / "link") == "d/e/moved"
    assert (shared / "mapped").read_text() == "written by mmap"
    if has_attributes:
        assert os.listxattr(shared / "mapped") == ["user.colour"]
        assert os.getxattr(shared / "mapped", "user.colour") == b"blue"
    assert (shared / "big").read_bytes() == (shared / "d" / "big").read_bytes()[:1000] + bytes(5) + \
        (shared / "d" / "big").read_bytes()[1005:2_000_000]


TOOLS = r"""
set -e
mount -o bind /dev /host/dev; mount -t proc proc /host/proc; mount -t tmpfs none /host/tmp
exec chroot /host /usr/bin/env -i PATH=/usr/bin:/bin HOME=/tmp /bin/sh -ec '
cd /mnt
make -s
./sum 20 22
git config --global safe.directory "*"
git init -q .
git -c user.name=x -c user.email=x@y add Makefile sum.c
git -c user.name=x -c user.email=x@y commit -qm first
git log --format=%s; git status --short
'
"""
SOURCE = """\
#include <stdio.h>
#include <stdlib.h>
int main(int n, char **v) { printf("%d\\n", atoi(v[1]) + atoi(v[2])); }
"""


def test_make_a_compiler_and_git(kernel: Kernel, tmp_path: Path) -> None:
    """This machine's own, which come by a second, read-only share; the project is on a third, mounted inside it."""
    require("shared")
    project = tmp_path / "project"
    project.mkdir()
    (project / "sum.c").write_text(SOURCE)
    (project / "Makefile").write_text("sum: sum.c\n\tgcc -O1 -o $@ $<\n")
    start = time.monotonic()
    done = krait("run", "--kernel", str(kernel.path), "-m", "512M", "-v", "/:/host:ro", "-v", f"{project}:/host/mnt",
                 "--command", TOOLS)  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "42\nfirst\n?? sum\n"), (done.stderr, time.monotonic() - start)
    shown = subprocess.run(["git", "-C", project, "-c", "safe.directory=*", "fsck"], check=False, capture_output=True)
    assert shown.returncode == 0
    assert subprocess.run([project / "sum", "1", "2"], check=True, capture_output=True).stdout == b"3\n"


def servers(directory: Path) -> list[str]:
    """The servers of a directory that run on this machine. No other test has its name, and none looks for it."""
    found = subprocess.run(["pgrep", "-f", f"virtiofsd.*{directory}"], check=False, capture_output=True, text=True)
    return found.stdout.split()


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGKILL])
def test_servers_end_with_us(kernel: Kernel, tmp_path: Path, signal_number: int) -> None:
    """However `krait run` ends, no virtiofsd is left."""
    require("shared")
    shared = tmp_path / "served"
    shared.mkdir()
    process = subprocess.Popen(
        [ROOT / "krait", "run", "--kernel", kernel.path, "-v", f"{shared}:/s", "--command", "touch /s/up; sleep 1000"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 100 * PATIENCE
    while not (shared / "up").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert (shared / "up").exists() and len(servers(shared)) > 0
    process.send_signal(signal_number)
    process.wait()
    while servers(shared) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert servers(shared) == []


@pytest.mark.parametrize("value", [
    "x", "/none:/x", "/etc/passwd:/x", "/tmp:x", "/tmp:/x:rx", "/tmp:/x:ro:ro", "/tmp:/",
])  # fmt: skip
def test_wrong_shares_are_one_line(value: str) -> None:
    done = krait("run", "-v", value, "busybox", "true", status=2)
    assert done.stderr.startswith("krait run: ") and done.stderr.count("\n") == 1


def test_two_directories_at_one_place() -> None:
    done = krait("run", "-v", "/tmp:/x", "-v", "/var:/x", "busybox", "true", status=2)
    assert done.stderr == "krait run: two directories are to be at /x\n"


def test_another_busybox() -> None:
    done = krait("run", "busybox:1.2", "true", status=125)
    assert done.stderr.startswith("krait run: busybox:1.2: our busybox is ")
