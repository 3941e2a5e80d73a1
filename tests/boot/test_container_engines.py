"""Debian's podman and docker on a disk with Debian 13: what they do and print on Krait is what they do on Linux.

Containers have networks of their own here, behind a bridge, and ports that lead to them; test_containers.py has the
runtimes below, and containers without a network. The programs take minutes, and their disk a download of 200 MB: they
are tried with KRAIT_CONTAINERS=1.
"""

from __future__ import annotations

import base64
import json
import os
import re
from pathlib import Path

import pytest

from tests.boot.debian_disk import DebianDisk
from tests.boot.test_containers import USERS, inner_root
from tests.harness import KRAIT, LINUX, Guest, Kernel
from tests.harness.guest import PATIENCE
from tests.harness.kept import kept_answer
from tests.harness.kernels import add_modules
from tools.cpio import Archive, extend
from tools.machine import Disk, Machine
from tools.oracle import fetch_oracle, module_paths
from tools.paths import INITRAMFS

IS_LONG = bool(os.environ.get("KRAIT_CONTAINERS"))

pytestmark = [
    pytest.mark.timeout(int(900 * PATIENCE)),
    pytest.mark.skipif(not IS_LONG, reason="KRAIT_CONTAINERS is not set: it takes minutes"),
]

SECONDS = 200.0  # of one script

INIT = """\
#!/bin/bash
export PATH=/usr/bin:/bin:/usr/sbin:/sbin TERM=dumb HOME=/root
exec < /dev/null > /dev/ttyS0 2>&1
mount -t proc proc /proc; mount -t sysfs sysfs /sys
mkdir -p /dev/pts /dev/shm /dev/mqueue
for kind in devpts:pts tmpfs:shm mqueue:mqueue; do
    mountpoint -q /dev/${kind#*:} || mount -t ${kind%:*} none /dev/${kind#*:}
done
for link in fd:/proc/self/fd stdin:fd/0 stdout:fd/1 stderr:fd/2; do
    test -e /dev/${link%%:*} || ln -s ${link##*:} /dev/${link%%:*}
done
mount -t tmpfs run /run; mount -t cgroup2 cgroup2 /sys/fs/cgroup; mount --make-rshared /
mkdir -p /run/user/1000 /home/tester; chown 1000:1000 /run/user/1000 /home/tester
chmod 1777 /tmp; chmod 666 /dev/net/tun; ip link set lo up; hostname engines; cd /root
base64 -d /engines/root.base64 > /root.tar
for script in podman networks build rootless docker; do
    echo "@begin $script@"; bash /engines/$script.sh 2>&1 < /dev/null; echo "@end $script@"
done
sleep infinity
"""
PODMAN = r"""
import() { podman import -q /root.tar small | cut -c 1-7; }
import
podman run -d --name web -p 8080:80 small busybox httpd -f -p 80 -h /etc | wc -c
sleep 2
for from in 127.0.0.1:8080 10.88.0.1:8080 10.88.0.2:80; do curl -s -m 9 http://$from/greeting; done
podman exec web sh -c 'busybox ip -o -4 a; busybox ip route; id; exit 3'; echo "status $?"
podman exec web sh -c 'cd /proc/sys/net/ipv4/conf/eth0 && head rp_filter arp_notify route_localnet'
head /proc/sys/net/ipv4/conf/podman0/{rp_filter,route_localnet,forwarding}
podman ps --format '{{.Names}} {{.Image}} {{.Ports}}'
nft list ruleset; bridge -o link | grep -o 'master.*state.*'
podman run --rm small busybox wget -T 9 -q -O - http://10.88.0.1:8080/greeting
podman stop -t 5 web; podman rm web; ip -br -c=never link | cut -d' ' -f1; nft list ruleset | grep -c chain
podman run -d --name talks small sh -c 'trap "exit 7" TERM; i=0
    while :; do echo "turn $i"; i=$((i+1)); sleep 0.2; done' | wc -c
sleep 3; podman logs talks | head -2; podman stop -t 9 talks; podman inspect talks --format '{{.State.ExitCode}}'
podman rm talks
"""
NETWORKS = r"""
podman network create inner; podman network inspect inner --format '{{.Driver}} {{.DNSEnabled}}'
podman run -d --network inner --name web small busybox httpd -f -p 80 -h /etc | wc -c
podman run --rm --network inner small sh -c 'busybox nslookup -type=a web | grep -A1 Name
    busybox wget -T 9 -q -O - http://web/greeting'; echo "status $?"
podman rm -f -t 0 web; podman network rm inner; ip -br -c=never link | cut -d' ' -f1
"""
BUILD = r"""
mkdir -p /tmp/build && cd /tmp/build && cp /root.tar . && cat > Containerfile <<'EOF'
FROM scratch
ADD root.tar /
RUN echo made > /made; id; rm /bin/true
COPY Containerfile /etc/
ENV WORD=b
CMD ["sh", "-c", "cat /made; wc -l /etc/Containerfile; echo $WORD; ls /bin/true"]
EOF
podman build -q --network none -t built . | wc -c
podman run --rm built; echo "status $?"
podman rmi -f built > /dev/null; rm -rf /tmp/build
"""
ROOTLESS = r"""
cd /sys/fs/cgroup && mkdir -p user/first && echo '+pids +memory' > cgroup.subtree_control
echo $$ > user/first/cgroup.procs && echo '+pids +memory' > user/cgroup.subtree_control
(cd user && chown 1000:1000 . cgroup.procs cgroup.subtree_control cgroup.threads first first/cgroup.procs)
export USER=tester HOME=/home/tester XDG_RUNTIME_DIR=/run/user/1000
cd $HOME && setpriv --reuid 1000 --regid 1000 --clear-groups bash /engines/as_user.sh
echo $$ > /sys/fs/cgroup/cgroup.procs
"""
AS_USER = r"""
podman import -q /root.tar small | cut -c 1-7
podman run --rm --network none small sh -c 'id; cat /proc/self/uid_map; touch /x; chown 5:6 /x; stat -c "%u %g" /x /proc
    mknod /m c 1 3; mount -t tmpfs none /tmp; hostname other; grep CapEff /proc/self/status'; echo "status $?"
podman run -d --name web -p 8081:80 small busybox httpd -f -p 80 -h /etc | wc -c
sleep 2; curl -s -m 9 http://127.0.0.1:8081/greeting
podman exec web sh -c 'busybox ip -o -4 a; busybox ip route; exit 4'; echo "status $?"
podman ps --format '{{.Names}} {{.Image}} {{.Ports}}'; podman stop -t 1 web; podman rm web
"""
DOCKER = r"""
containerd > /tmp/containerd.log 2>&1 &
for i in $(seq 90); do ctr version > /dev/null 2>&1 && break; sleep 1; done
dockerd --containerd /run/containerd/containerd.sock > /tmp/dockerd.log 2>&1 &
for i in $(seq 90); do docker info > /dev/null 2>&1 && break; sleep 1; done
docker info 2> /dev/null | grep -A2 -E 'Storage Driver|Cgroup Driver|Server Version'
docker import /root.tar small | cut -c 1-7; docker save small > /tmp/saved.tar
docker rmi small | grep -c .; docker load -q < /tmp/saved.tar; rm /tmp/saved.tar
docker run --rm small sh -c 'id; cat /proc/1/cgroup; grep -E "CapEff|Seccomp:" /proc/self/status
    busybox ip -o -4 a | cut -d: -f2; busybox ip route; touch /x; mknod /dev/x b 7 0; umount /proc'; echo "status $?"
docker run -d --name web -p 8080:80 --memory 32m --pids-limit 10 small sh -c 'trap "exit 7" TERM
    busybox httpd -p 80 -h /etc; i=0; while :; do echo "turn $i"; i=$((i+1)); sleep 0.3; done' | wc -c
sleep 3
for from in 127.0.0.1:8080 172.17.0.1:8080 172.17.0.2:80; do curl -s -m 9 http://$from/greeting; done
docker exec web sh -c 'id -u; cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max; exit 3'; echo "status $?"
docker logs web 2>&1 | head -2; docker ps --format '{{.Names}} {{.Image}} {{.Ports}}'
iptables -S; iptables -t nat -S
docker pause web; docker ps --format '{{.Status}}' | grep -o Paused; docker unpause web
docker stop -t 9 web; docker inspect web --format '{{.State.ExitCode}} {{.State.Status}}'; docker rm web
ip -br -c=never link | cut -d' ' -f1
"""
NAMES = ("podman", "networks", "build", "rootless", "docker")
TEXTS = {
    "init": INIT, "podman": PODMAN, "networks": NETWORKS, "build": BUILD, "rootless": ROOTLESS, "as_user": AS_USER,
    "docker": DOCKER,
}  # fmt: skip
PACKAGES = (
    "podman", "crun", "runc", "conmon", "netavark", "aardvark-dns", "nftables", "uidmap", "passt", "docker.io",
    "docker-cli", "containerd", "iptables", "iproute2", "curl", "util-linux", "procps",
)  # fmt: skip


def debian(folder: Path) -> DebianDisk:
    """The disk, with the scripts, and the tar archive that images are made of."""
    files = {**USERS, "engines/root.base64": base64.encodebytes(inner_root(folder)).decode()}
    files |= {f"engines/{name}.sh": text for name, text in TEXTS.items()}
    return DebianDisk(PACKAGES, files, size=2 << 30)


def starter(folder: Path) -> Path:
    """An initial file system for Linux, which needs modules to find the disk; it goes on there."""
    files = Archive()
    add_modules(files)
    files.file(
        "init",
        b"#!/bin/sh\nmount -t proc proc /proc; mount -t devtmpfs dev /dev\nsh /etc/start.d/modules\n"
        b"mkdir /disk; mount -t ext2 /dev/vda /disk; umount /proc; mount --move /dev /disk/dev\n"
        b"exec switch_root /disk /bin/bash /engines/init.sh\n",
        0o755,
    )
    path = folder / "initrd.cpio"
    path.write_bytes(extend(INITRAMFS.read_bytes(), files))
    return path


def printed(kernel: Kernel, disk: Path, folder: Path) -> dict[str, str]:
    """What each script prints, in one boot."""
    if kernel is LINUX:
        boot = kernel.boot(starter(folder), "quiet loglevel=1")
    else:
        boot = kernel.boot(None, "root=/dev/vda rw init=/bin/bash quiet loglevel=1 -- /engines/init.sh")
    texts: dict[str, str] = {}
    with Guest(boot, Machine(memory="2G", disks=(Disk(disk),))) as guest:
        for name in NAMES:
            guest.expect(rf"^@begin {name}@\r?\n", 60)
            end = guest.expect(rf"^@end {name}@\r?\n", SECONDS)
            text = end.string[: end.start()].decode(errors="replace").replace("\r", "")
            texts[name] = re.sub(r"\x1b\[[\d;]*m", "", text)
    return texts


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return debian(tmp_path_factory.mktemp("engines")).path()


@pytest.fixture(scope="module")
def krait(disk: Path, kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return printed(KRAIT, disk, tmp_path_factory.mktemp("krait"))


@pytest.fixture(scope="module")
def linux(disk: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    fetch_oracle()

    def answer() -> str:
        return json.dumps(printed(LINUX, disk, tmp_path_factory.mktemp("linux")))

    parts = [disk.name.encode(), LINUX.path.read_bytes(), *(path.read_bytes() for path in module_paths())]
    texts: dict[str, str] = json.loads(kept_answer("engines", parts, answer))
    return texts


def without_times(text: str) -> str:
    """Podman's warnings say how many seconds it has run."""
    return re.sub(r"\b(WARN\[)\d+\]", r"\1]", text)


@pytest.mark.parametrize("name", NAMES)
def test_does_what_it_does_on_linux(linux: dict[str, str], krait: dict[str, str], name: str) -> None:
    assert without_times(krait[name]) == without_times(linux[name])
