"""Texts for every file of /proc and /sys that can be written, damaged binaries, and damaged file systems: no bug.

KRAIT_FUZZ_TIMES says how many times each, and KRAIT_FUZZ_SEED chooses others.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz_calls.build import fuzzer
from tests.fuzz_calls.rounds import lost, settled
from tests.fuzz_calls.session import Session, bugs, hangs, session
from tests.harness import Kernel
from tests.harness.guest import PATIENCE

TIMES = int(os.environ.get("KRAIT_FUZZ_TIMES", "300"))
SEED = int(os.environ.get("KRAIT_FUZZ_SEED", "1"))

pytestmark = pytest.mark.timeout(int((TIMES * 0.3 + 240) * PATIENCE))


def _small_file_system(image: Path, contents: Path) -> None:
    contents.mkdir()
    (contents / "directory").mkdir()
    (contents / "file").write_bytes(bytes(range(256)) * 300)
    (contents / "directory" / "other").write_bytes(b"text")
    (contents / "link").symlink_to("directory/other")
    for number in range(40):
        (contents / "directory" / f"name-{number:040}").write_bytes(b"x")
    command = ["mke2fs", "-q", "-t", "ext2", "-b", "1024", "-d", str(contents), str(image), "600k"]
    subprocess.run(command, check=True)


@pytest.fixture(scope="module")
def run(kernel: Kernel, root_image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """A guest with what is to be damaged."""
    folder = tmp_path_factory.mktemp("damaged")
    _small_file_system(folder / "image", folder / "contents")
    files = {"usr/share/fuzz/image": folder / "image", "usr/share/fuzz/binary": fuzzer()}
    with session(kernel, root_image, files=files) as session_:
        yield session_


@pytest.mark.parametrize(
    ("kind", "path", "least_good"),
    [
        ("texts", "/proc", TIMES // 3),
        ("executables", "/usr/share/fuzz/binary", TIMES // 3),
        ("images", "/usr/share/fuzz/image", TIMES // 3),
    ],
)
def test_damaged(run: Session, kind: str, path: str, least_good: int) -> None:
    before = run.figures()
    run.count_classes(before)
    output = run.guest.run(f"fuzz_calls {kind} {SEED} {TIMES} {path}", TIMES * 0.1 + 60)
    tried = re.search(r"^@tried (\d+), \d+ calls, (\d+) good$", output, re.MULTILINE)
    assert tried is not None and int(tried[1]) == TIMES, output
    found = bugs(run.guest.log) + hangs(run.guest.log)
    assert not found, "\n".join(f"{each.what}\n{each.text}" for each in found)
    left = lost(before, settled(run, before))
    assert not left, "\n".join(each.text for each in left)
    assert int(tried[2]) >= least_good, "the kernel refused nearly all: nothing was tried"
