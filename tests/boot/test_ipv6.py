"""The host connects to the guest by IPv6. QEMU's user network forwards no such ports, so a tap device is the wire."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.boot.test_servers import ECHO_SERVER
from tests.harness import Kernel, compile_program
from tests.harness.guest import PATIENCE
from tests.harness.kernels import LINUX, add_modules
from tests.harness.namespace import run_in_namespace
from tools.cpio import Archive, extend

pytestmark = pytest.mark.timeout(int(200 * PATIENCE))

TAPS = "/dev/net/tun"


def test_the_host_connects_by_ipv6(kernel: Kernel, root_image: Path, tmp_path: Path) -> None:
    try:
        os.close(os.open(TAPS, os.O_RDWR))
    except OSError as error:
        pytest.skip(f"no tap devices here: {error}")
    overlay = Archive()
    overlay.file("usr/bin/echo_server", compile_program(ECHO_SERVER).read_bytes(), 0o755)
    if kernel is LINUX:
        add_modules(overlay)
    initrd = tmp_path / "initrd"
    initrd.write_bytes(extend(root_image.read_bytes(), overlay))
    said = run_in_namespace("tests.boot.ipv6_host", kernel.name, str(initrd)).decode().split("\n")
    assert said == ["ping", "echo global", "echo link-local", "http", ""]
