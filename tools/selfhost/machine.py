"""A machine in which Krait is built, from the host's side: it boots with a disk (disks.py) and the copy of the
checkout, and carries out requests (inside.py). What programs print there arrives line by line.
"""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from tools.cpio import Archive, extended
from tools.errors import KraitError
from tools.guest.running import Running, running
from tools.images.store import Kept
from tools.machine import DirectBoot, Disk, Machine, Share
from tools.selfhost.disks import HERE_IN_GUEST
from userland.image import build_image

MARK = "@self "
ANSWER = re.compile(re.escape(MARK) + r"(\{.*\})")
TRAP = re.compile(r"Kernel (bug|panic)\s*$")
KEPT_LINES = 40  # of what the machine printed, for a message
INITRD = "build/start/initrd"  # in the checkout: for a kernel that the guest starts
# Before the machine's Python can start. The checkout is a directory of the host, or else the second disk.
PREPARE = """\
#!/bin/sh
mount -t ext2 /dev/vda /mnt || exit 1
mount -t proc proc /mnt/proc
mount -t sysfs sys /mnt/sys
mount -o bind /dev /mnt/dev
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /mnt/dev/pts
mount -t tmpfs -o mode=1777 shm /mnt/dev/shm
mkdir -p /mnt{place}
mount {checkout} /mnt{place} || exit 1
ifconfig lo 127.0.0.1 up
chroot /mnt /bin/sh -c 'cd {place} && exec "$@"' sh {command}
"""
SHARED = f"-t 9p -o trans=virtio,version=9p2000.L,msize=262144 {Share.tag(0)}"
SECOND_DISK = "-t ext2 /dev/vdb"


class MachineEnded(KraitError):
    """The machine stopped before it had done what was asked."""


@dataclass(frozen=True)
class Done:
    """How a program ended in the machine: its status, and the seconds that it took by the guest's clock, those that it
    and its children spent in user mode, and those in the kernel.
    """

    status: int
    elapsed: float
    user: float
    system: float

    @property
    def kernel_share(self) -> float:
        """Which part of the processor time was the kernel's, from 0 to 1."""
        used = self.user + self.system
        return self.system / used if used else 0.0


@dataclass(kw_only=True)
class Setup:
    """What a machine is made of."""

    kernel: Path
    disk: Kept  # this Python's
    checkout: Path  # a directory, which is shared; or the image of a disk, whose changes are thrown away
    memory: str
    processors: int = 1
    generation: int = 0  # of the kernel: how many times Krait was built on Krait to get it
    parameters: str = "quiet"
    files: Archive = field(default_factory=Archive)  # beside the root image's

    def parameter_line(self, generation: int) -> str:
        words = ["console=ttyS0", "panic=-1", self.parameters]
        words += [f"maxcpus={self.processors}"] if self.processors > 1 else []
        words += [f"generation={generation}"] if generation else []
        return " ".join(word for word in words if word)

    def preparation(self) -> str:
        """The shell script that the first process runs."""
        environment = {**self.disk.configuration.environment, "HOME": "/root", "TERM": "dumb", "PYTHONPATH": "."}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # the next process is spared it, and the next machine
        words = ["/usr/bin/env", "-i", *(f"{name}={value}" for name, value in environment.items()), sys.executable,
                 "tools/selfhost/inside.py", MARK]  # fmt: skip
        return PREPARE.format(
            place=HERE_IN_GUEST, checkout=SHARED if self.checkout.is_dir() else SECOND_DISK, command=shlex.join(words)
        )


def print_line(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class SelfMachine:
    """Use it in a `with` statement: it ends there. `show` gets each line that is printed in it."""

    def __init__(self, setup: Setup) -> None:
        self.show: Callable[[str], None] = print_line
        self._setup = setup
        self._stack = contextlib.ExitStack()
        self._buffer = b""
        self._last: list[str] = []
        self.has_trapped = False
        self.generation = 0
        self.version = ""

    def __enter__(self) -> SelfMachine:
        setup = self._setup
        overlay = Archive({**setup.files.entries})
        overlay.file("krait-run", setup.preparation().encode(), 0o755)
        image = extended(build_image().read_bytes(), overlay)
        is_shared = setup.checkout.is_dir()
        if is_shared:
            initrd = setup.checkout / INITRD
            initrd.parent.mkdir(parents=True, exist_ok=True)
            initrd.write_bytes(b"".join(image))
        machine = Machine(
            memory=setup.memory, processors=setup.processors, extra=("-name", "krait,debug-threads=on"),
            disks=(Disk(setup.disk.disk), *(() if is_shared else (Disk(setup.checkout),))),
            shares=(Share(setup.checkout, HERE_IN_GUEST),) if is_shared else (),
        )  # fmt: skip
        place = Path(tempfile.mkdtemp(prefix="krait-self-"))

        def command(initrd: Path) -> list[str]:
            return machine.command(DirectBoot(setup.kernel, initrd, setup.parameter_line(setup.generation)), place)

        try:
            self._machine: Running = self._stack.enter_context(
                running(command, image, place, is_mmio=False, clean=lambda: shutil.rmtree(place, ignore_errors=True))
            )
            self._greet()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._tell({"end": True})
                self._machine.wait_for_power_off()
        finally:
            self._stack.close()
        if kind is None and self.has_trapped:
            raise KraitError("krait: the kernel had a bug meanwhile (see above)")

    def run(self, words: list[str], environment: Mapping[str, str] | None = None) -> Done:
        """Run a program in the checkout there. Raises MachineEnded."""
        answer = self._ask({"run": words, "environment": dict(environment or {})})
        return Done(int(answer["status"]), answer["elapsed"], answer["user"], answer["system"])

    def start(self, kernel: str, generation: int) -> None:
        """Let it go on in another kernel, a file of the checkout. Raises KraitError if that is none."""
        line = self._setup.parameter_line(generation)
        place = Path(HERE_IN_GUEST)
        self._tell({"start": str(place / kernel), "initrd": str(place / INITRD), "line": line})
        self._greet()
        if self.generation != generation:
            raise KraitError(f"krait: the machine says that it is generation {self.generation}, not {generation}")

    def processor_ns(self) -> int:
        """How long QEMU's threads that run the guest's processors have run, by the host's scheduler."""
        total = 0
        for task in Path(f"/proc/{self._machine.qemu.pid}/task").iterdir():
            with contextlib.suppress(OSError):
                if (task / "comm").read_text().startswith("CPU "):
                    total += int((task / "schedstat").read_text().split()[0])
        return total

    def _greet(self) -> None:
        answer = self._answer()
        if "error" in answer:
            raise KraitError(f"krait: the machine cannot start the kernel: {answer['error']}")
        self.generation, self.version = answer["generation"], answer["version"]

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        self._tell(request)
        return self._answer()

    def _tell(self, request: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # one that has ended says so when it is read
            self._machine.log.sendall(json.dumps(request).encode() + b"\n")

    def _answer(self) -> dict[str, Any]:
        """Show what comes, until the machine answers."""
        for line in self._lines():
            found = ANSWER.search(line)
            if found:
                answer: dict[str, Any] = json.loads(found[1])
                return answer
            self.has_trapped = self.has_trapped or TRAP.search(line) is not None
            self._last = [*self._last[1 - KEPT_LINES :], line]
            self.show(line)
        said = "\n".join([*self._last, *self._machine.said().splitlines()])
        raise MachineEnded(f"krait: the machine stopped. It had printed:\n{said}" if said else "krait: no machine")

    def _lines(self) -> Iterator[str]:
        """What is printed, until the serial line is closed."""
        while True:
            line, newline, rest = self._buffer.partition(b"\n")
            if newline:
                self._buffer = rest
                text = line.decode(errors="replace").rstrip("\r")
                if text not in ("@krait-begin@", ""):
                    yield text
                continue
            try:
                data = self._machine.log.recv(65536)
            except OSError:
                data = b""
            if not data:
                return
            self._buffer += data


