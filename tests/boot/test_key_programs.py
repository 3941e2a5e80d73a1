"""Debian's keyctl, as it is: it prints here what it prints on Linux.

Serial numbers differ, so names stand for them before the two are compared.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.harness import KRAIT, Batch, Case, Result
from tests.harness.agreement import linux_texts
from tests.harness.guest import PATIENCE
from tools.cpio import Archive
from tools.libraries import add_program
from tools.machine import Machine
from tools.setup import require

pytestmark = pytest.mark.timeout(int(200 * PATIENCE))

PROGRAM = Path("/usr/bin/keyctl")
SCRIPTS = {
    "session": """\
keyctl session named sh -c 'keyctl show; keyctl rdescribe @s; keyctl session - keyctl rdescribe @s'
keyctl session - sh -c 'keyctl show @s; keyctl new_session > /dev/null; keyctl rdescribe @s; keyctl show'
keyctl session - sh -c 'keyctl add user a 1 @t; keyctl show @t; keyctl add user b 2 @p; keyctl show @u'
""",
    "keys": """\
exec keyctl session - sh /keys/inside.sh
""",
    "user": """\
exec setpriv --reuid 1000 --regid 1000 --clear-groups keyctl session - sh /keys/user.sh
""",
}
PARTS = {
    "inside": """\
id=$(keyctl add user 'my key' secret @s)
keyctl print $id; keyctl pipe $id | od -c; keyctl describe $id; keyctl rdescribe $id ,; keyctl list @s; keyctl show
keyctl update $id 'another secret'; keyctl print $id; printf 'from a pipe' | keyctl pupdate $id; keyctl print $id
ring=$(keyctl newring ring @s)
keyctl link $id $ring; keyctl list $ring; keyctl rlist $ring; keyctl unlink $id $ring; keyctl list $ring
keyctl link $ring $ring; keyctl link @s $ring
test $(keyctl search @s user 'my key') = $id && echo found
test $(keyctl request user 'my key') = $id && echo found; keyctl request user none; keyctl request2 user none info
keyctl list @s | wc -l
keyctl timeout $id 1000; keyctl setperm $id 0x3f3f0000; keyctl chgrp $id 7; keyctl rdescribe $id
keyctl move $id @s $ring; keyctl list $ring; keyctl move $id @s $ring
keyctl revoke $id; keyctl print $id; keyctl describe $id; keyctl update $id x
keyctl clear $ring; keyctl list $ring; keyctl restrict_keyring $ring; keyctl add user x y $ring
keyctl add logon plain x @s; logon=$(keyctl add logon service:x secret @s); keyctl print $logon; keyctl describe $logon
keyctl invalidate $logon; sleep 0.2; keyctl describe $logon
keyctl instantiate $ring x @s; keyctl reject $ring 10 expired @s; keyctl assume 0; keyctl security $ring; echo
keyctl get_persistent @s > /dev/null; keyctl list @s | grep -c _persistent
keyctl unlink 12345 @s; keyctl print 0; keyctl add bad x y @s; keyctl padd user big @s < /bin/busybox
""",
    "user": """\
keyctl rdescribe @u; keyctl rdescribe @us; keyctl rdescribe @s
id=$(keyctl add user mine secret @u); keyctl list @u; keyctl chown $id 0; keyctl get_persistent @s 0
i=0; while keyctl add user key$i 0123456789 @u > /dev/null 2> /tmp/refused; do i=$((i + 1)); done
cat /tmp/refused; test $i -gt 190 && test $i -lt 200 && echo "about 200"
grep ' 1000:' /proc/key-users | cut -d' ' -f5-; keyctl clear @u; sleep 0.2; keyctl list @u
""",
}
SURROUNDINGS = "export PATH=/usr/bin:/bin:/usr/sbin:/sbin HOME=/\nexec 2>&1\n"


def image() -> Archive:
    require("keys")
    files = Archive()
    for path in (PROGRAM, Path("/usr/bin/setpriv")):
        add_program(files, path)
    for name, text in PARTS.items():
        files.file(f"keys/{name}.sh", (SURROUNDINGS + text).encode(), 0o755)
    for name, text in SCRIPTS.items():
        files.file(f"keys/run_{name}.sh", (SURROUNDINGS + text).encode(), 0o755)
    return files


def text_of(result: Result) -> str:
    """The output with names for serial numbers, in the order of their appearance."""
    numbers: dict[str, str] = {}
    output = result.output.replace("\r", "")
    output = re.sub(r"\d{6,10}", lambda match: numbers.setdefault(match.group(), f"K{len(numbers)}"), output)
    output = re.sub(r"^ +", "", output, flags=re.MULTILINE)  # columns are as wide as their numbers
    return re.sub(r"  +", " ", output) + f"{result.ending}{result.log}"


def batch() -> Batch:
    cases = [Case(name, ("/bin/sh", f"/keys/run_{name}.sh")) for name in SCRIPTS]
    return Batch(cases, image(), Machine(memory="256M"))


@pytest.fixture(scope="module")
def krait() -> dict[str, Result]:
    return batch().run(KRAIT)


@pytest.fixture(scope="module")
def linux(krait: dict[str, Result]) -> dict[str, str]:
    return linux_texts("key_programs", batch(), krait, text_of, Path(__file__))


@pytest.mark.parametrize("name", SCRIPTS)
def test_prints_what_it_prints_on_linux(linux: dict[str, str], krait: dict[str, Result], name: str) -> None:
    assert text_of(krait[name]) == linux[name]


def test_they_do_what_they_are_for(linux: dict[str, str]) -> None:
    """Equal outputs could be equally wrong."""
    assert "named" in linux["session"] and "another secret" in linux["keys"] and "found\nfound" in linux["keys"]
    assert "Key has been revoked" in linux["keys"] and "Disk quota exceeded" in linux["user"]
    assert "timeout" not in "".join(linux.values())
