"""Debian's runc and crun, as they are: containers live and are limited here as on Linux.

Both load a program of bpf(2) for devices when root starts a container. A supervisor answers these calls for them, on
both kernels alike (answered_bpf.c): what may be opened is thereby not tested.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness import KRAIT, Batch, Case, Result, compile_program
from tests.harness.agreement import linux_texts
from tests.harness.guest import PATIENCE
from tools.cpio import Archive
from tools.libraries import add_program
from tools.machine import Machine
from tools.setup import require

pytestmark = pytest.mark.timeout(int(300 * PATIENCE))

PROGRAMS = ("/usr/sbin/runc", "/usr/bin/crun", "/usr/bin/setpriv", "/usr/bin/unshare")
APPLETS = "sh tail ls cat id hostname ps sleep echo grep stat touch head yes kill mkdir env pwd awk wc cut sort sed"
BEGIN = """\
export PATH=/usr/bin:/bin:/usr/sbin:/sbin TERM=dumb HOME=/
exec 2>&1
mount -t cgroup2 none /sys/fs/cgroup 2> /dev/null
mkdir -p /run
# new PLACE: a bundle with a root of busybox alone.
new() {
    rm -rf $1; mkdir -p $1; cd $1
    (mkdir -p rootfs && cd rootfs && mkdir bin lib proc sys dev tmp etc && chmod 1777 tmp)
    cp -a /bin/busybox rootfs/bin; cp -a /lib/ld* rootfs/lib
    for name in APPLETS; do ln -s busybox rootfs/bin/$name; done
}
edit() { sed -i "$@" config.json; }
# spec WORD...: a new configuration, which runs a script that need not be there yet.
spec() {
    rm -f config.json; $as $runtime spec "$@"; echo "spec: $?"
    edit 's/"terminal": true/"terminal": false/; s/"readonly": true/"readonly": false/; s/"sh"/"sh", "\\/script"/'
    edit 's|"linux": {|&"cgroupsPath": "'${group-/box}'",|'
}
script() { echo "$1" > rootfs/script; }
# wait_for STATUS
wait_for() {
    for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        status=$($as $runtime state box | grep -o '"status": *"[a-z]*"' | cut -d '"' -f 4)
        [ "$status" = $1 ] && break
        sleep 0.2
    done
    echo "status: $status"
}
""".replace("APPLETS", APPLETS)
LIFE = """\
new /life
spec
script 'echo hello; id; hostname; ps -o pid,comm; ls /dev; cat /proc/self/cgroup
    cut -d " " -f 5,6 /proc/self/mountinfo | grep -v "^/proc/"; grep "Cap\\|NoNew\\|Seccomp:" /proc/self/status
    touch /made; touch /proc/sys/kernel/panic; cat /sys/class/net/lo/mtu; exit 7'
$run run box; echo "run: $?"
ls rootfs/made
script 'kill -9 $$'; $run run box; echo "killed: $?"
script 'sleep 1000'
$run run -d --pid-file /run/pid box > /dev/null < /dev/null; echo "detached: $?"
wait_for running
$run exec box ps -o pid,comm; echo "exec: $?"
$run exec box sh -c 'exit 3'; echo "exec: $?"
$run exec -e A=b --cwd /tmp -u 5:6 box sh -c 'echo $A; pwd; id; grep CapEff /proc/self/status'; echo "exec: $?"
$runtime pause box; echo "pause: $?"; wait_for paused; grep frozen /sys/fs/cgroup/box/cgroup.events
$runtime resume box; echo "resume: $?"; wait_for running; grep frozen /sys/fs/cgroup/box/cgroup.events
$runtime kill box KILL; echo "kill: $?"; wait_for stopped
$runtime delete box; echo "delete: $?"
ls -d /sys/fs/cgroup/box
script 'echo started; sleep 1000'
$run create box < /dev/null > /run/out; echo "create: $?"; wait_for created
$run start box; echo "start: $?"; wait_for running
$runtime delete --force box; echo "delete: $?"; cat /run/out; ls -d /sys/fs/cgroup/box
"""
LIMITS = """\
new /limits
spec
edit 's/"resources": {/&"memory": {"limit": 67108864, "swap": 67108864, "reservation": 33554432},/'
edit 's/"resources": {/&"pids": {"limit": 12}, "cpu": {"shares": 512, "quota": 20000, "period": 100000, "cpus": "0"},/'
script 'cd /sys/fs/cgroup
    for i in memory.max memory.low pids.max cpu.weight cpu.max cpuset.cpus; do echo $i $(cat $i); done'
$run run box; echo "run: $?"
script 'for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do sleep 1000 & done'
$run run box; echo "pids: $?"
script 'head -c 200m /dev/zero | tail -c 150m > /dev/null; echo $?; grep -w oom_kill /sys/fs/cgroup/memory.events'
$run run box; echo "memory: $?"
script 'yes > /dev/null & sleep 2; kill $!; awk "/nr_throttled/ { print (\\$2 > 3) }" /sys/fs/cgroup/cpu.stat'
$run run box; echo "time: $?"
script 'sleep 1000'
$run run -d box > /dev/null < /dev/null; echo "detached: $?"
$run update --memory 134217728 --memory-swap 134217728 --pids-limit 30 --cpu-quota 50000 --cpu-share 2048 box
echo "update: $?"
$run exec box sh -c 'cd /sys/fs/cgroup; cat memory.max pids.max cpu.max cpu.weight'
$runtime delete --force box; echo "delete: $?"
"""
USERS = """\
new /users
spec
edit 's/"namespaces": \\[/"uidMappings": [{"containerID": 0, "hostID": 100000, "size": 1000}], &/'
edit 's/"namespaces": \\[/"gidMappings": [{"containerID": 0, "hostID": 200000, "size": 1000}], &{"type": "user"},/'
chown 100000:200000 rootfs rootfs/tmp
script 'id; cat /proc/self/uid_map; touch /tmp/made; stat -c "%u %g" /tmp/made /proc/1 /sys /sys/class/net/lo/mtu
    ls /sys/class/net; hostname inside; hostname; touch /proc/sys/kernel/panic'
$run run box; echo "run: $?"
stat -c '%u %g' rootfs/tmp/made
"""
ROOTLESS = """\
new /rootless
mkdir -p /sys/fs/cgroup/own/outside; echo $$ > /sys/fs/cgroup/own/outside/cgroup.procs
chmod 755 . rootfs; chown -R 1000:1000 . /sys/fs/cgroup/own
mkdir -p /run/user/1000; chown 1000:1000 /run/user/1000; export XDG_RUNTIME_DIR=/run/user/1000
as="setpriv --reuid 1000 --regid 1000 --clear-groups" group=/own/box
spec --rootless
script 'id; ps -o pid,comm; cat /proc/self/uid_map; touch /made; stat -c %u /made /sys /proc/1; exit 4'
$as $runtime run box; echo "run: $?"
script 'sleep 1000'
$as $runtime run -d box > /dev/null < /dev/null; echo "detached: $?"
wait_for running
$as $runtime exec box ps -o pid,comm; echo "exec: $?"
$as $runtime kill box KILL; echo "kill: $?"; wait_for stopped
$as $runtime delete box; echo "delete: $?"
"""
PARTS = {"life": LIFE, "limits": LIMITS, "users": USERS, "rootless": ROOTLESS}
RUNTIMES = ("runc", "crun")
CASES = [f"{runtime}_{part}" for runtime in RUNTIMES for part in PARTS]
# They change the root, and nobody can leave that of an initramfs.
NEW_ROOT = """\
export PATH=/usr/bin:/bin:/usr/sbin:/sbin
mkdir -p /box && mount -t tmpfs box /box && cd /box
for name in /*; do
    case $name in /box | /proc | /dev | /sys | /tmp | /modules) mkdir /box$name;; *) cp -a $name /box;; esac
done
for name in proc dev sys; do mount --move /$name /box/$name; done
mount --move /box / && exec chroot . /bin/sh $1
"""


def image() -> Archive:
    require("oci")
    files = Archive()
    for name in PROGRAMS:
        add_program(files, Path(name))
    files.file("containers/answered_bpf", compile_program(Path(__file__).parent / "answered_bpf.c").read_bytes(), 0o755)
    files.file("containers/new_root.sh", NEW_ROOT.encode(), 0o755)
    for runtime in RUNTIMES:
        names = f"runtime={runtime}\nrun='/containers/answered_bpf {runtime}'\n"
        for part, text in PARTS.items():
            files.file(f"containers/{runtime}_{part}.sh", (BEGIN + names + text).encode(), 0o755)
    return files


def batch() -> Batch:
    command = ("/usr/bin/unshare", "--mount", "/bin/sh", "/containers/new_root.sh")
    cases = [Case(name, (*command, f"/containers/{name}.sh"), 60) for name in CASES]
    return Batch(cases, image(), Machine(memory="512M"))


def text_of(result: Result) -> str:
    return result.output.replace("\r", "") + f"{result.ending}{result.log}"


@pytest.fixture(scope="module")
def krait() -> dict[str, Result]:
    return batch().run(KRAIT)


@pytest.fixture(scope="module")
def linux(krait: dict[str, Result]) -> dict[str, str]:
    return linux_texts("containers", batch(), krait, text_of, Path(__file__))


@pytest.mark.parametrize("name", CASES)
def test_prints_what_it_prints_on_linux(linux: dict[str, str], krait: dict[str, Result], name: str) -> None:
    assert text_of(krait[name]) == linux[name]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_they_do_what_they_are_for(linux: dict[str, str], runtime: str) -> None:
    """Equal outputs could be equally wrong."""
    life = linux[f"{runtime}_life"]
    assert "hello\nuid=0 gid=0\n" in life and "run: 7\n" in life and "killed: 137\n" in life
    for step in ("detached", "exec", "pause", "resume", "kill", "delete", "create", "start"):
        assert f"{step}: 0\n" in life
    assert "status: paused\nfrozen 1\n" in life and "status: running\nfrozen 0\n" in life
    limits = linux[f"{runtime}_limits"]
    assert "memory.max 67108864\n" in limits and "cpu.max 20000 100000\n" in limits and "oom_kill 1\n" in limits
    assert "can't fork" in limits and "134217728\n30\n50000 100000\n" in limits
    assert "0     100000       1000\n" in linux[f"{runtime}_users"] and "100000 200000\n" in linux[f"{runtime}_users"]
    assert "run: 4\n" in linux[f"{runtime}_rootless"]
