"""`krait image` looks at a root file system before anything is built: one that is damaged, or would lead out, is
refused.
"""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from tools.image import ImageError, look_at


def archive(path: Path, *names: str, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as output:  # type: ignore[call-overload]  # the modes are literals there
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = 3000
            output.addfile(member, io.BytesIO(bytes(3000)))
    return path


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_what_is_in_an_archive(tmp_path: Path, mode: str) -> None:
    found = look_at(archive(tmp_path / "root.tar", "./sbin/init", "a", mode=mode))
    assert (found.files, found.has_init) == (2, True)


@pytest.mark.parametrize("name", ["../a", "a/../../b"])
def test_a_path_that_leads_out(tmp_path: Path, name: str) -> None:
    with pytest.raises(ImageError, match="leads out of the image"):
        look_at(archive(tmp_path / "root.tar", "a", name))


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
@pytest.mark.parametrize("part", [3, 2])
def test_an_archive_that_was_cut(tmp_path: Path, mode: str, part: int) -> None:
    whole = archive(tmp_path / "root.tar", "a", "b", "c", mode=mode).read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[: len(whole) // part])
    with pytest.raises(ImageError):
        look_at(tmp_path / "cut.tar")


def test_what_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "root.tar").write_bytes(b"nonsense" * 1000)
    with pytest.raises(ImageError, match=r"root.tar is no tar archive"):
        look_at(tmp_path / "root.tar")
