"""Images: layers over each other, whiteouts, and archives that would do harm or are damaged."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import tarfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from tools.errors import KraitError, UsageError
from tools.images import archives, resolve, store
from tools.images.layers import ImageError, Tree
from tools.images.make import make_image
from tools.images.resolve import Kind, Target
from tools.setup import require

Files = dict[str, object]


def tar(files: Files) -> bytes:
    """An archive: text is a file, None a directory, ("link", …) and others are what they say."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, what in files.items():
            member = tarfile.TarInfo(name)
            data = b""
            if what is None:
                member.type, member.mode = tarfile.DIRTYPE, 0o750
            elif isinstance(what, str):
                data = what.encode()
                member.size = len(data)
            elif isinstance(what, tuple):
                kinds = {"link": tarfile.LNKTYPE, "symlink": tarfile.SYMTYPE, "device": tarfile.CHRTYPE}
                member.type, member.linkname = kinds[what[0]], what[1]
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def laid(*layers: Files) -> dict[str, str]:
    """What the layers give: a file's text, or what else it is."""
    tree = Tree()
    with ExitStack() as stack:
        for number, layer in enumerate(layers):
            archive = stack.enter_context(tarfile.open(fileobj=io.BytesIO(tar(layer))))
            tree.apply(archive, f"layer {number}")
        found = {}
        for path, node in tree.files():
            if node.header.isreg():
                contents = tree._contents(node)
                assert contents is not None
                found[path] = contents.read().decode()
            else:
                found[path] = node.header.linkname or "/"
        return found


def test_the_last_layer_wins() -> None:
    assert laid({"a": "1", "d": None, "d/b": "2"}, {"a": "3", "d": None, "d/c": "4"}) == {
        "a": "3", "d": "/", "d/b": "2", "d/c": "4",
    }  # fmt: skip


def test_whiteouts_take_away_what_was_below() -> None:
    assert laid({"d/a": "1", "d/b": "2", "e/f/g": "3"}, {"d/.wh.a": "", "e/.wh.f": ""}) == {
        "d": "/", "d/b": "2", "e": "/",
    }  # fmt: skip
    assert laid({"d/a": "1"}, {"d/a": "2", "d/.wh.a": ""}) == {"d": "/", "d/a": "2"}
    assert laid({"d/a": "1", "d/b": "2"}, {"d/new": "3", "d/.wh..wh..opq": ""}) == {"d": "/", "d/new": "3"}
    assert laid({"a": "1"}, {".wh.b": ""}) == {"a": "1"}


def test_paths_lead_through_the_links_of_lower_layers() -> None:
    assert laid({"usr/lib": None, "lib": ("symlink", "usr/lib")}, {"lib/x": "1"}) == {
        "lib": "usr/lib", "usr": "/", "usr/lib": "/", "usr/lib/x": "1",
    }  # fmt: skip
    assert "etc/x" in laid({"a": ("symlink", "../../../etc")}, {"a/x": "1"})


def test_hard_links_keep_what_they_were_made_of() -> None:
    layers: tuple[Files, Files] = ({"a": "1", "b": ("link", "a")}, {"a": "2"})
    assert laid(*layers) == {"a": "2", "b": "1"}
    assert laid({"a": "1", "b": ("link", "a")}, {".wh.a": ""}) == {"b": "1"}


def test_all_names_of_a_file_say_the_same_of_it(tmp_path: Path) -> None:
    """mke2fs gives the file the mode, the owner and the time of the last name's header."""
    made = tarfile.TarInfo("program")
    made.mode, made.uid, made.mtime, made.size = 0o4755, 7, 1_700_000_000, 4
    other = tarfile.TarInfo("another")
    other.type, other.linkname = tarfile.LNKTYPE, "program"
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(made, io.BytesIO(b"text"))
        archive.addfile(other)
    tree = Tree()
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as archive:
        tree.apply(archive, "it")
        tree.write(tmp_path / "root.tar")
    with tarfile.open(tmp_path / "root.tar") as written:
        members = written.getmembers()
    assert [(each.name, each.islnk(), each.size) for each in members] == [("another", False, 4), ("program", True, 0)]
    assert {(each.mode, each.uid, each.mtime) for each in members} == {(0o4755, 7, 1_700_000_000)}


def test_files_give_way_to_directories_and_back() -> None:
    assert laid({"a": "1"}, {"a": None, "a/b": "2"}) == {"a": "/", "a/b": "2"}
    assert laid({"a/b": "2"}, {"a": "1"}) == {"a": "1"}


@pytest.mark.parametrize("layer", [
    {"../x": "1"}, {"a/../../x": "1"}, {".wh.": ""}, {".wh...": ""}, {"d/.wh..": ""}, {"/": "file"},
    {"x": ("device", "")}, {"sub/sda": ("device", "")}, {"a": ("link", "nothing")}, {"a": ("link", "../../etc/passwd")},
    {"a": ("symlink", "b"), "b": ("symlink", "a"), "a/x": "1"}, {"x" * 256: "1"}, {f"a/{'ä' * 128}/b": "1"},
])  # fmt: skip
def test_layers_that_would_do_harm(layer: Files) -> None:
    with pytest.raises(ImageError):
        laid({"ok": "1"}, layer)


def test_devices_of_dev_are_passed_over() -> None:
    assert laid({"dev/null": ("device", ""), "dev/x": "1"}) == {"dev": "/", "dev/x": "1"}


# ---- Whole images ----


def oci(directory: Path, *layers: bytes) -> Path:
    """An OCI layout of these layers."""
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def add(data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return f"sha256:{digest}"

    settings = {"Env": ["A=b=c"], "Entrypoint": ["/run"], "Cmd": ["x"], "WorkingDir": "/w", "User": "7"}
    configuration = {"digest": add(json.dumps({"config": settings}).encode())}
    manifest = {"config": configuration, "layers": [{"digest": add(each)} for each in layers]}
    other = {"digest": "sha256:" + "0" * 64, "platform": {"os": "linux", "architecture": "arm64"}}
    mine = {"digest": add(json.dumps(manifest).encode()), "platform": {"os": "linux", "architecture": "amd64"}}
    (directory / "index.json").write_text(json.dumps({"manifests": [other, mine]}))
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return directory


@pytest.fixture(autouse=True, scope="module")
def packages() -> None:
    require("image")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(store, "require", lambda group: None)
    return tmp_path / "cache" / "krait" / "images"


def listed(disk: Path, path: str) -> str:
    done = subprocess.run(["debugfs", "-R", f"cat {path}", str(disk)], check=True, capture_output=True, text=True)
    return done.stdout


def saved(path: Path, layers: list[bytes], digests: list[str] | None = None) -> Path:
    """What `docker save` writes."""
    ids = digests or [f"sha256:{hashlib.sha256(each).hexdigest()}" for each in layers]
    configuration = {"config": {"Cmd": "echo hi"}, "rootfs": {"diff_ids": ids}}
    names = [f"{number}/layer.tar" for number in range(len(layers))]
    files = {"manifest.json": json.dumps([{"Config": "c.json", "Layers": names}]).encode(),
             "c.json": json.dumps(configuration).encode(), **dict(zip(names, layers, strict=True))}  # fmt: skip
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def test_an_oci_layout(tmp_path: Path) -> None:
    layout = oci(tmp_path / "layout", tar({"etc/a": "1"}), tar({"etc/a": "2"}))
    entry = make_image(resolve.find(str(layout)))
    assert listed(entry.disk, "/etc/a") == "2"
    assert (entry.configuration.entrypoint, entry.configuration.command) == (("/run",), ("x",))
    assert (entry.configuration.directory, entry.configuration.user) == ("/w", "7")
    assert entry.configuration.environment == {"A": "b=c"}
    assert [each.key for each in store.kept()] == [entry.key]
    assert make_image(resolve.find(str(layout))).created == entry.created, "it was made again"


def test_what_docker_saves(tmp_path: Path) -> None:
    entry = make_image(resolve.find(str(saved(tmp_path / "x.tar", [tar({"a": "1", "b": "2"}), tar({".wh.b": ""})]))))
    assert listed(entry.disk, "/a") == "1" and listed(entry.disk, "/b") == ""
    assert entry.configuration.command == ("/bin/sh", "-c", "echo hi")


@pytest.mark.parametrize("tool", ["cat", "gzip", "xz", "zstd", "bzip2"])
def test_a_root_file_system_however_it_is_compressed(tmp_path: Path, tool: str) -> None:
    path = tmp_path / "root.tar.x"
    packed = subprocess.run([tool], input=tar({"./etc/a": "text"}), check=True, capture_output=True).stdout
    path.write_bytes(packed)
    target = resolve.find(str(path))
    assert target.kind is Kind.IMAGE and listed(make_image(target).disk, "/etc/a") == "text"
    path.write_bytes(packed[: len(packed) // 2 if tool != "cat" else 1024])
    with pytest.raises(KraitError):
        make_image(resolve.find(str(path)))


MEMBERS: Files = {"etc": None, "etc/a": "text" * 300, "etc/b": "b", "link": ("symlink", "etc/a"), "z": "z" * 512}
MEMBERS_END = 512 + (512 + 3 * 512) + 2 * 512 + 512 + 2 * 512  # bytes of headers and contents


@pytest.mark.parametrize("cut", [
    *range(512, MEMBERS_END + 1, 512),  # between blocks: after a header, within contents, after a member
    *(at + 1 for at in range(512, MEMBERS_END, 512)), *(at + 511 for at in range(512, MEMBERS_END + 1, 512)),
])  # fmt: skip
def test_a_plain_archive_is_refused_wherever_it_is_cut(tmp_path: Path, cache: Path, cut: int) -> None:
    whole = tar(MEMBERS)
    assert whole[:MEMBERS_END].strip(b"\0") and not whole[MEMBERS_END:].strip(b"\0")
    (tmp_path / "root.tar").write_bytes(whole[:cut])
    with pytest.raises(KraitError) as caught:
        make_image(resolve.find(str(tmp_path / "root.tar")))
    assert caught.value.status == 125 and "\n" not in str(caught.value)
    assert [each.name for each in cache.iterdir()] == [".lock"]


def test_what_follows_a_member_is_one_or_the_end(tmp_path: Path) -> None:
    """A block of zeros is an end, and what stands after it does not count; anything else is damage."""
    whole = tar(MEMBERS)
    path = tmp_path / "root.tar"
    path.write_bytes(whole[:MEMBERS_END] + bytes(512) + b"x" * 512)
    assert listed(make_image(resolve.find(str(path))).disk, "/z") == "z" * 512
    path.write_bytes(whole[:512] + b"x" * 512 + whole[512:])
    with pytest.raises(KraitError):
        make_image(resolve.find(str(path)))


def test_layers_may_lack_their_end(tmp_path: Path) -> None:
    """As docker takes them: the digest says that nothing is missing."""
    layout = oci(tmp_path / "layout", tar({"etc/a": "1"})[:1024])
    assert listed(make_image(resolve.find(str(layout))).disk, "/etc/a") == "1"


def test_a_directory(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "root" / "etc").mkdir(parents=True)
    (tmp_path / "root" / "etc" / "a").write_text("1")
    entry = make_image(resolve.find(str(tmp_path / "root")))
    assert listed(entry.disk, "/etc/a") == "1"
    (tmp_path / "root" / "etc" / "a").write_text("22")
    assert make_image(resolve.find(str(tmp_path / "root"))).key != entry.key


def test_damaged_images_leave_nothing(tmp_path: Path, cache: Path) -> None:
    good = tar({"etc/a": "1" * 5000})
    bad: list[Path] = [saved(tmp_path / "cut.tar", [good[:2000]], [f"sha256:{hashlib.sha256(good).hexdigest()}"])]
    bad.append(saved(tmp_path / "changed.tar", [good.replace(b"111", b"121")],
                     [f"sha256:{hashlib.sha256(good).hexdigest()}"]))  # fmt: skip
    bad.append(saved(tmp_path / "harm.tar", [tar({"../x": ""})]))
    bad.append(saved(tmp_path / "count.tar", [good], ["sha256:1", "sha256:2"]))
    whole = saved(tmp_path / "whole.tar", [good]).read_bytes()
    for number, cut in enumerate((600, 2000, len(whole) // 2)):
        path = tmp_path / f"part{number}.tar"
        path.write_bytes(whole[:cut])
        bad.append(path)
    layout = oci(tmp_path / "layout", good)
    for blob in (layout / "blobs" / "sha256").iterdir():
        if blob.read_bytes() == good:
            blob.write_bytes(good[:-1])
    bad.append(layout)
    for index in ("[]", "{}", "no JSON", '{"manifests": [{"digest": "sha256:../../x"}]}', '{"manifests": 5}'):
        place = oci(tmp_path / f"layout{len(bad)}", good)
        (place / "index.json").write_text(index)
        bad.append(place)
    half = oci(tmp_path / "half", good)
    (half / "index.json").unlink()
    bad.append(half)
    (tmp_path / "empty.tar").write_bytes(tar({}))
    bad.append(tmp_path / "empty.tar")
    for path in bad:
        with pytest.raises(KraitError) as caught:
            make_image(Target(Kind.IMAGE, str(path), path))
        assert caught.value.status in (2, 125) and "\n" not in str(caught.value), path
        assert [each.name for each in cache.iterdir()] == [".lock"], path


def test_what_a_name_means(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, contents, kind in (("a.py", b"print()", Kind.SCRIPT), ("b", b"#!/usr/bin/env python3\n", Kind.SCRIPT),
                                 ("c", b"#!/bin/sh\n", Kind.PROGRAM), ("d", b"\x7fELF", Kind.PROGRAM)):  # fmt: skip
        (tmp_path / name).write_bytes(contents)
        assert resolve.find(str(tmp_path / name)).kind is kind
    assert resolve.find("busybox").kind is Kind.IMAGE
    assert resolve.find("debian:13").kind is Kind.IMAGE
    assert resolve.find("python:3").kind is Kind.IMAGE
    names = [str(tmp_path / name) for name in ("none", "pipe", "e")]
    for name in ("none.py", "none.tar", "no-such-program", *names):
        if name.endswith("/e"):
            Path(name).write_bytes(b"")
        with pytest.raises(UsageError):
            resolve.find(name)


@pytest.mark.parametrize("tool", ["cat", "gzip", "xz", "zstd", "bzip2"])
def test_an_archive_is_known_by_its_contents(tmp_path: Path, tool: str) -> None:
    """Given as a program, whatever it is called."""
    require("image")
    path = tmp_path / "prog"
    path.write_bytes(subprocess.run([tool], input=tar({"bin": None}), check=True, capture_output=True).stdout)
    path.chmod(0o755)
    assert resolve.find(str(path)) == Target(Kind.IMAGE, str(path), path)


def test_archives_need_no_names(tmp_path: Path) -> None:
    with ExitStack() as stack, pytest.raises(ImageError):
        (tmp_path / "x").write_bytes(b"nothing")
        archives.open_tar(tmp_path / "x", stack, "x")


def test_a_path_without_programs_for_disks(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a user's is in Debian."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    (tmp_path / "a.tar").write_bytes(tar({"a": "1"}))
    assert make_image(Target(Kind.IMAGE, "a", tmp_path / "a.tar")).disk.exists()
