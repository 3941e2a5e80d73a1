"""The network card's rows: the guest talks to a program of the host, over a tap device.

A tap device takes the virtio header as it is, so the card offers its checksums and segments in both directions; QEMU
itself only moves frames, and the host's own stack, which is quicker than any guest here, is the peer. So the guest
decides. Each row is measured with a card that offers everything, and with one that offers nothing (`-plain`): there the
guest computes every checksum, cuts every segment, and receives them one by one.

The wall clock depends on what else the host does; so each row also tells the processor time of QEMU's thread that runs
the guest, which includes what the guest makes the device do.

`measure` runs this module as a program in a network namespace of its own, which prints its rows as JSON. What is needed
is /dev/net/tun.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness import KRAIT, LINUX, Guest, Kernel, compile_program
from tests.harness.kernels import add_modules
from tests.harness.namespace import run_in_namespace
from tools.cpio import Archive, extend
from tools.machine import Machine
from tools.paths import INITRAMFS, ROOT

PROGRAM = ROOT / "tests" / "bench" / "bench_network.c"
TAP = "krait0"
HOST, GUEST = "10.77.0.1", "10.77.0.2"
PLAIN = ",csum=off,guest_csum=off,gso=off,host_tso4=off,host_tso6=off,guest_tso4=off,guest_tso6=off,mrg_rxbuf=off"
CARDS = {"": "", "-plain": PLAIN}
ROUNDS = 3
ROUND_NS = 300_000_000


def network_image(kernel: Kernel, row: str = "") -> bytes:
    """The root image with the benchmark, and what /init runs; Linux's has its modules too."""
    overlay = Archive()
    overlay.file("cases/bench_network", compile_program(PROGRAM).read_bytes(), 0o755)
    script = f"#!/bin/sh\nifconfig eth0 {GUEST} netmask 255.255.255.0 up\n/cases/bench_network {HOST} {row}\n"
    overlay.file("krait-run", script.encode(), 0o755)
    if kernel is LINUX:
        add_modules(overlay)
    return extend(INITRAMFS.read_bytes(), overlay)


def machine(cpu: str, options: str = "", extra: tuple[str, ...] = (), accelerator: str = "tcg") -> Machine:
    """A machine whose card ends in the tap device."""
    netdev = f"tap,id=net0,ifname={TAP},script=no,downscript=no,vhost=off"
    card = ("-netdev", netdev, "-device", f"virtio-net-pci,netdev=net0{options}")
    return Machine(cpu=cpu, memory="1G", accelerator=accelerator, extra=(*card, *extra))


@contextmanager
def peer() -> Iterator[None]:
    """The tap device of this namespace, and the program on its host's side."""
    for command in (
        f"tuntap add dev {TAP} mode tap vnet_hdr",
        f"addr add {HOST}/24 dev {TAP}",
        f"link set {TAP} up",
    ):
        subprocess.run(["ip", *command.split()], check=True)
    program = [str(compile_program(PROGRAM)), "peer"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def processor_ns(pid: int, thread: int) -> int:
    """How long a thread has run."""
    return int(Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[0])


def one_round(guest: Guest, thread: int, count: int) -> tuple[int, int]:
    """Have the row's operation done so often: nanoseconds by the guest's clock, and of the thread that runs it."""
    before = processor_ns(guest.pid, thread)
    guest.send(f"{count}\r")
    spent = int(guest.expect(r"@done (\d+)@", 60)[1])
    used = processor_ns(guest.pid, thread) - before
    guest.expect(r"@ready [\w-]+@", 60)
    return spent, used


def run_network(kernel: Kernel, cpu: str, initrd: Path) -> dict[str, float]:
    """One boot with each kind of card."""
    rows: dict[str, float] = {}
    for suffix, options in CARDS.items():
        with Guest(kernel.boot(initrd, "quiet"), machine(cpu, options)) as guest:
            thread = guest.qmp("query-cpus-fast")[0]["thread-id"]
            while (line := guest.expect(r"@ready ([\w-]+)@|@krait-end@ \d+", 60))[1] is not None:
                name = line[1].decode() + suffix
                count = 1
                while (spent := one_round(guest, thread, count)[0]) < ROUND_NS:
                    count = max(2 * count, min(16 * count, ROUND_NS * count // max(spent, 1)))
                times = [one_round(guest, thread, count) for _ in range(ROUNDS)]
                rows[name] = min(spent for spent, _ in times) / count
                rows[f"{name}, processor time (ns)"] = min(used for _, used in times) / count
                guest.send("0\r")
    return rows


def measure(turns: int, cpu: str) -> dict[str, tuple[float, float]]:
    """Rows as (Krait, Linux): the least of all turns."""
    rows = json.loads(run_in_namespace("tests.bench.network", str(turns), cpu))
    return {name: (krait, linux) for name, (krait, linux) in rows.items()}


def main() -> int:
    from tests.bench.__main__ import in_turns

    turns, cpu = int(sys.argv[1]), sys.argv[2]
    with tempfile.TemporaryDirectory() as folder, peer():
        images = {}
        for kernel in (KRAIT, LINUX):
            images[kernel] = Path(folder) / kernel.name
            images[kernel].write_bytes(network_image(kernel))
        print(json.dumps(in_turns(turns, lambda kernel: run_network(kernel, cpu, images[kernel]))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
