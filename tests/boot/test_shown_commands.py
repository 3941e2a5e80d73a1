"""Every command that a page or the help shows is one that there is; and each is run by a test, or it is said why not.

The pages are README.md, CONTRIBUTING.md and those in docs/. Commands of blocks and of the help's examples are run here,
in one directory, one after the other; sentences and tables are only held against the command line.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests import shown_commands
from tests.harness import KRAIT, Kernel
from tests.harness.guest import PATIENCE
from tools.paths import ROOT
from tools.ports import free_port
from userland.image import root_archive

pytestmark = pytest.mark.timeout(int(300 * PATIENCE))

# Pages whose commands other tests run, all of them.
ELSEWHERE = {
    "tour.md": "tests/boot/test_examples.py", "how-to-add-a-proc-file.md": "tests/boot/test_how_to_commands.py",
    "how-to-add-a-system-call.md": "tests/boot/test_how_to_commands.py",
}  # fmt: skip
HTTPD = "./krait run -d --name web -p 8080:80 busybox httpd -f -h /etc"
# In this order. A pattern for all that is printed; None: whatever it is.
RUN: dict[str, str | None] = {
    "cat hello.c": None,
    "gcc -o hello hello.c": "",
    "./krait run ./hello a b; echo $?": r"\./hello says hello from Linux\n3\n",
    "krait run busybox uname -a": r"Linux krait 6\.12\.0-krait .* x86_64 GNU/Linux\n",
    "krait run --command 'dmesg | tail'": r"(\[.*\n){10}",
    "echo data | ./krait run ./hello.py": "hello data\n",
    "echo data | krait run ./hello.py": "hello data\n",
    "krait run ./hello.py": "hello \n",
    "./krait run -v .:/src -w /src python test.py": "tested\n",
    "krait run -v .:/src -w /src python test.py": "tested\n",
    "krait run -v .:/src -w /src python3 test.py": "tested\n",
    "./krait run ./image.tar uname -r": r"6\.12\.0-krait\n",
    HTTPD: "web\n",
    "./krait exec web ps": r"(.*\n)+.* httpd -f -h /etc\n(.*\n)+",
    "krait exec web ps": r"(.*\n)+.* httpd -f -h /etc\n(.*\n)+",
    "krait cp web:/etc/passwd .": "",
    "krait cp data.txt web:/tmp": "",
    "./krait stop web": "web\n",
    "./krait trace --calls open,read --command 'cat /etc/hostname'": "krait\n",
    "krait trace --calls openat,read busybox cat /etc/passwd": r"root:(.*\n)+",
    "krait trace -o calls ./program": r"\./program says hello from Linux\n",
    "krait profile -o sort.svg --command 'seq 20000 | sort -n | tail -1'": "20000\n",
    "krait python --append quiet -c 'print(init.getpid())'": "1\n",
    "krait new --kind proc NAME": r"mine holds .*\n(.*\n)+",
    "krait new --kind call ancestors": r"ancestors holds .*\n(.*\n)+",
    "cd ancestors": "",
    "./krait image -o disk.img": "",
    "./krait run --disk disk.img,rw --root LABEL=krait --command 'df -h /'": r"Filesystem .*\n.* /\n",
}
SHELL = "a shell at a terminal: tests/boot/test_front_end.py types at it"
PROJECT = "compiles a kernel, which takes minutes: tests/boot/test_installed.py does for KRAIT_PROJECT_KINDS"
DISK = "tests/boot/test_disk_image.py and test_disk_images.py make such disks and boot them"
DEBIAN = "downloads a Debian: tests/boot/test_debian.py and test_systemd.py run one"
SELF = "takes half an hour: tests/boot/test_self_build.py has the short form"
MACHINES = "tests/boot/test_machines.py has it, with an image of its own"
KEXEC = "in a guest: tests/boot/test_kexec.py"
PERF = "in a guest: tests/boot/test_perf.py"
CONFORMANCE = "boots two kernels: tests/conformance/test_conformance.py runs all cases"
PACKETS = "tests/packets/test_packets.py runs all scenarios"
HOURS = "runs for hours: tests/fuzz_calls/ has a short form"
RACES = "runs for minutes: tests/races/test_races.py has a short form"
BENCH = "measures for minutes: tests/bench/ has tests of the same rows"
NOT_RUN = {
    "make run": SHELL, "krait run": SHELL, "./krait run --disk disk.img --root LABEL=krait": SHELL,
    "krait python": "a prompt: tests/unit/tools/simulated/ types at it",
    "./krait python": "a prompt: tests/unit/tools/simulated/ types at it",
    "make test": "is what runs this", "krait test": PROJECT, "cd mine && krait test": PROJECT,
    "krait new mine && cd mine && krait test": PROJECT, "krait test tests/unit/tty -k backspace": "is what runs this",
    "krait new --kind call NAME": "tests/unit/tools/test_project.py makes one of each kind",
    "krait new --kind device NAME": "tests/unit/tools/test_project.py makes one of each kind",
    "pip install .": "tests/boot/test_installed.py installs the wheel",
    "make wheel": "tests/boot/test_installed.py writes the wheel, with a kernel that is there",
    "ssh -F build/ssh/config krait": "tests/boot/test_ssh.py logs in",
    "./krait image root.tar -o disk.img": DISK, "./krait image DIR -o disk.img --size 2G": DISK,
    "krait image -o disk.img": "is run as ./krait", "krait image root.tar -o disk.img --size 2G": DISK,
    "qemu-system-x86_64 -m 256M -display none -serial mon:stdio -drive if=virtio,format=raw,file=disk.img": DISK,
    "krait run -d --name web ./image.tar": MACHINES, "krait run -d --name web -p 8080:80 ./image.tar": MACHINES,
    "krait exec -it web sh": "at a terminal: tests/boot/test_machines.py",
    "krait trace --calls openat,connect ./image.tar": "needs an image that says what is to be run",
    "krait debug -- -ex 'break kernel.fs.open.open_file' -ex continue":
        "goes on at gdb's prompt: tests/boot/test_front_end.py has gdb in batch mode",
    "python -m compiler report setpgid": "translates the kernel, which takes a minute",
    ".venv/bin/python -m tests.stretches boot 'cat /proc/self/smaps >/dev/null' mine --program mine.c":
        "tests/stretches/ has the calls that are known",
    "mount -t 9p -o trans=virtio,version=9p2000.L TAG /mnt": "in a guest: tests/boot/test_shared.py",
    "mount -t overlay overlay -o lowerdir=/image/2:/image/1,upperdir=/box/upper,workdir=/box/work /box/root":
        "in a guest: tests/conformance/",
    "kexec -l vmlinuz --initrd=initrd.img --command-line='console=ttyS0'": KEXEC, "kexec -e": KEXEC,
    "kexec -l krait.elf --module=initramfs.cpio --command-line='console=ttyS0'": KEXEC,
    "mount -t tracefs tracefs /sys/kernel/tracing": PERF, "perf trace ./program": PERF,
    "perf stat -e task-clock,page-faults,context-switches ./program": PERF,
    "perf record -e cpu-clock -F 1000 -g ./program && perf report": PERF,
    "perf record -e sched:sched_switch -a sleep 1 && perf script": PERF,
    "mmdebstrap --variant=minbase trixie root.tar --include=systemd-sysv,udev,dbus,libpam-systemd,openssh-server,login,"
    "util-linux,iproute2": DEBIAN,
    "truncate -s 1G debian.img && mke2fs -q -t ext2 -d root.tar debian.img": DEBIAN,
    "./krait run --memory 1G --net user --disk debian.img,rw --root /dev/vda": DEBIAN,
    "krait run debian:13": DEBIAN, "krait run debian:13 bash": DEBIAN,
    "./krait self-build": SELF, "./krait self-test": SELF,
    "./krait self-build --profile dev --boot --generations 2 --memory 1536M": SELF,
    "./krait self-build --profile dev --boot --generations 2": SELF,
    "./krait self-build --profile release --memory 1536M": SELF,
    "./krait self-build --profile release --cpus 2 --memory 1536M": SELF,
    "cp …/tests/exercises/ancestors/test_ancestors.py tests/": "tests/exercises/ runs the solutions",
    ".venv/bin/python -m pytest tests/models": "is part of make test",
    ".venv/bin/python -m tests.conformance --processors 4 threads futex": CONFORMANCE,
    ".venv/bin/python -m tests.conformance pipes": CONFORMANCE,
    ".venv/bin/python -m tests.conformance --on linux pipes": CONFORMANCE,
    ".venv/bin/python -m tests.packets --record NAME…": PACKETS, ".venv/bin/python -m tests.packets NAME…": PACKETS,
    ".venv/bin/python -m tests.packets --on linux NAME…": PACKETS,
    ".venv/bin/python -m tests.packets --compare": PACKETS,
    ".venv/bin/python -m tests.fuzz_calls --calls 1e7 --seed 1 --resume build/fuzz/run.json": HOURS,
    ".venv/bin/python -m tests.fuzz_calls --calls 1e6 --guided": HOURS,
    ".venv/bin/python -m tests.fuzz_calls --calls 1e6 --faults": HOURS,
    ".venv/bin/python -m tests.fuzz_calls --calls 1e6 --processors 4 --subjects": HOURS,
    ".venv/bin/python -m tests.fuzz_calls --minimise 0123456789ab": HOURS,
    ".venv/bin/python -m tests.races --seed 1 --seconds 600": RACES,
    ".venv/bin/python -m tests.races --seed 1 --seconds 600 --go-on": RACES,
    ".venv/bin/python -m tests.races --seed 7 --seeds 1 --kind mounts": RACES,
    ".venv/bin/python -m tests.bench.instructions": BENCH,
    ".venv/bin/python -m tests.bench.instructions --write": BENCH,
    ".venv/bin/python -m tests.bench.profile ROW --lines": BENCH, ".venv/bin/python -m tests.bench.scale": BENCH,
    ".venv/bin/python -m tests.bench.scale list-proc rename": BENCH,
}  # fmt: skip


def test_each_command_is_run_or_there_is_a_reason() -> None:
    here = {command for command, pages in shown_commands.shown().items() if pages - {*ELSEWHERE}}
    assert here - {*RUN} - {*NOT_RUN} - elsewhere() == set(), "run it here, or say why not"
    assert ({*RUN} | {*NOT_RUN}) - here == set(), "no page shows these any more"
    assert {*RUN} & {*NOT_RUN} == set()


def elsewhere() -> set[str]:
    return {command for command, pages in shown_commands.shown().items() if pages & {*ELSEWHERE}}


def test_the_tests_that_reasons_name_are_there() -> None:
    reasons = (*ELSEWHERE.values(), *NOT_RUN.values())
    named = {name for reason in reasons for name in re.findall(r"tests/[\w/.]+", reason)}
    assert len(named) > 10 and [name for name in sorted(named) if not (ROOT / name.rstrip(".")).exists()] == []


def test_commands_are_ones_that_there_are() -> None:
    """In blocks, sentences, tables and the help: commands, options, targets, modules and tests."""
    known = [("a block", command) for command in shown_commands.shown()]
    every = [*known, *shown_commands.mentioned()]
    assert len(every) > 200
    wrong = [(page, command, found) for page, command in every if (found := shown_commands.what_is_wrong(command))]
    assert wrong == []


@pytest.mark.parametrize(("line", "wrong"), [
    ("krait fly", ["no command fly"]),
    ("./krait run --nonsense=1 busybox", ["krait run has no --nonsense"]),
    ("krait run -m 1G --rm busybox ls --anything", []),
    ("krait exec -ix web sh", ["krait exec has no -x"]),
    ("echo a | krait ps --all; make fly", ["no target fly"]),
    ("krait kill [-s SIGNAL] [-z] NAME…", ["krait kill has no -z"]),
    (".venv/bin/python -m tools.nonsense", ["no module tools.nonsense"]),
    (".venv/bin/python -m pytest tests/unit tests/none", ["no tests/none"]),
])  # fmt: skip
def test_what_is_wrong_is_found(line: str, wrong: list[str]) -> None:
    assert shown_commands.what_is_wrong(line) == wrong


def test_where_commands_are_found() -> None:
    page = "x\n\n    krait a \\\n        b   # c\n    d\n\n- e\n    krait f\n\n```\n$ g\nh\n```\n"
    page += "```console\n$ i # j\n```\n"
    assert [*shown_commands.commands_in_blocks(page)] == ["g", "i", "krait a b"]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory, root_image: Path) -> Path:
    """What the commands expect to be there."""
    place = tmp_path_factory.mktemp("shown")
    for name in ("bin", "work"):
        (place / name).mkdir()
    work = place / "work"
    for link in (place / "bin" / "krait", work / "krait"):
        link.symlink_to(ROOT / "krait")
    (work / "hello.py").write_text("import sys\nprint('hello', sys.stdin.read().strip())\n")
    (work / "test.py").write_text("print('tested')\n")
    (work / "data.txt").write_text("data\n")
    source = re.search(r"^\$ cat hello\.c\n((?:[^$].*\n)+)", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert source is not None
    (work / "hello.c").write_text(source[1])
    root_archive().write_tar(work / "image.tar")
    return place


@pytest.fixture(scope="module")
def replaced() -> dict[str, str]:
    """What stands for something of the reader's own: a port of this machine that is free, a name."""
    return {" 8080:": f" {free_port(20000 + os.getpid() % 20000)}:", " NAME": " mine"}


@pytest.mark.parametrize("command", RUN)
def test_a_command_works(kernel: Kernel, command: str, directory: Path, replaced: dict[str, str]) -> None:
    if kernel is not KRAIT:
        pytest.skip("the pages are about Krait")
    work = directory / "work"
    if command.endswith("./program"):
        shutil.copy(work / "hello", work / "program")
    line = command
    for shown, other in replaced.items():
        line = line.replace(shown, other)
    environment = {**os.environ, "PATH": f"{directory / 'bin'}:{os.environ['PATH']}", "KRAIT_QUIET": "1",
                   "XDG_RUNTIME_DIR": str(directory)}  # fmt: skip
    done = subprocess.run(
        line, shell=True, check=False, cwd=work, env=environment, capture_output=True, text=True,
        stdin=subprocess.DEVNULL, timeout=100 * PATIENCE,
    )  # fmt: skip
    # The program of ours that hello is returns the number of its arguments, as README shows.
    assert done.returncode == (1 if command.endswith("./program") else 0), done.stdout + done.stderr
    pattern = RUN[command]
    assert pattern is None or re.fullmatch(pattern, done.stdout), done.stdout + done.stderr
