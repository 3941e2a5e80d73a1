"""A disk of this machine that is full: one sentence, status 125, and nothing is left behind."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness import Kernel
from tests.harness.guest import PATIENCE
from tools.paths import ROOT

pytestmark = pytest.mark.timeout(int(180 * PATIENCE))

needs_mount = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")
Krait = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def small(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system of 256 KiB, or as the test's parameter says."""
    place = tmp_path / "small"
    place.mkdir()
    options = getattr(request, "param", "size=256k")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"mode=700,{options}", "small", str(place)], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"nothing can be mounted here: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place: Path) -> Path:
    """Take all room, but for no more files than one."""
    filler = place / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    return filler


@pytest.fixture
def krait(kernel: Kernel) -> Krait:
    def call(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [str(ROOT / "krait"), arguments[0]]
        if arguments[0] in ("run", "debug", "profile"):
            command += ["--kernel", str(kernel.path)]
        return subprocess.run(
            [*command, *arguments[1:]], check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL,
            env={**os.environ, **variables}, timeout=100 * PATIENCE,
        )  # fmt: skip

    return call


@needs_mount
@pytest.mark.parametrize("small", ["size=256k,nr_inodes=1", "size=256k,nr_inodes=2", "size=256k,nr_inodes=3",
                                   "size=256k,nr_inodes=4"], indirect=True)
@pytest.mark.parametrize("background", [(), ("-d",)], ids=["before us", "in the background"])
def test_no_room_for_files(small: Path, krait: Krait, background: tuple[str, ...]) -> None:
    """At each step that makes one."""
    done = krait("run", *background, "busybox", "true", XDG_RUNTIME_DIR=str(small))
    assert done.returncode == 125 and "Traceback" not in done.stderr, done.stderr
    assert str(small) in done.stderr or "No space left" in done.stderr, done.stderr  # ours, or QEMU's own
    assert not list(small.iterdir())


@needs_mount
@pytest.mark.parametrize("background", [(), ("-d",)], ids=["before us", "in the background"])
def test_no_room_for_the_state(small: Path, krait: Krait, background: tuple[str, ...]) -> None:
    filler = fill(small)
    done = krait("run", *background, "busybox", "true", XDG_RUNTIME_DIR=str(small))
    assert (done.returncode, done.stdout) == (125, "")
    assert "no space left on device\n" in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert list(small.iterdir()) == [filler]


@needs_mount
def test_a_machine_is_known_though_the_disk_fills_up(small: Path, krait: Krait) -> None:
    place = {"XDG_RUNTIME_DIR": str(small)}
    assert krait("run", "-d", "--name", "it", "busybox", "sleep", "1000", **place).returncode == 0
    fill(small).rename(small / "krait" / "it" / "filler")
    assert krait("exec", "it", "echo", "there", **place).stdout == "there\n"
    assert krait("stop", "it", **place).returncode == 0
    assert "ended (143)" in krait("ps", "-a", **place).stdout
    assert krait("rm", "it", **place).returncode == 0
    assert not list(small.iterdir())


@needs_mount
def test_output_in_the_background_fills_the_disk(small: Path, krait: Krait) -> None:
    place = {"XDG_RUNTIME_DIR": str(small)}
    assert krait("run", "-d", "--name", "it", "busybox", "sh", "-c", "sleep 1; yes", **place).returncode == 0
    krait("logs", "-f", "it", **place)  # until it has ended
    assert "ended (125)" in krait("ps", "-a", **place).stdout
    assert krait("rm", "it", **place).returncode == 0
    assert not list(small.iterdir())


@needs_mount
def test_no_room_for_temporary_files(small: Path, krait: Krait, tmp_path: Path) -> None:
    filler = fill(small)
    done = krait("run", "busybox", "true", TMPDIR=str(small), XDG_RUNTIME_DIR="")
    assert done.returncode == 125 and done.stderr.count("\n") == 1, done.stderr
    done = krait("debug", "--", "-batch", TMPDIR=str(small))  # has no files but a socket's name
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    assert list(small.iterdir()) == [filler]


@pytest.mark.parametrize("script", ["echo hi", "yes", "echo hi; exit 3"])
def test_output_that_cannot_be_stored(kernel: Kernel, script: str) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [str(ROOT / "krait"), "run", "--kernel", str(kernel.path), "--command", script], check=False, stdout=full,
            stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL, timeout=100 * PATIENCE,
        )  # fmt: skip
    sentence = "krait: what the program printed cannot be written: no space left on device\n"
    assert (done.returncode, done.stderr) == (125, sentence)
