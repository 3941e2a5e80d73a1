"""Debian's strace, ltrace, gdb and gdbserver, as they are: they print here what they print on Linux.

Numbers of processes and addresses on the stack differ, so names stand for them before the two are compared. What a
traced program prints is shown when it has ended: nothing says whether it or the tracer prints first.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.harness import KRAIT, Batch, Case, Result, compile_program
from tests.harness.agreement import linux_texts
from tests.harness.guest import PATIENCE
from tests.harness.scripts import LISTENS
from tools.cpio import Archive
from tools.libraries import add_program
from tools.machine import Machine
from tools.setup import require

pytestmark = pytest.mark.timeout(int(200 * PATIENCE))

DEBUGGEE = Path(__file__).parent / "debuggee.c"
CALLED = Path(__file__).parent / "called.c"
SETTINGS = """\
set pagination off
set confirm off
set width 0
set style enabled off
set startup-with-shell off
set filename-display basename
"""
BREAKS = """\
break work if depth == 0
run
backtrace
print depth
step
next
finish
up
print sum(20, 22)
print sum
x/2i $pc
tbreak main
info registers eflags cs ss
stepi
nexti
print $eflags
print $_siginfo.si_signo
handle SIGUSR1 nostop pass
disassemble sum
delete
print work(1)
kill
"""
WATCHES = """\
break main
run
hbreak sum
continue
delete 2
watch watched
continue
continue
info threads
continue
backtrace 1
info threads 2
thread apply all print $_thread
delete
continue
print $_siginfo.si_signo
signal 0
"""
FORKS = """\
handle SIGUSR1 nostop noprint nopass
set follow-fork-mode child
catch fork
run
continue
"""
ATTACHES = """\
info threads
print go_on
set variable go_on = 1
tbreak let_go
continue
backtrace
continue
"""
CORES = """\
backtrace
print depth
print watched
up
print depth
print $_siginfo.si_signo
print $_siginfo._sifields._sigfault.si_addr
info registers eflags cs ss
x/i $pc
info threads
thread 2
backtrace
print $orig_rax
"""
REMOTE = """\
target remote localhost:7000
break work if depth == 0
continue
backtrace
print sum(20, 22)
finish
delete
hbreak in_thread
continue
watch watched
continue
continue
info threads
delete
signal 0
"""
REMOTE_ATTACHED = """\
target remote localhost:7001
set variable go_on = 1
tbreak let_go
continue
info threads
continue
"""
SCRIPTS = {
    # Each process has a file of its own, so that their order does not matter. When the shell hears of ends does.
    "strace_pipeline": """\
mkdir /tmp/calls && cd /tmp/calls
strace -ff -o call -e trace=!brk,mmap,munmap,mprotect,arch_prctl,getppid,set_tid_address,rt_sigreturn,wait4 \
    -e signal=!SIGCHLD -- sh -c 'echo hello | tr a-z A-Z | cat; exit 3'
echo "status $?"
ls | wc -l
for file in $(ls | sort -t . -k 2 -n); do cat $file; echo "--"; done
""",
    "strace_signals": """\
strace -o /tmp/out -e trace=kill,rt_sigreturn,wait4,nanosleep \
    sh -c 'trap "echo caught" USR1; kill -USR1 $$; kill -TERM $$'
echo "status $?"
cat /tmp/out
""",
    "strace_threads": """\
mkdir /tmp/threads && cd /tmp/threads
strace -ff -o call -e trace=clone,fork,tkill,wait4,exit,exit_group,rt_sigreturn -e signal=!SIGCHLD \\
    /tracers/debuggee handle
echo "status $?"
for file in $(ls | sort -t . -k 2 -n); do cat $file; echo "--"; done
strace -f -c -o /tmp/out -e trace=fork,exit,exit_group,tkill /tracers/debuggee handle
awk '$4 ~ /^[0-9]+$/ { print $4, $NF }' /tmp/out | sort
""",
    "strace_counts": """\
strace -f -c -o /tmp/out sh -c 'true | cat' && grep -c . /tmp/out && awk '$NF == "execve" { print $4 }' /tmp/out
strace -e inject=getuid:retval=77 -o /tmp/out id -ru
strace -e trace=openat -e inject=openat:error=EACCES:when=1 -o /dev/null cat /etc/passwd
strace --seccomp-bpf -f -e trace=chdir -o /tmp/out sh -c 'cd /tmp; (cd /)'
sed 's/^[0-9]* *//' /tmp/out
""",
    "strace_attached": """\
sleep 1000 & pid=$!
strace -o /tmp/out -e trace=clock_nanosleep,nanosleep -p $pid & tracer=$!
for i in $(seq 1000); do grep -q "^TracerPid:.0" /proc/$pid/status || break; sleep 0.05; done
grep -c "^TracerPid:.$tracer" /proc/$pid/status
kill $pid; wait $pid 2> /dev/null; echo "status $?"; wait $tracer
cut -c-20 /tmp/out
""",
    "gdb_breaks": "gdb -nx -batch -x /tracers/breaks /tracers/debuggee; cat /tmp/printed",
    "gdb_watches": "gdb -nx -batch -x /tracers/watches /tracers/debuggee; cat /tmp/printed",
    "gdb_forks": """\
gdb -nx -batch -x /tracers/forks /tracers/debuggee
for i in $(seq 1000); do grep -q child /tmp/printed && break; sleep 0.05; done; cat /tmp/printed
""",
    "gdb_attaches": """\
/tracers/debuggee wait & pid=$!
for i in $(seq 1000); do grep -q "^State:.S" /proc/$pid/status && break; sleep 0.05; done
gdb -nx -batch -x /tracers/attaches -p $pid
kill $pid 2> /dev/null; wait $pid; echo "status $?"; cat /tmp/printed
""",
    "gdb_core": """\
cd /tmp && ulimit -c unlimited && /tracers/debuggee crash
echo "status $?"
gdb -nx -batch -x /tracers/cores /tracers/debuggee core
""",
    "gdbserver_network": """\
ip link set lo up
gdbserver --once localhost:7000 /tracers/debuggee > /tmp/server 2>&1 & listens 7000
gdb -nx -batch -x /tracers/connected /tracers/debuggee
wait; echo "status $?"; cat /tmp/server /tmp/printed
""",
    "gdbserver_attached": """\
ip link set lo up
/tracers/debuggee wait & pid=$!
for i in $(seq 1000); do grep -q "^State:.S" /proc/$pid/status && break; sleep 0.05; done
gdbserver --once --attach localhost:7001 $pid > /tmp/server 2>&1 & listens 7001
gdb -nx -batch -x /tracers/attached /tracers/debuggee
kill $pid 2> /dev/null; wait $pid; echo "status $?"; cat /tmp/printed
""",
    "ltrace_calls": """\
ltrace -o /tmp/out /tracers/called one two; echo "status $?"
grep -v 'SIGCHLD\\|wait' /tmp/out  # whether the child ends before wait() is chance
ltrace -e strlen+puts -o /tmp/out /tracers/called > /dev/null; echo "status $?"; grep -v SIGCHLD /tmp/out
ltrace -c -o /tmp/out /tracers/called > /dev/null; awk '$4 ~ /^[0-9]+$/ { print $4, $5 }' /tmp/out | sort
""",
    "ltrace_children": """\
ltrace -f -e puts+exit+fork+wait -o /tmp/out /tracers/called > /dev/null; echo "status $?"
grep -o 'puts("[a-z]*"\\|exit([0-9]*\\|exited (status [0-9])\\|SIGUSR1 (.*)' /tmp/out | sort
ltrace -S -L -o /tmp/out /tracers/called > /dev/null; echo "status $?"
grep 'write@SYS\\|exit_group@SYS' /tmp/out
""",
}
# gdb does without Python, whose library is not in the image, and says so.
SURROUNDINGS = "export PATH=/usr/bin:/bin:/usr/sbin:/sbin TERM=dumb HOME=/ PYTHONHOME=/nowhere\n" + LISTENS


def called(folder: Path) -> Path:
    """What ltrace looks at: a program whose calls go to the C library one by one."""
    program = folder / "called"
    command = ["gcc", "-O0", "-w", "-fno-builtin", "-no-pie", "-Wl,-z,lazy", "-o", str(program), str(CALLED)]
    subprocess.run(command, check=True)
    return program


def image() -> Archive:
    require("strace")
    files = Archive()
    for name in ("strace", "gdb", "ltrace", "gdbserver"):
        add_program(files, Path("/usr/bin") / name)
    for path in (Path("/etc/ltrace.conf"), *Path("/usr/share/ltrace").iterdir()):
        files.file(str(path).lstrip("/"), path.read_bytes())
    with tempfile.TemporaryDirectory() as folder:
        program = called(Path(folder))
        files.file("tracers/called", program.read_bytes(), 0o755)
    debuggee = compile_program(DEBUGGEE, flags=("-static", "-g", "-O0"))
    files.file("tracers/debuggee", debuggee.read_bytes(), 0o755)
    files.file(str(DEBUGGEE).lstrip("/"), DEBUGGEE.read_bytes())
    inputs = {"breaks": BREAKS, "watches": WATCHES, "forks": FORKS, "attaches": ATTACHES, "cores": CORES,
              "connected": REMOTE, "attached": REMOTE_ATTACHED}  # fmt: skip

    for name, text in inputs.items():
        files.file(f"tracers/{name}", (SETTINGS + text).encode())
    for name, text in SCRIPTS.items():
        files.file(f"tracers/{name}.sh", (SURROUNDINGS + text).encode(), 0o755)
    return files


def named(output: str) -> str:
    """The output with names for what differs from run to run: numbers of processes in the order of their appearance,
    addresses of stacks, times.
    """
    numbers: dict[str, str] = {}

    def name(match: re.Match[str]) -> str:
        return match.group(1) + numbers.setdefault(match.group(2), f"P{len(numbers)}")

    output = re.sub(r"0x7f[0-9a-f]{6,}", "STACK", output.replace("\r", ""))
    output = re.sub(r"^.* = \? ERESTART.*\n", "", output, flags=re.MULTILINE)  # when a signal comes is chance
    output = re.sub(r"  +", " ", output)  # columns are as wide as their numbers
    pattern = r"(\b(?:process |Process |LWP |si_pid=|parent_tid=\[|(?:t?kill|wait4)\())(\d{2,})\b"
    output = re.sub(pattern, name, output)
    output = re.sub(r"\b(Thread |pid = |fork\(\) = |wait resumed> \) = )(?:\d+\.)?(\d{2,})\b", name, output)
    output = re.sub(r"(from host \S+, port )\d+", r"\1PORT", output)
    output = re.sub(r"^((?:getpid|fork|clone|wait4)\(.*\) = )(\d{2,})$", name, output, flags=re.MULTILINE)
    return re.sub(r"si_[us]time=\d+", "si_time=T", output)


def text_of(result: Result) -> str:
    return f"{named(result.output)}{result.ending}{result.log}"


def batch() -> Batch:
    cases = [Case(name, ("/bin/sh", f"/tracers/{name}.sh")) for name in SCRIPTS]
    return Batch(cases, image(), Machine(memory="512M"))


@pytest.fixture(scope="module")
def krait() -> dict[str, Result]:
    return batch().run(KRAIT)


@pytest.fixture(scope="module")
def linux(krait: dict[str, Result]) -> dict[str, str]:
    return linux_texts("tracers", batch(), krait, text_of, Path(__file__))


@pytest.mark.parametrize("name", SCRIPTS)
def test_prints_what_it_prints_on_linux(linux: dict[str, str], krait: dict[str, Result], name: str) -> None:
    assert text_of(krait[name]) == linux[name]


def test_they_do_what_they_are_for(linux: dict[str, str]) -> None:
    """Equal outputs could be equally wrong."""
    assert "HELLO" in linux["strace_pipeline"] and "+++ exited with 3 +++" in linux["strace_pipeline"]
    assert "caught" in linux["strace_signals"] and "killed by SIGTERM" in linux["strace_signals"]
    assert "--- SIGUSR1" in linux["strace_threads"] and "+++ exited with 7 +++" in linux["strace_threads"]
    assert "= 42" in linux["gdb_breaks"] and "= 8" in linux["gdb_breaks"]
    assert "Old value = 2\nNew value = 5\nin_thread" in linux["gdb_watches"]
    assert "exited with code 07" in linux["gdb_forks"]
    assert "#3" in linux["gdb_core"] and "$2 = 7" in linux["gdb_core"] and "= 11" in linux["gdb_core"]
    assert "let go\n" in linux["gdb_attaches"] and "exited with code 03" in linux["gdb_attaches"]
    assert "#2" in linux["gdbserver_network"] and "= 42" in linux["gdbserver_network"]
    assert "New value = 5" in linux["gdbserver_network"] and "let go\n" in linux["gdbserver_attached"]
    assert 'strlen("a text")' in linux["ltrace_calls"] and "20 atoi" in linux["ltrace_calls"]
    assert 'puts("child"' in linux["ltrace_children"] and 'write@SYS(1, "4' in linux["ltrace_children"]
    assert "timeout" not in "".join(linux.values())
