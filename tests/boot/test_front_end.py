"""The command `./krait`: output and status of one command, programs of the host, options that are wrong."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.boot.test_streams import Terminal
from tests.harness import Kernel, compile_program
from tests.harness.guest import PATIENCE
from tools.cpio import Archive, extend, members
from tools.guest.session import STOPPED
from tools.paths import ROOT

pytestmark = pytest.mark.timeout(int(120 * PATIENCE))


def krait(*arguments: str, status: int | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [str(ROOT / "krait"), *arguments], check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL,
        timeout=100 * PATIENCE,
    )
    if status is not None:
        assert done.returncode == status, done.stdout + done.stderr
    return done


def run(kernel: Kernel, *arguments: str, status: int | None = None) -> subprocess.CompletedProcess[str]:
    return krait("run", "--kernel", str(kernel.path), *arguments, status=status)


def test_output_and_status_of_a_command(kernel: Kernel) -> None:
    done = run(kernel, "--command", "echo 'two  spaces' \"$HOME\"; printf 'a\\r\\nb'; exit 7", status=7)
    assert done.stdout == "two  spaces /root\na\nb"  # text=True turns the carriage return and newline into one


def test_a_reader_that_has_seen_enough(kernel: Kernel) -> None:
    command = f"{ROOT}/krait run --kernel {kernel.path} --command 'yes | head -200000' | head -1"
    done = subprocess.run(command, shell=True, check=True, capture_output=True, text=True, timeout=100 * PATIENCE)
    assert done.stdout == "y\n" and "Traceback" not in done.stderr


def test_long_output_of_a_command_is_whole(kernel: Kernel) -> None:
    assert run(kernel, "--command", "seq 20000", status=0).stdout.split() == [str(n) for n in range(1, 20001)]


FAKE_QEMU = """#!/bin/sh
echo "${1%s}" >>$FAKE_CALLS
[ "$1" != --version ] || { echo "QEMU emulator version $FAKE_VERSION"; exit; }
[ -z "$FAKE_WORDS" ] || echo "qemu-system-x86_64: $FAKE_WORDS" >&2
exit 1
"""
NO_MEMORY = "cannot set up guest memory 'pc.ram': Cannot allocate memory"


@pytest.mark.parametrize("background", [[], ["-d"], ["-d", "--rm"]])
@pytest.mark.parametrize(("version", "words", "told", "calls"), [
    ("7.2.0", "-device x: 'x' is not a valid device", "QEMU 7.2 is too old: 8.0 or newer is needed", 2),
    ("10.0.2", NO_MEMORY, "there is no memory on this machine for a guest with 512M (-m gives it less)", 1),
    ("10.0.2", "some trouble", "QEMU does not start the machine: some trouble", 2),
    ("10.0.2", "", None, 2),
])
def test_a_qemu_that_cannot_run_the_machine(
    kernel: Kernel, tmp_path: Path, version: str, words: str, told: str | None, calls: int,
    background: list[str],
) -> None:
    """One sentence, and docker's status; which version it is was asked after it had failed."""
    (tmp_path / "qemu-system-x86_64").write_text(FAKE_QEMU)
    (tmp_path / "qemu-system-x86_64").chmod(0o755)
    environment = {
        **os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "FAKE_CALLS": str(tmp_path / "calls"),
        "FAKE_VERSION": version, "FAKE_WORDS": words, "XDG_RUNTIME_DIR": str(tmp_path),
    }  # fmt: skip
    done = subprocess.run(
        [ROOT / "krait", "run", "--kernel", kernel.path, "-m", "512M", *background, "busybox", "true"], check=False,
        capture_output=True, text=True, stdin=subprocess.DEVNULL, env=environment, timeout=100 * PATIENCE,
    )  # fmt: skip
    told = told or "the machine stopped before the program ended"
    assert (done.returncode, done.stdout, done.stderr) == (125, "", f"krait: {told}\n")
    assert (tmp_path / "calls").read_text().split() == ["-nodefault", "--version"][:calls]
    assert not (tmp_path / "krait").exists()


@pytest.mark.parametrize("arguments", [[], ["busybox", "true"], ["-d", "busybox", "true"]])
def test_a_machine_without_qemu(kernel: Kernel, tmp_path: Path, arguments: list[str]) -> None:
    for name in ("sh", "python3"):
        program = shutil.which(name)
        assert program is not None
        (tmp_path / name).symlink_to(program)
    done = subprocess.run(
        [ROOT / "krait", "run", "--kernel", kernel.path, *arguments], check=False, capture_output=True, text=True,
        stdin=subprocess.DEVNULL, env={**os.environ, "PATH": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)},
        timeout=100 * PATIENCE,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr == "krait: QEMU is missing (krait doctor says what else is)\n"
    assert not [path for path in tmp_path.glob("krait/*") if path.is_dir()], "no machine is left"


def test_a_shell_whose_qemu_is_too_old(kernel: Kernel, root_image: Path, tmp_path: Path) -> None:
    (tmp_path / "qemu-system-x86_64").write_text(FAKE_QEMU)
    (tmp_path / "qemu-system-x86_64").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "FAKE_CALLS": str(tmp_path / "calls"),
                   "FAKE_VERSION": "7.0.0", "FAKE_WORDS": "trouble"}  # fmt: skip
    done = subprocess.run(
        [ROOT / "krait", "run", "--kernel", kernel.path, "--initramfs", root_image], check=False, capture_output=True,
        text=True, stdin=subprocess.DEVNULL, env=environment, timeout=100 * PATIENCE,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (125, "krait: QEMU 7.0 is too old: 8.0 or newer is needed\n")


def test_make_exits_as_the_command_did() -> None:
    outside = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}  # of `make test`
    done = subprocess.run(
        ["make", "run", "CMD=echo \"$HOME\" $((1 + 2)); exit 3"], check=False, capture_output=True, text=True,
        cwd=ROOT, env=outside, stdin=subprocess.DEVNULL, timeout=100 * PATIENCE,
    )
    assert (done.returncode, done.stdout) == (3, "/root 3\n"), done.stderr


def test_a_killed_command(kernel: Kernel) -> None:
    run(kernel, "--command", "kill -9 $$", status=137)


def test_a_program_of_the_host(kernel: Kernel, tmp_path: Path) -> None:
    source = tmp_path / "hello.c"
    source.write_text('#include <stdio.h>\nint main(int n, char **v) { printf("%d %s\\n", n, v[n - 1]); return 5; }\n')
    program = compile_program(source)
    assert run(kernel, str(program), "one", "--two", status=5).stdout == "3 --two\n"


def test_a_directory_as_root(kernel: Kernel, tmp_path: Path, root_image: Path) -> None:
    from userland.busybox import build_busybox

    busybox = build_busybox()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "busybox").write_bytes((busybox / "busybox").read_bytes())
    (tmp_path / "bin" / "busybox").chmod(0o755)
    for name in "sh mount setsid stty poweroff cat mkdir ln hostname".split():
        (tmp_path / "bin" / name).symlink_to("busybox")
    for name in ("proc", "tmp", "root"):
        (tmp_path / name).mkdir()
    (tmp_path / "note").write_text("from a directory\n")
    assert run(kernel, "--root", str(tmp_path), "--command", "cat /note", status=0).stdout == "from a directory\n"


def test_another_initramfs(kernel: Kernel, root_image: Path) -> None:
    compressed = root_image.with_suffix(".cpio.gz")
    assert run(kernel, "--initramfs", str(compressed), "--command", "echo works", status=0).stdout == "works\n"


@pytest.mark.parametrize("arguments", [
    ("run", "--memory", "5X"), ("run", "--memory", "0"), ("run", "--smp", "0"), ("run", "--smp", "many"),
    ("run", "--machine", "vax"), ("run", "--command"), ("run", "/none/such"), ("run", "--initramfs", "/none"),
    ("run", "--root", "/none"), ("run", "--root", "/etc/passwd"), ("run", "--kernel", "/none"), ("run", "--nonsense"),
    ("run", "--disk", "/none"), ("run", "--disk", "/etc"), ("run", "--disk", "/etc/passwd,rx"), ("run", "--disk"),
    ("run", "--forward", "80"), ("run", "--forward", "0:80"), ("run", "--forward", "80:65536"),
    ("run", "--forward", "80:80/sctp"),
    ("fly",), (), ("run", "--command", "true", "/bin/true"), ("build", "--profile", "fast"), ("flash", "/none"),
    ("run", "-w", "relative", "/bin/true"), ("run", "-h", "-x-", "/bin/true"), ("run", "-it", "/bin/true"),
    ("run", "--cpu", "", "busybox"), ("run", "--cpu", "help", "busybox"), ("run", "--kernel", "/etc", "busybox"),
])
def test_bad_options_give_one_line(arguments: tuple[str, ...]) -> None:
    done = krait(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.fullmatch(r"(krait|flash).*\n", done.stderr), done.stderr


DYNAMIC = r"""
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static __thread int mine = 1;

static void *work(void *number)
{
	mine += *(int *)number;
	return (void *)(long)mine;
}

int main(int count, char **arguments)
{
	pthread_t thread;
	void *result;
	int number = 41;
	time_t day = 86400;
	char text[64];

	setlocale(LC_ALL, "");
	pthread_create(&thread, NULL, work, &number);
	pthread_join(thread, &result);
	strftime(text, sizeof text, "%F", gmtime(&day));
	printf("%s %ld %d %.3f %s\n", arguments[count - 1], (long)result, mine, sqrt(atof("2")), text);
	return 6;
}
"""


def test_a_dynamic_program_of_the_host_brings_its_libraries(kernel: Kernel, tmp_path: Path) -> None:
    source, program = tmp_path / "dynamic.c", tmp_path / "dynamic"
    source.write_text(DYNAMIC)
    subprocess.run(["gcc", "-O1", "-o", str(program), str(source), "-lm", "-pthread"], check=True)
    assert run(kernel, str(program), "last", status=6).stdout == "last 42 1 1.414 1970-01-02\n"


BASH = "declare -A of=([a]=1 [b]=2); for key in b a; do echo $key=${of[$key]}; done | sort; cat <(echo sub); exit 9"


def test_debians_own_programs(kernel: Kernel) -> None:
    assert run(kernel, "/bin/bash", "-c", BASH, status=9).stdout == "a=1\nb=2\nsub\n"
    script = 'my %of = map { $_ => length } qw(a bb ccc); print join(" ", map { "$_$of{$_}" } sort keys %of), "\\n"'
    assert run(kernel, "/usr/bin/perl", "-e", script, status=0).stdout == "a1 bb2 ccc3\n"


def test_a_library_that_is_missing_is_named(tmp_path: Path) -> None:
    library, program = tmp_path / "libgone.so", tmp_path / "lost"
    (tmp_path / "gone.c").write_text("int gone(void) { return 1; }\n")
    (tmp_path / "lost.c").write_text("int gone(void);\nint main(void) { return gone(); }\n")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(library), str(tmp_path / "gone.c")], check=True)
    subprocess.run(["gcc", "-o", str(program), str(tmp_path / "lost.c"), f"-L{tmp_path}", "-lgone"], check=True)
    library.unlink()
    done = krait("run", str(program))
    assert done.returncode != 0 and done.stdout == ""
    assert "libgone.so: cannot open" in done.stderr and "link it statically" in done.stderr


def test_large_files_of_an_image_need_room_once(kernel: Kernel, root_image: Path, tmp_path: Path) -> None:
    files = Archive()
    data = bytes(range(256)) * (50 << 12)  # 50 MiB
    files.file("big", data)
    initrd = tmp_path / "initrd"
    initrd.write_bytes(extend(root_image.read_bytes(), files))
    arguments = ("--initramfs", str(initrd), "--command", "sha256sum /big")
    digest = hashlib.sha256(data).hexdigest()
    assert run(kernel, "--memory", "200M", *arguments, status=0).stdout == f"{digest}  /big\n"
    done = run(kernel, "--memory", "96M", *arguments, status=STOPPED)
    assert done.stdout == "" and "initramfs: out of memory" in done.stderr


def test_gdb_in_front_of_the_machine(kernel: Kernel, tmp_path: Path) -> None:
    scratch = tmp_path / ("scratch" + "-" * 100)  # longer than the path of a socket may be
    scratch.mkdir()
    done = subprocess.run(
        [ROOT / "krait", "debug", "--kernel", kernel.path, "--", "-batch", "-ex", "p/x $pc", "-ex", "detach"],
        check=False, capture_output=True, text=True, env={**os.environ, "TMPDIR": str(scratch)},
        timeout=100 * PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0 and "$1 = 0xfff0" in done.stdout, done.stdout + done.stderr
    assert list(scratch.iterdir()) == []


def test_help_names_the_options() -> None:
    text = krait("run", "--help", status=0).stdout
    for option in "memory smp machine cpu append initramfs root command debug".split():
        assert f"--{option}" in text


def test_disks_say_what_becomes_of_changes(kernel: Kernel, tmp_path: Path) -> None:
    image = tmp_path / "a,b.img"
    image.write_bytes(bytes(1 << 20))
    thrown_away = run(kernel, "--disk", str(image), "--disk", f"{image},ro", "--command", "echo up", status=0)
    assert thrown_away.stdout == "up\n"
    assert thrown_away.stderr.count("thrown away") == 1
    assert run(kernel, "--disk", f"{image},rw", "--command", "echo up", status=0).stderr == ""


@pytest.mark.parametrize("machine", ["q35", "pc", "microvm"])
def test_a_machine_with_disk_and_network(kernel: Kernel, tmp_path: Path, machine: str) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(1 << 20))
    done = run(kernel, "--machine", machine, "--net", "--disk", f"{image},ro", "--command", "echo up", status=0)
    assert done.stdout == "up\n"


def test_flash_refuses_what_is_no_free_disk(tmp_path: Path) -> None:
    from tools.flash import refusal

    image = tmp_path / "image"
    image.write_bytes(b"x" * 4096)
    assert "not exist" in (refusal(tmp_path / "none", image) or "")
    assert "not a block device" in (refusal(image, image) or "")
    assert "not a block device" in (refusal(Path("/dev/null"), image) or "")


@pytest.mark.parametrize("leave", [b"\x01x", b"poweroff\r", b"reboot\r", b"exit\r"])
def test_interactive_run_and_the_ways_to_leave(kernel: Kernel, leave: bytes) -> None:
    """With a terminal: type at the shell, and leave with Ctrl-A X, or as one leaves a machine."""
    terminal = Terminal([str(ROOT / "krait"), "run", "--kernel", str(kernel.path), "--append", "quiet"])
    terminal.wait_for(b"krait:~# ")
    terminal.type(b"echo $((20 + 22))\r", b"\n42\r")
    os.write(terminal.descriptor, leave)
    assert terminal.status() == 0
    os.close(terminal.descriptor)


def test_archives_are_reproducible_and_extend() -> None:
    first, second = Archive(), Archive()
    for archive in (first, second):
        archive.file("a/b/c", b"text", 0o600)
        archive.link("a/link", "b/c")
    assert first.pack() == second.pack()
    overlay = Archive()
    overlay.file("a/new", b"")
    names = [name for _, name, _ in members(extend(first.pack(), overlay))]
    assert names[:4] == ["a", "a/b", "a/b/c", "a/link"] and names[-2:] == ["a/new", "TRAILER!!!"]
