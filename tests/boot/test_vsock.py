"""virtio-vsock in QEMU: programs of the guest and of the host connect to each other, and what one sends the other gets.

The host's side is `tests/harness/vhost_vsock.py`.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import LINUX, Guest, Kernel, compile_program
from tests.harness.guest import PATIENCE
from tests.harness.kernels import add_modules
from tests.harness.vhost_vsock import HOST, SEQUENCED, STREAM, Connection, Host
from tools.cpio import Archive, extend
from tools.machine import Machine
from tools.paths import ROOT

pytestmark = pytest.mark.timeout(int(180 * PATIENCE))

SOURCE = ROOT / "tests" / "boot" / "vsock_peer.c"
CID = 42
MIB = 1 << 20


@pytest.fixture(scope="module")
def image(kernel: Kernel, root_image: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    overlay = Archive()
    overlay.file("vsock_peer", compile_program(SOURCE).read_bytes(), 0o755)
    if kernel is LINUX:
        add_modules(overlay)
    image = tmp_path_factory.mktemp("vsock") / "image"
    image.write_bytes(extend(root_image.read_bytes(), overlay))
    return image


@pytest.fixture(scope="module", params=["q35", "microvm"])
def pair(
    request: pytest.FixtureRequest, kernel: Kernel, image: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Host, Guest]]:
    """A host, and a guest at its prompt: one with the device on PCI, and one where its registers lie in memory."""
    with Host(tmp_path_factory.mktemp("vhost") / "socket", CID) as host:
        extra = host.arguments("256M", mmio=request.param == "microvm")
        machine = Machine(type=request.param, memory="256M", extra=extra)
        with Guest(kernel.boot(image, "quiet"), machine) as guest:
            guest.expect_prompt(60)
            yield host, guest


def echo(end: Connection, count: int) -> None:
    done = 0
    while done < count:
        piece = end.receive(min(65536, count - done))
        if not piece:
            return
        end.send(piece)
        done += len(piece)


def test_the_guest_knows_its_context(pair: tuple[Host, Guest]) -> None:
    _, guest = pair
    assert guest.check("/vsock_peer cid") == f"context {CID}\n"


def test_the_guest_connects_and_4_mib_come_back(pair: tuple[Host, Guest]) -> None:
    host, guest = pair
    host.listen(7000)
    accepted: list[Connection] = []

    def serve() -> None:
        end = host.accept(7000)
        accepted.append(end)
        echo(end, 4 * MIB)

    server = threading.Thread(target=serve)
    server.start()
    guest.send(f"/vsock_peer send 7000 {4 * MIB}\r")
    server.join(100 * PATIENCE)
    assert not server.is_alive()
    with host.news:
        assert host.news.wait_for(lambda: accepted[0].peer_ended & 2, 30 * PATIENCE)
    accepted[0].shut_down(2)
    guest.expect(f"{4 * MIB} bytes came back, then 0", 60)
    guest.expect_prompt(10)
    with host.news:
        assert host.news.wait_for(lambda: accepted[0].was_reset, 30 * PATIENCE), "the end was not answered"


@pytest.mark.parametrize("kind", [STREAM, SEQUENCED])
def test_the_host_connects_and_what_it_sends_comes_back(pair: tuple[Host, Guest], kind: int) -> None:
    host, guest = pair
    port = 7000 + kind
    guest.send(f"/vsock_peer echo {port}{' seq' if kind == SEQUENCED else ''}\r")
    guest.expect("listening", 10)
    end = host.connect(port, kind)
    guest.expect(f"from context {HOST}", 10)
    data = random.Random(kind).randbytes(4 * MIB if kind == STREAM else 60_000)
    if kind == SEQUENCED:
        for size in (1, 100, 5000, 60_000):
            end.send(data[:size])
            assert end.receive(1 << 20) == data[:size]
    else:
        sender = threading.Thread(target=end.send, args=(data, 100 * PATIENCE))
        sender.start()
        assert end.receive(len(data), 100 * PATIENCE) == data
        sender.join()
    end.shut_down(2)
    guest.expect("echoed [0-9]+ bytes, then 0", 30)
    guest.expect_prompt(10)


def test_nobody_listens(pair: tuple[Host, Guest]) -> None:
    host, guest = pair
    assert guest.check("/vsock_peer refused 7999") == "Connection reset by peer\n"
    with pytest.raises(ConnectionResetError):
        host.connect(7999)


def test_the_host_resets(pair: tuple[Host, Guest]) -> None:
    host, guest = pair
    guest.send("/vsock_peer wait 7010\r")
    guest.expect("listening", 10)
    end = host.connect(7010)
    guest.expect("from context", 10)
    end.reset()
    guest.expect("0, -1 Broken pipe", 10)
    guest.expect_prompt(10)


def test_packets_that_lie_are_refused(pair: tuple[Host, Guest]) -> None:
    """Unknown connections, kinds and operations, lengths that are not there: each is dropped or refused, and the guest
    goes on.
    """
    host, guest = pair
    for i in range(3000):
        host.send_raw(HOST, CID, 6000 + i % 7, 7100, STREAM, i % 12)
        host.send_raw(HOST, CID, 6000, 7100, i % 5, 1)
        host.send_raw(i % 4, CID + i % 3, 6000, 7100, STREAM, 5, data=b"x" * (i % 100))
        host.send_raw(HOST, CID, 6000, 7100, STREAM, 5, length=0xFFFF_FFFF - i)
        host.send_raw(HOST | 1 << 40, CID, 6000, 7100, STREAM, 1)
    with host.news:
        assert host.news.wait_for(lambda: host.refused > 1000, 60)
    assert guest.check("/vsock_peer refused 7999") == "Connection reset by peer\n"
