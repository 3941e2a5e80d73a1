"""Initial RAM disks that are kept: made anew when something changed, held while they are replaced, and done without.

Every file lies in a directory of the test's own, and the programs in the image are stand-ins.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import pytest

from tools import lock
from tools.cpio import MAGIC, Archive, members
from tools.errors import KraitError
from tools.freshness import Facts, file_facts, tree_facts
from tools.guest import registry
from tools.images.root import RootFileSystem
from tools.machine import Machine
from tools.run_program import run_program
from userland import image


@pytest.fixture
def skeleton(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the root image is made of: a program. What is kept lies in tmp_path / "build"."""
    build, root = tmp_path / "build", tmp_path / "userland"
    (root / "bin").mkdir(parents=True)
    (root / "bin" / "program").write_bytes(b"one")
    (root / "bin" / "program").chmod(0o644)

    def archive() -> Archive:
        made = Archive()
        made.tree(root)
        return made

    def agent() -> Archive:
        made = Archive()
        made.file("agent", b"agent", 0o755)
        return made

    monkeypatch.setattr(lock, "BUILD", build)
    for name, place in (("ROOT_WITH_AGENT", build / "disks" / "root.cpio"), ("STAMP", build / "disks" / "fresh"),
                        ("AGENT_ALONE", build / "disks" / "agent.cpio"), ("INITRAMFS", build / "initramfs.cpio"),
                        ("INITRAMFS_GZ", build / "initramfs.cpio.gz")):  # fmt: skip
        monkeypatch.setattr(image, name, place)
    monkeypatch.setattr(image, "root_archive", archive)
    monkeypatch.setattr(image, "agent_archive", agent)
    monkeypatch.setattr(image, "_ingredients", lambda: tree_facts(("userland",), tmp_path))
    return root


def contents(made: int | list[bytes]) -> bytes:
    if isinstance(made, list):
        return b"".join(made)
    with open(made, "rb") as file:
        return file.read()


def test_a_ram_disk_is_kept(skeleton: Path) -> None:
    made = image.build_ram_disk(with_root=True)
    before = made.stat()
    kept = image.ram_disk(with_root=True)
    assert isinstance(kept, int) and os.path.samestat(os.fstat(kept), before)
    assert [name for _, name, _ in members(contents(kept))][:3] == ["bin", "bin/program", "agent"]
    alone = contents(image.ram_disk(with_root=False))
    assert alone.startswith(MAGIC) and b"program" not in alone and b"agent" in alone
    assert made.stat().st_mtime_ns == before.st_mtime_ns


def test_it_is_made_anew_when_something_changed(skeleton: Path) -> None:
    program = skeleton / "bin" / "program"
    first = contents(image.ram_disk(with_root=True))
    program.write_bytes(b"other")
    second = contents(image.ram_disk(with_root=True))
    assert second != first and b"other" in second
    program.chmod(0o755)
    third = contents(image.ram_disk(with_root=True))
    assert third != second and b"other" in third
    image.build_ram_disk(with_root=True).write_bytes(b"damaged")
    assert contents(image.ram_disk(with_root=True)) == third


def test_what_was_opened_stays_when_another_run_replaces_it(skeleton: Path) -> None:
    kept = image.ram_disk(with_root=True)
    (skeleton / "bin" / "program").write_bytes(b"of another run")
    assert b"of another run" in contents(image.ram_disk(with_root=True))
    assert b"of another run" not in contents(kept)


def test_one_that_another_run_replaces_before_the_stamp_is_read_is_not_taken(
    skeleton: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image.build_ram_disk(with_root=True)
    (skeleton / "bin" / "program").write_bytes(b"other")
    real, asked = image._is_current, []

    def is_current(ingredients: Facts) -> bool:
        asked.append(ingredients)
        if len(asked) == 1:  # another run makes it now
            image._make(ingredients)
        return real(ingredients)

    monkeypatch.setattr(image, "_is_current", is_current)
    assert b"other" in contents(image.ram_disk(with_root=True))


def test_who_waited_for_the_lock_does_not_make_it_again(skeleton: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ingredients = image._known_ingredients()
    image._make(ingredients)
    monkeypatch.setattr(image, "root_archive", lambda: pytest.fail("made again"))
    image._make(ingredients)


@pytest.mark.parametrize("with_root", [True, False])
def test_where_nothing_can_be_kept_it_is_made_in_memory(skeleton: Path, with_root: bool) -> None:
    expected = contents(image.ram_disk(with_root))
    build = skeleton.with_name("build")
    build.rename(build.with_name("away"))
    build.write_bytes(b"")  # a file: not even root makes a directory there
    made = image.ram_disk(with_root)
    assert isinstance(made, list) and contents(made) == expected


def test_a_disk_that_is_full(skeleton: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.write_bytes

    def write_bytes(path: Path, data: bytes) -> int:
        real(path, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    expected = contents(image.ram_disk(with_root=True))
    (skeleton / "bin" / "program").write_bytes(b"two")
    os.utime(skeleton / "bin" / "program", (0, 0))  # the size is the same, and times may be whole seconds
    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    made = image.ram_disk(with_root=True)
    assert isinstance(made, list) and contents(made) == expected.replace(b"one", b"two")
    assert not list(skeleton.with_name("build").rglob("*.new"))


@pytest.mark.parametrize("detach", [False, True])
def test_what_cannot_be_built_is_told_before_there_is_a_machine(
    skeleton: Path, monkeypatch: pytest.MonkeyPatch, detach: bool
) -> None:
    """In the background, too: the process there has nobody to tell it to."""

    def fail() -> Archive:
        raise KraitError("the agent cannot be built")

    monkeypatch.setattr(image, "agent_archive", fail)
    monkeypatch.setattr(registry, "create", lambda name: pytest.fail("there is a machine"))
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("it goes on in the background"))
    options = argparse.Namespace(
        append="", detach=detach, tty=False, interactive=False, workdir="", user="", hostname="krait", env=[],
        ssh=False, name=None, rm=False,
    )  # fmt: skip
    with pytest.raises(KraitError, match="the agent cannot be built"):
        run_program(options, Machine(), Path("kernel"), RootFileSystem(archive=None, arguments=["true"]))


def test_facts_tell_permissions(tmp_path: Path) -> None:
    (tmp_path / "sources").mkdir()
    file = tmp_path / "sources" / "file"
    file.write_bytes(b"")
    file.chmod(0o644)
    before = file_facts([file]), tree_facts(("sources",), tmp_path)
    assert (file_facts([file]), tree_facts(("sources",), tmp_path)) == before
    file.chmod(0o755)
    assert file_facts([file]) != before[0] and tree_facts(("sources",), tmp_path) != before[1]
