"""Show where the kernel ran longest without a safe point: `python -m tests.stretches 'COMMAND' …`.

Boots the root image and runs each command in its shell; the longest stretches of each follow, with the lines in which
they were spent and a traceback. `--program FILE.c` compiles a C program and puts it into /usr/bin first.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.harness import KRAIT, Guest, compile_program
from tests.stretches import Recorder
from tests.stretches.recording import INTERVAL
from tools.cpio import Archive, extend
from tools.kernel_build import build_kernel
from userland.image import build_image


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.stretches", description=__doc__)
    parser.add_argument("command", nargs="+", help="what the shell is to run; `boot` stands for the time before")
    parser.add_argument("--program", type=Path, action="append", default=[], help="a C file, made a program")
    parser.add_argument("--top", type=int, default=3, help="how many stretches are shown for a command")
    parser.add_argument("--memory", default="256M")
    parser.add_argument("--interval", type=int, default=INTERVAL, help="instructions between looks at the stack")
    options = parser.parse_args()
    build_kernel("release")
    files = Archive()
    for source in options.program:
        files.file(f"usr/bin/{source.stem}", compile_program(source.resolve()).read_bytes(), 0o755)
    with tempfile.TemporaryDirectory() as folder:
        initrd = Path(folder) / "initrd"
        initrd.write_bytes(extend(build_image().read_bytes(), files))
        recorder = Recorder(Path(folder), options.interval)
        with Guest(KRAIT.boot(initrd, "quiet"), recorder.machine(options.memory)) as guest:
            guest.expect_prompt(60)
            for command in options.command:
                if command != "boot":
                    recorder.new()
                    guest.send(f"{command}\r")
                    print(guest.expect_prompt(600).decode(errors="replace"))
                stretches = recorder.new()
                print(f"{command}: {len(stretches)} stretches of {options.interval:,} instructions or more")
                for stretch in stretches[: options.top]:
                    print(stretch.describe(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
