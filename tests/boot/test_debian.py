"""The image `debian:13`: mmdebstrap makes it, once; then it is a Debian like any other.

Making it takes a minute and a mirror of Debian, so `make test` tries a suite alone that there is not: KRAIT_DEBIAN=13
is the long form.
"""

from __future__ import annotations

import os

import pytest

from tests.boot.test_front_end import run
from tests.harness import Kernel
from tests.harness.guest import PATIENCE
from tools.images.make import make_image
from tools.images.resolve import Kind, Target

SUITE = os.environ.get("KRAIT_DEBIAN", "")

pytestmark = pytest.mark.timeout(int(600 * PATIENCE))

LOOK = """
. /etc/os-release; echo $ID $VERSION_ID; dpkg -l | grep -c '^ii'; apt-get --version | head -1 | cut -d' ' -f1
perl -e 'print 6 * 7, "\\n"'; su -s /bin/sh -c 'id -un; touch /etc/x 2>&1 | grep -o denied' nobody
adduser --quiet --disabled-password --gecos '' somebody 2>/dev/null || useradd -m somebody; id -u somebody
dpkg --configure -a && dpkg -s dpkg | sed -n 's/^Status: //p'
tar c /usr/share/doc 2>/dev/null | gzip | gunzip | tar t | head -1
"""


@pytest.mark.skipif(not SUITE, reason="KRAIT_DEBIAN names no suite: it takes a minute")
def test_a_debian(kernel: Kernel) -> None:
    name = f"debian:{SUITE}"
    make_image(Target(Kind.IMAGE, name))  # not while a guest's time limit runs
    done = run(kernel, "-m", "512M", name, "bash", "-c", LOOK, status=0)
    release, packages, *rest = done.stdout.splitlines()
    assert release == f"debian {SUITE}" and int(packages) > 70
    assert rest == ["apt", "42", "nobody", "denied", "1000", "install ok installed", "usr/share/doc/"], done.stderr


def test_a_suite_that_is_none(kernel: Kernel) -> None:
    done = run(kernel, "debian:nonesuch", "true", status=125)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("krait: ")]  # what took long
    assert len(lines) == 1 and lines[0].startswith("krait run: debian:nonesuch: mmdebstrap failed: ")
    assert not lines[0].endswith("mmdebstrap failed to run")  # that is no reason
