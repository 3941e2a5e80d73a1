"""Debian's ip with network namespaces: names, pairs of interfaces between them, ping and TCP across, as on Linux.

Link addresses are given where they would show, since those that a kernel chooses differ.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness import KRAIT, Batch, Case, Result
from tests.harness.agreement import linux_texts, text_of
from tests.harness.guest import PATIENCE
from tests.harness.scripts import LISTENS
from tools.cpio import Archive
from tools.libraries import add_program
from tools.machine import Machine
from tools.setup import require

pytestmark = pytest.mark.timeout(int(200 * PATIENCE))

PROGRAMS = ("/usr/sbin/ip", "/usr/bin/unshare", "/usr/bin/nsenter")
RED = """\
ip netns add red; ip netns add blue
ip link add left address 02:00:00:00:00:01 type veth peer name right address 02:00:00:00:00:02
ip link set left netns red; ip link set right netns blue
ip -n red address add 10.1.1.1/24 dev left; ip -n red link set left up; ip -n red link set lo up
ip -n blue address add 10.1.1.2/24 dev right; ip -n blue link set right up; ip -n blue link set lo up
"""
SCRIPTS = {
    "names": """\
ip netns list; ip netns add red; echo "status $?"; ip netns add red; echo "status $?"
ip netns add blue; ip netns list | sort
ip netns exec red ip -br link; ip netns exec red sh -c 'ip netns identify $$'
ip netns exec none true; echo "status $?"
ip netns exec red true; echo "status $?"
ip netns exec red sh -c 'exit 7'; echo "status $?"
ip netns set red 5; ip netns list | sort; ip netns list-id | sort
ip -all netns exec ip -o link | sort
ip netns del red; echo "status $?"; ip netns del red; echo "status $?"; ip netns list
ls /run/netns; ip netns del blue; ls /run/netns
""",
    "pair": RED
    + """\
ip -n red -o link show left | sed 's/ *$//'; ip -n blue -o address show right | grep -o 'inet [^ ]*'
ip netns exec red ping -c 2 -W 5 10.1.1.2 | grep -E 'received|ttl' | sed 's/ time=.*//; s/, [0-9]* packets r/ r/'
ip netns exec blue ping -c 1 -W 5 10.1.1.1 | grep -c ttl=64
ip -n red neigh show 10.1.1.2 | grep -o 'lladdr [^ ]*'
ip -n red route; ip -n blue route get 10.1.1.1 | head -1 | sed 's/ uid.*//; s/ *$//'
ping -c 1 -W 1 10.1.1.2 2>&1 | grep -c 'ttl='
ip -n red link set left down; ip -n blue -o link show right | grep -o 'state [A-Z]*'
ip -n red link del left; ip -n blue link | grep -c right; ip netns del red; ip netns del blue
""",
    "tcp": RED
    + """\
ip netns exec blue nc -l -p 7000 -e cat & listens 7000 blue
head -c 3000000 /dev/zero | tr '\\0' k > /tmp/sent
(cat /tmp/sent; until test -e /tmp/came; do sleep 0.1; done) | ip netns exec red nc 10.1.1.2 7000 | head -c 3000000 |
    (cmp - /tmp/sent && echo "the same"; : > /tmp/came)
kill %1 2> /dev/null
ip netns exec red sh -c 'echo x | nc -w 2 10.1.1.2 7001'; echo "status $?"
ip netns exec red cat /proc/net/dev | wc -l; grep -c : /proc/net/dev
""",
    "router": """\
for name in left middle right; do ip netns add $name; ip -n $name link set lo up; done
ip link add v1 netns left type veth peer name v2 netns middle
ip link add v3 netns middle type veth peer name v4 netns right
ip -n left address add 10.1.0.2/24 dev v1; ip -n middle address add 10.1.0.1/24 dev v2
ip -n middle address add 10.2.0.1/24 dev v3; ip -n right address add 10.2.0.2/24 dev v4
for pair in left.v1 middle.v2 middle.v3 right.v4; do ip -n ${pair%.*} link set ${pair#*.} up; done
ip -n left route add default via 10.1.0.1; ip -n right route add default via 10.2.0.1
ip netns exec left ping -c 1 -W 1 10.2.0.2 | grep -c ttl=
ip netns exec middle sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'; cat /proc/sys/net/ipv4/ip_forward
ip netns exec left ping -c 1 -W 5 10.2.0.2 | grep -o ttl=63
ip netns exec right nc -l -p 7000 > /tmp/got & listens 7000 right
head -c 500000 /dev/zero | tr '\\0' r > /tmp/sent; ip netns exec left nc -w 3 10.2.0.2 7000 < /tmp/sent
wait; cmp /tmp/got /tmp/sent && echo "the same"
""",
    "user": """\
unshare -Urn sh -c 'ip -br link; ip link set lo up; ip link add x type dummy; ip -br address show x | cut -c 1-20
    ip address add 10.0.0.1/24 dev x; ip link set x up; ip route; ping -c 1 -W 5 127.0.0.1 | grep -c ttl='
unshare -Un ip link set lo up; echo "status $?"
unshare -U ip link set lo down; echo "status $?"
unshare -n sh -c 'sleep 100 & echo $! > /tmp/pid; wait' & until test -s /tmp/pid; do sleep 0.05; done
ip link add y type dummy; ip link set y netns $(cat /tmp/pid); ip link show y
nsenter -t $(cat /tmp/pid) -n ip -o link show y | cut -c 1-5
kill $(cat /tmp/pid); wait; ip -o link | grep -c ' y:'
""",
}
SURROUNDINGS = "export PATH=/usr/bin:/bin:/usr/sbin:/sbin TERM=dumb HOME=/\nmkdir -p /run /sys\n" + LISTENS


def image() -> Archive:
    require("netns")
    files = Archive()
    for name in PROGRAMS:
        add_program(files, Path(name))
    for name, text in SCRIPTS.items():
        files.file(f"networks/{name}.sh", (SURROUNDINGS + text).encode(), 0o755)
    return files


def batch() -> Batch:
    cases = [Case(name, ("/bin/sh", f"/networks/{name}.sh")) for name in SCRIPTS]
    return Batch(cases, image(), Machine(memory="256M"), needs_modules=True)


@pytest.fixture(scope="module")
def krait() -> dict[str, Result]:
    return batch().run(KRAIT)


@pytest.fixture(scope="module")
def linux(krait: dict[str, Result]) -> dict[str, str]:
    return linux_texts("network_namespaces", batch(), krait, text_of, Path(__file__))


@pytest.mark.parametrize("name", SCRIPTS)
def test_prints_what_it_prints_on_linux(linux: dict[str, str], krait: dict[str, Result], name: str) -> None:
    assert text_of(krait[name]) == linux[name]


def test_they_do_what_they_are_for(linux: dict[str, str]) -> None:
    """Equal outputs could be equally wrong."""
    assert "red (id: 5)" in linux["names"] and "status 7" in linux["names"]
    assert "2 received" in linux["pair"] or "2 packets received" in linux["pair"] or "ttl=64" in linux["pair"]
    assert "the same" in linux["tcp"]
    assert "ttl=63" in linux["router"] and "the same" in linux["router"]
    assert "127.0.0.1" not in linux["user"] and "10.0.0.0/24" in linux["user"]
    assert "timeout" not in "".join(linux.values())
