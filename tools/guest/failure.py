"""Why QEMU did not run a machine, in one sentence. Nobody asks before it has failed: the question takes as long as a
start.

QEMU's own words are of its options, which the user has not written: where we know what they mean, we say that, and
else what QEMU says first.
"""

from __future__ import annotations

import re
import signal
import subprocess
from dataclasses import dataclass

from tools.errors import CANNOT_RUN, USAGE
from tools.machine import QEMU

OLDEST_QEMU = (8, 0)
_VERSION_S = 10.0
_NO_MEMORY = re.compile(r"cannot (allocate|set up guest) memory|failed to (allocate|map) memory", re.IGNORECASE)
_LISTED = f"`{QEMU} -cpu help` lists what there is"

# What QEMU says, and what we do, with our status. Groups of the one are for the other.
_MEANINGS: tuple[tuple[str, str, int], ...] = (
    (r"unable to find CPU model '(.*)'", rf"QEMU has no processor {{0}}: {_LISTED}", USAGE),
    (r"Property '[^'\n]*-x86_64-cpu\.([^'\n]*)' not found", rf"processors have no property {{0}}: {_LISTED}", USAGE),
    (
        r"Failed to get .* lock\s+Is another process using the image \[(.*)\]",
        "the disk {0} is in use: by another machine, or twice by this one", CANNOT_RUN,
    ),
    (r"-drive .*,file=(.*),format=.*: Failed to (?:get .* lock|lock byte)", "the disk {0} is in use", CANNOT_RUN),
    (
        r"Could not set up host forwarding rule '\w+:[^:']*:(\d+)-", "port {0} of this machine is in use", CANNOT_RUN,
    ),
    (r"gdbstub: couldn't create chardev", "port 1234 of this machine, gdb's, is in use", CANNOT_RUN),
    (
        r"(?:invalid kernel header|without PVH ELF Note|could not (?:load|open) kernel|kernel too old)",
        "QEMU cannot start the kernel: it has no PVH note, and is no bzImage either", CANNOT_RUN,
    ),
    (r"phys-bits too low", "{memory} is more than the guest's processor can reach (-m gives it less)", CANNOT_RUN),
)  # fmt: skip
# What a QEMU that is too old may say, too.
_LACKS: tuple[tuple[str, str, int], ...] = (
    (r"'(.*)' is not a valid device model name", "this QEMU has no device {0}, which the machine needs", CANNOT_RUN),
    (r'unsupported machine type: "(.*)"', "this QEMU has no machine {0}", CANNOT_RUN),
)


@dataclass(frozen=True)
class Reason:
    """One sentence without our name, and our exit status."""

    text: str
    status: int = CANNOT_RUN


def version_of_qemu(program: str = QEMU) -> tuple[int, int]:
    """Major and minor number; zeros if it does not say."""
    try:
        said = subprocess.run(
            [program, "--version"], check=False, capture_output=True, text=True, errors="replace",
            stdin=subprocess.DEVNULL, timeout=_VERSION_S,
        ).stdout  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return 0, 0
    found = re.search(r"version (\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def reason_of(said: str, status: int | None, memory: str) -> Reason | None:
    """Why QEMU ended, if it is known. `said`: what it wrote among its errors; `status`: of its process, or None if it
    goes on; `memory`: what the machine was to have.
    """
    if status is None or status == 0:
        return None
    if _NO_MEMORY.search(said):
        return Reason(f"there is no memory on this machine for a guest with {memory} (-m gives it less)")
    if status == -signal.SIGKILL:
        return Reason("QEMU was killed: by krait rm -f, or because this machine has no memory left")
    if known := _meaning(said, _MEANINGS, memory):
        return known
    version = version_of_qemu()
    if (0, 0) < version < OLDEST_QEMU:
        return Reason(f"QEMU {shown(version)} is too old: {shown(OLDEST_QEMU)} or newer is needed")
    if known := _meaning(said, _LACKS, memory):
        return known
    words = first_words(said)
    if status < 0:
        return Reason(f"QEMU was ended by signal {-status}" + (f": {words}" if words else ""))
    return Reason(f"QEMU does not start the machine: {words}") if words else None


def _meaning(said: str, meanings: tuple[tuple[str, str, int], ...], memory: str) -> Reason | None:
    for words, meaning, status in meanings:
        if found := re.search(words, said):
            return Reason(meaning.format(*(name.replace(",,", ",") for name in found.groups()), memory=memory), status)
    return None


def without_warnings(said: str) -> str:
    """What QEMU wrote among its errors, but for warnings: they are of what its processor lacks, and the program's own
    errors are beside them.
    """
    return "".join(line for line in said.splitlines(keepends=True) if not re.match(r"[\w-]+: warning: ", line))


def first_words(said: str) -> str:
    """The first line of what QEMU wrote, without its name and the option of its own that it is about."""
    line = without_warnings(said).strip().partition("\n")[0]
    return re.sub(r"^qemu[\w-]*: (?:-[a-z]+ .*?: )?", "", line).strip()


def shown(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
