"""Debian's unshare, nsenter, lsns, bwrap and newuidmap, as they are: they print here what they print on Linux.

Numbers of processes outside and of namespaces differ, so no script prints them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness import KRAIT, Batch, Case, Result
from tests.harness.agreement import linux_texts, text_of
from tests.harness.guest import PATIENCE
from tools.cpio import Archive
from tools.libraries import add_program
from tools.machine import Machine
from tools.setup import require

pytestmark = pytest.mark.timeout(int(200 * PATIENCE))

PROGRAMS = ("unshare", "nsenter", "lsns", "bwrap", "setpriv", "newuidmap", "newgidmap")
SCRIPTS = {
    "unshare_pid": """\
unshare --pid --fork --mount-proc sh -c 'echo "I am $$"; ps -o pid,comm; readlink /proc/self; exit 5'
echo "status $?"
unshare --pid --fork --kill-child sh -c 'sh -c "echo I am \\$\\$; kill -9 1; echo still here"; kill -9 $$; echo yes'
echo "status $?"
unshare --pid sh -c '(exit 3); echo "status $?"; (exit 4); echo never' 2>&1
unshare --fork --pid --mount --uts --ipc --mount-proc sh -c \
    'hostname inside; hostname; ls /proc/sysvipc; ps > /tmp/all; wc -l < /tmp/all'
hostname
unshare --pid --fork --mount-proc sh -c \
    'sh -c "sh /namespaces/orphan.sh &"; until test -s /tmp/adopted; do sleep 0.05; done; cat /tmp/adopted'
unshare --pid=/tmp/none true 2> /dev/null; echo "status $?"
""",
    "nsenter_pid": """\
unshare --pid --fork --mount-proc --uts sh -c 'hostname below; sleep 1000' & maker=$!
until init=$(pgrep -P $maker); do sleep 0.05; done
until test "$(nsenter -t $init -u hostname)" = below && grep -qx sleep /proc/$init/comm; do sleep 0.05; done
nsenter --target $init --pid --mount sh -c \
    'echo "I am not 1: $(test $$ != 1 && echo yes)"; ps -o comm > /tmp/listed; grep -c . /tmp/listed'
nsenter -t $init -a sh -c 'hostname; readlink /proc/1/exe > /dev/null && echo seen'
grep NSpid /proc/$init/status | awk '{ print NF, $3 }'
nsenter -t $init -p -m kill -9 1; echo "status $?"
kill -9 $init
wait $maker 2> /dev/null; echo "status $?"
nsenter -t $init -p true 2> /dev/null; echo "status $?"
""",
    "lsns": """\
lsns -n -o type,nprocs -t pid | wc -l
unshare --pid --fork --mount-proc sh -c 'lsns -n -o type,nprocs,pid,command -t pid'
unshare --pid --fork --mount-proc --mount --uts --ipc sh -c 'lsns -n -o type,nprocs,pid > /tmp/all; sort /tmp/all'
""",
    "bwrap": """\
exec unshare --mount sh /namespaces/new_root.sh
""",
    "unshare_user": """\
sh /namespaces/tester.sh
exec setpriv --reuid 1000 --regid 1000 --clear-groups sh /namespaces/as_user.sh
""",
    "newuidmap": """\
sh /namespaces/tester.sh
exec setpriv --reuid 1000 --regid 1000 --clear-groups sh /namespaces/mapped.sh
""",
}
PARTS = {
    "orphan": """\
until grep -q PPid:.1$ /proc/$$/status; do sleep 0.05; done
echo adopted > /tmp/adopted
""",
    "tester": """\
echo 'tester:x:1000:1000::/:/bin/sh' >> /etc/passwd
echo 'tester:x:1000:' >> /etc/group
echo tester:100000:65536 > /etc/subuid
echo tester:100000:65536 > /etc/subgid
chmod 1777 /tmp
""",
    "as_user": """\
unshare -Ur sh -c 'id -u; id -g; cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups
    grep CapEff /proc/self/status; chown 1:1 /tmp 2> /dev/null; echo $?; mknod /tmp/null c 1 3 2> /dev/null; echo $?'
unshare -Urm sh -c 'mount -t tmpfs none /tmp && touch /tmp/x && ls -n /tmp | tail -1 | cut -c 1-40
    umount /tmp; echo $?; umount /proc 2> /dev/null; echo $?; mount -o remount,ro / 2> /dev/null; echo $?'
unshare -Urpf --mount-proc sh -c 'echo "I am $$"; ps -o pid,comm; stat -c "%u %g" /proc/1 /proc/sys/kernel'
unshare -Uru sh -c 'hostname inside; hostname'
hostname inside 2> /dev/null; echo $?
unshare -U sh -c 'id -u; touch /tmp/made; stat -c "%u %g" /tmp/made'; stat -c "%u %g" /tmp/made
unshare -U --map-user=7 --map-group=8 sh -c 'id -u; id -g'
unshare -Ur unshare -Ur sh -c 'cat /proc/self/uid_map; id -u'
unshare -Ur --setgroups allow true 2> /dev/null; echo $?
""",
    "mapped": """\
unshare -U sleep 1000 & child=$!
until test "$(readlink /proc/$child/ns/user)" != "$(readlink /proc/self/ns/user)"; do sleep 0.05; done
newuidmap $child 0 1000 1 1 200000 1 2> /dev/null; echo "status $?"
newuidmap $child 0 0 1 2> /dev/null; echo "status $?"
newuidmap $child 0 1000 1 1 100000 65536; echo "status $?"
newgidmap $child 0 1000 1 1 100000 65536; echo "status $?"
newuidmap $child 0 1000 1 2> /dev/null; echo "status $?"
cat /proc/$child/uid_map /proc/$child/gid_map /proc/$child/setgroups
nsenter -t $child -U -S 0 -G 0 sh -c 'id -u; touch /tmp/own; chown 5:6 /tmp/own; stat -c "%u %g" /tmp/own'
stat -c '%u %g' /tmp/own
kill $child; wait $child 2> /dev/null; echo "status $?"
unshare --map-root-user --map-users=auto --map-groups=auto sh -c 'cat /proc/self/uid_map; id -u'
""",
    # Bubblewrap changes the root, and nobody can leave that of an initramfs.
    "new_root": """\
mkdir /box && mount -t tmpfs box /box && cd /box
for name in /*; do
    case $name in /box | /proc | /dev | /sys | /tmp) mkdir /box$name;; *) cp -a $name /box;; esac
done
mount --move /proc /box/proc && mount --move /dev /box/dev
mount --move /box / && exec chroot . /bin/sh /namespaces/boxed.sh
""",
    "boxed": """\
bwrap --unshare-pid --bind / / --proc /proc --dev /dev sh -c 'ps -o pid,comm; ls /dev; exit 4'
echo "status $?"
bwrap --unshare-pid --as-pid-1 --bind / / --proc /proc sh -c 'echo $$; readlink /proc/self'
bwrap --unshare-pid --unshare-uts --unshare-ipc --hostname boxed --bind / / --proc /proc --tmpfs /tmp \\
    sh -c 'hostname; ls /tmp; touch /tmp/inside; ls /tmp'
ls /tmp
bwrap --ro-bind / / --proc /proc --dev /dev --die-with-parent sh -c 'touch /file 2> /dev/null; echo $?'
sh /namespaces/tester.sh
user="setpriv --reuid 1000 --regid 1000 --clear-groups"
$user bwrap --unshare-user --uid 7 --gid 8 --bind / / --proc /proc --dev /dev \\
    sh -c 'id -u; id -g; cat /proc/self/uid_map'
$user bwrap --unshare-user --unshare-pid --unshare-ipc --unshare-uts --hostname small --bind / / --proc /proc \\
    --tmpfs /tmp --dev /dev \\
    sh -c 'hostname; id -u; ps -o pid,comm; stat -c "%u %g" /tmp /proc/1; grep CapEff /proc/self/status'
$user bwrap --ro-bind / / sh -c 'touch /file 2> /dev/null; echo $?; chroot / true 2> /dev/null; echo $?'
bwrap --unshare-pid --bind / / --proc /proc --dev /dev sh -c 'kill -9 1; echo alive; (sleep 1000 &); echo done'
echo "status $?"
""",
}
SURROUNDINGS = "export PATH=/usr/bin:/bin:/usr/sbin:/sbin TERM=dumb HOME=/\n"


def image() -> Archive:
    require("containers")
    files = Archive()
    for name in PROGRAMS:
        add_program(files, Path("/usr/bin") / name, 0o4755 if name in ("newuidmap", "newgidmap") else 0o755)
    for name, text in (SCRIPTS | PARTS).items():
        files.file(f"namespaces/{name}.sh", (SURROUNDINGS + text).encode(), 0o755)
    return files


def batch() -> Batch:
    cases = [Case(name, ("/bin/sh", f"/namespaces/{name}.sh")) for name in SCRIPTS]
    return Batch(cases, image(), Machine(memory="256M"))


@pytest.fixture(scope="module")
def krait() -> dict[str, Result]:
    return batch().run(KRAIT)


@pytest.fixture(scope="module")
def linux(krait: dict[str, Result]) -> dict[str, str]:
    return linux_texts("namespace_programs", batch(), krait, text_of, Path(__file__))


@pytest.mark.parametrize("name", SCRIPTS)
def test_prints_what_it_prints_on_linux(linux: dict[str, str], krait: dict[str, Result], name: str) -> None:
    assert text_of(krait[name]) == linux[name]


def test_they_do_what_they_are_for(linux: dict[str, str]) -> None:
    """Equal outputs could be equally wrong."""
    assert "I am 1\n" in linux["unshare_pid"] and "still here" in linux["unshare_pid"]
    assert "yes" in linux["nsenter_pid"] and "below" in linux["nsenter_pid"]
    assert "pid" in linux["lsns"]
    assert "boxed" in linux["bwrap"] and "alive" in linux["bwrap"] and "status 4" in linux["bwrap"]
    assert "I am 1\n" in linux["unshare_user"] and "inside" in linux["unshare_user"]
    assert "status 0\nstatus 0\n" in linux["newuidmap"] and "100004 100005" in linux["newuidmap"]
    assert "timeout" not in "".join(linux.values())
