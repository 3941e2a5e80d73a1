"""Debian's runc, crun and podman, as they are: containers do here what they do on Linux.

Process numbers, container ids and times differ, so no script prints them. The scripts of one boot leave nothing behind
but podman's image. What podman does takes minutes: it is tried with KRAIT_CONTAINERS=1. Bubblewrap, unshare, nsenter
and lsns are in test_namespace_programs.py.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.harness import KRAIT, Batch, Case, Result
from tests.harness.agreement import linux_texts
from tests.harness.guest import PATIENCE
from tools.cpio import Archive
from tools.libraries import add_program, interpreter
from tools.machine import Machine
from tools.setup import require
from userland.image import root_archive

pytestmark = pytest.mark.timeout(int(400 * PATIENCE))

IS_LONG = bool(os.environ.get("KRAIT_CONTAINERS"))
RUNTIMES = ("/usr/sbin/runc", "/usr/bin/crun")
PODMANS = (
    "/usr/bin/podman", "/usr/bin/conmon", "/usr/lib/podman/netavark", "/usr/bin/newuidmap", "/usr/bin/newgidmap",
    "/usr/bin/setpriv",
)  # fmt: skip
SETTINGS = ("/etc/containers/policy.json", "/etc/containers/registries.conf", "/usr/share/containers/seccomp.json")
SET_USER_ID = ("newuidmap", "newgidmap")
OWN_SETTINGS = """\
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
[containers]
log_driver = "k8s-file"
"""
INSIDE = (
    "sh", "cat", "ls", "id", "ps", "echo", "sleep", "grep", "mount", "hostname", "kill", "touch", "true", "wc", "head",
    "rm", "stat", "tr", "cut", "chown", "seq", "mknod", "umount", "chroot", "mkdir", "ln",
)  # fmt: skip

# Programs that change the root cannot do so in an initramfs: each script has a mount of it as its root.
NEW_ROOT = """\
export PATH=/usr/bin:/bin:/usr/sbin:/sbin TERM=dumb HOME=/root
exec 2>&1
mkdir -p /above && mount --bind / /above && cd /above
for name in proc sys dev; do mount --move /$name /above/$name; done
mount --move /above / && exec chroot . /bin/sh /containers/within.sh "$1"
"""
WITHIN = """\
mount --make-rshared /
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p /var/tmp /run/user/1000 /home/tester
chown 1000:1000 /run/user/1000 /home/tester; chmod 1777 /tmp /dev/shm
. /containers/$1.sh
"""
# A container by a runtime's own hands: what its life is, and what limits it. Runtimes copy what comes from two streams
# in two threads: programs inside write to one.
RUNTIME = """\
mkdir -p /tmp/bundle/rootfs && cd /tmp/bundle && tar -C rootfs -xf /containers/root.tar
# The specification that the program proposes, with another command.
write() {
    rm -f config.json; $runtime spec
    sed -i 's/"terminal": true/"terminal": false/; s|"sh"|"sh", "/run.sh"|' config.json
    cat > rootfs/run.sh
}
state() { $runtime state one | grep -o '"status": "[a-z]*"'; }
write << 'EOF'
exec 2>&1; echo hello; id; hostname; echo "I am $$"; ps -o comm; cat /proc/self/cgroup
grep -E "Cap|NoNew|Seccomp" /proc/self/status; touch /x; mknod /dev/x b 7 0; umount /proc
echo /dev/[!c]*  # core is a link to /proc/kcore, which Linux alone has
echo x > /proc/sys/kernel/hostname; cat /proc/keys; ls /sys/fs/cgroup/cgroup.procs | cat
exit 5
EOF
$runtime run one; echo "status $?"
write << 'EOF'
# It makes no processes, for which there may be no room, and its file only grows: it is never empty in between.
trap "exit 7" TERM; mknod /dev/shm/never p; exec 3<> /dev/shm/never
while true; do echo >> /dev/shm/count; read -t 0.05 line <&3; done
EOF
sed -i 's|"resources": {|"resources": { "pids": { "limit": 20 }, "memory": { "limit": 33554432 },|' config.json
$runtime create one > /tmp/out < /dev/null; state
$runtime start one; state
group=/sys/fs/cgroup/one
init=$($runtime state one | grep -o '"pid": [0-9]*' | cut -d' ' -f2)
count() { wc -c < /proc/$init/root/dev/shm/count; }
until test -s /proc/$init/root/dev/shm/count; do sleep 0.05; done
cat $group/pids.max $group/memory.max
$runtime exec one sh -c 'hostname; id -u'
$runtime exec one sh -c 'for i in $(seq 25); do sleep 9 & done'; echo "too many: $?"
$runtime update --pids-limit 80 one; cat $group/pids.max  # nobody may have waited for them yet
$runtime exec one sh -c 'exec 2>&1; head -c 1 /dev/zero | wc -c; mknod /tmp/m b 1 1; mknod /dev/n c 1 3'
$runtime pause one; state; before=$(count); sleep 0.5; test $(count) = $before && echo stands
$runtime resume one; state; until now=$(count); test "${now:-$before}" != $before; do sleep 0.05; done; echo goes
test "$($runtime ps one | grep -c .)" -ge 2 && echo listed
$runtime list | grep -o 'one\\|running'
$runtime delete one 2> /dev/null; echo "delete: $?"
$runtime kill one TERM; until state | grep -q stopped; do sleep 0.05; done; state
$runtime delete one; echo "delete: $?"; state 2> /dev/null; ls -d $group
rm -rf /tmp/bundle
"""
PODMAN = """\
podman import -q /containers/root.tar small | cut -c 1-7
podman run -d --name long --network none --memory 32m --pids-limit 10 small \\
    sh -c 'trap "exit 7" TERM; i=0; while true; do i=$((i+1)); echo "turn $i"; sleep 0.1; done' | wc -c
podman exec long sh -c 'id; ps -o comm | head -2; cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max; exit 3'
echo "status $?"
podman exec long sh -c 'for i in 1 2 3 4 5 6 7 8 9 10 11; do sleep 9 & done'; echo "too many: $?"
sleep 1
podman logs long | head -2
podman pause long; podman ps --format '{{.Names}} {{.Image}} {{.State}}'; podman unpause long
podman stop -t 9 long; podman inspect long --format '{{.State.ExitCode}} {{.State.Status}}'
podman rm long
podman run --rm --network none --read-only --user 7 --tmpfs /scratch -v /containers:/given:ro small \\
    sh -c 'exec 2>&1; id; touch /scratch/x && ls /scratch; touch /x; touch /given/x; ls /given/root.tar
    grep -E "CapEff|Seccomp:" /proc/self/status'; echo "status $?"
podman run --rm --network none --uidmap 0:10000:1000 small sh -c 'cat /proc/self/uid_map; stat -c "%u %n" /bin /proc'
"""
BUILD = """\
mkdir -p /tmp/build && cd /tmp/build && cp /containers/root.tar . && cat > Containerfile <<'EOF'
FROM scratch
ADD root.tar /
RUN echo made > /made; id; rm /bin/true
COPY Containerfile /etc/
ENV WORD=b
CMD ["sh", "-c", "cat /made; wc -l /etc/Containerfile; echo $WORD; ls /bin/true"]
EOF
podman build -q --network none -t built . | wc -c
podman run --rm --network none built; echo "status $?"
podman rmi -f built > /dev/null; rm -rf /tmp/build
"""
ROOTLESS = """\
cd /sys/fs/cgroup && mkdir -p user/first && echo '+pids +memory' > cgroup.subtree_control
echo $$ > user/first/cgroup.procs && echo '+pids +memory' > user/cgroup.subtree_control
(cd user && chown 1000:1000 . cgroup.procs cgroup.subtree_control cgroup.threads first first/cgroup.procs)
export USER=tester HOME=/home/tester XDG_RUNTIME_DIR=/run/user/1000
cd $HOME && setpriv --reuid 1000 --regid 1000 --clear-groups sh /containers/as_user.sh
echo $$ > /sys/fs/cgroup/cgroup.procs
rm -rf /home/tester/* /home/tester/.[a-z]*
"""
AS_USER = """\
podman import -q /containers/root.tar small | cut -c 1-7
podman run --rm --network none small sh -c 'exec 2>&1; id; cat /proc/self/uid_map; touch /x; chown 5:6 /x
    stat -c "%u %g" /x /proc
    mknod /m c 1 3; mount -t tmpfs none /tmp; hostname other; grep CapEff /proc/self/status'; echo "status $?"
podman run -d --network host --name long small sleep 100 | wc -c
podman exec long sh -c 'ps -o pid,comm; exit 4'; echo "status $?"
podman kill long; podman rm -f long
podman unshare sh -c 'id -u; cat /proc/self/uid_map'
"""
SHORT = {"runc": f"runtime=runc\n{RUNTIME}", "crun": f"runtime=crun\n{RUNTIME}"}
LONG = {"podman": PODMAN, "build": BUILD, "rootless": ROOTLESS}
SCRIPTS = SHORT | (LONG if IS_LONG else {})  # that are tried
PARTS = {"new_root": NEW_ROOT, "within": WITHIN, "as_user": AS_USER}
USERS = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\ntester:x:1000:1000::/home/tester:/bin/sh\n",
    "etc/group": "root:x:0:\ntester:x:1000:\n",
    "etc/subuid": "tester:100000:65536\n",
    "etc/subgid": "tester:100000:65536\n",
    "etc/containers/containers.conf": OWN_SETTINGS,
}


def inner_root(folder: Path) -> bytes:
    """What a container's root is made of: busybox."""
    root = Archive()
    for name in ("proc", "sys", "dev", "tmp", "etc"):
        root.directory(name)
    root.file("bin/busybox", root_archive().entries["bin/busybox"].data, 0o755)
    for name in INSIDE:
        root.link(f"bin/{name}", "busybox")
    root.file("etc/greeting", b"hello\n")
    path = folder / "root.tar"
    root.write_tar(path)
    return path.read_bytes()


def image(folder: Path) -> Archive:
    require("containers")
    files = Archive()
    for name in RUNTIMES + (PODMANS if IS_LONG else ()):
        path = Path(name)
        mode = 0o4755 if path.name in SET_USER_ID else 0o755
        if interpreter(path.read_bytes()) is None:
            files.file(name.lstrip("/"), path.read_bytes(), mode)
        else:
            add_program(files, path, mode)
    for name in SETTINGS if IS_LONG else ():
        files.file(name.lstrip("/"), Path(name).read_bytes())
    for name, text in USERS.items():
        files.file(name, text.encode())
    for name, text in (SCRIPTS | PARTS).items():
        files.file(f"containers/{name}.sh", text.encode(), 0o755)
    files.file("containers/root.tar", inner_root(folder))
    return files


def text_of(result: Result) -> str:
    return re.sub(r"\x1b\[[\d;]*m", "", f"{result.output}{result.ending}{result.log}".replace("\r", ""))


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Batch:
    command = ("/usr/bin/unshare", "--mount", "sh", "/containers/new_root.sh")
    cases = [Case(name, (*command, name), 60) for name in SCRIPTS]
    return Batch(cases, image(tmp_path_factory.mktemp("containers")), Machine(memory="1G"), needs_modules=True)


@pytest.fixture(scope="module")
def krait(batch: Batch) -> dict[str, Result]:
    return batch.run(KRAIT)


@pytest.fixture(scope="module")
def linux(batch: Batch, krait: dict[str, Result]) -> dict[str, str]:
    return linux_texts("containers", batch, krait, text_of, Path(__file__))


def parameters() -> list[object]:
    """All scripts: those that are not tried are shown as skipped."""
    skipped = pytest.mark.skipif(not IS_LONG, reason="KRAIT_CONTAINERS is not set: podman takes minutes")
    return [*SHORT, *(pytest.param(name, marks=skipped) for name in LONG)]


@pytest.mark.parametrize("name", parameters())
def test_prints_what_it_prints_on_linux(linux: dict[str, str], krait: dict[str, Result], name: str) -> None:
    assert text_of(krait[name]) == linux[name]
