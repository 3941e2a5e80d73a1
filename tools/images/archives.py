"""Open archives, however they are compressed, and read images that consist of blobs: OCI layouts and `docker save`.

Every blob that has a digest is checked against it, so one that was cut off or changed is refused.
Source: OCI Image Layout Specification, OCI Image Specification; Docker Image Specification v1.2.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tarfile
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Self

from tools.images.document import Document
from tools.images.layers import ImageError, Tree
from tools.images.resolve import ZSTD_MAGIC
from tools.images.root import Configuration

DEPTH_LIMIT = 4  # indexes in indexes
JSON_LIMIT = 4 << 20  # bytes


def open_tar(path: Path, stack: ExitStack, name: str) -> tarfile.TarFile:
    """An archive, plain or compressed by gzip, bzip2, xz or zstd. Raises ImageError."""
    source: IO[bytes] = stack.enter_context(path.open("rb"))
    if source.read(4) == ZSTD_MAGIC:
        plain = stack.enter_context(tempfile.TemporaryFile(prefix="krait-"))
        if shutil.which("zstd") is None:
            raise ImageError(f"{name} is compressed by zstd, which is not installed here")
        done = subprocess.run(["zstd", "-dcq", str(path)], check=False, stdout=plain, stderr=subprocess.PIPE)
        if done.returncode != 0:
            raise ImageError(f"{name} is damaged: {done.stderr.decode(errors='replace').strip().splitlines()[-1]}")
        source = plain
    source.seek(0)
    try:
        return stack.enter_context(tarfile.open(fileobj=source, tarinfo=_Member))
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ImageError(f"{name} is no tar archive") from error


def check_end(path: Path, archive: tarfile.TarFile) -> None:
    """Refuse an archive of which all members were read, and that ends where another may have stood. Only a plain one
    can be cut there unseen: what is compressed has a checksum. Layers have digests, and some come without an end.
    """
    with path.open("rb") as file:
        is_plain = is_header(file.read(tarfile.BLOCKSIZE))
    if is_plain and path.stat().st_size <= archive.offset:
        raise ImageError("it is cut off: its end is missing")


def is_header(block: bytes) -> bool:
    return block[257:262] == b"ustar"


class _Member(tarfile.TarInfo):
    """tarfile takes half a header, or what is none, for the end of the archive. The end is a block of zeros."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        assert archive.fileobj is not None
        place = archive.fileobj.tell()
        try:
            return super().fromtarfile(archive)
        except tarfile.HeaderError as error:
            archive.fileobj.seek(place)
            block = archive.fileobj.read(tarfile.BLOCKSIZE)
            if len(block) == 0 or (len(block) == tarfile.BLOCKSIZE and not any(block)):
                raise
            raise tarfile.ReadError(f"it is cut off, or what follows a member is none ({error})") from error


class Blobs:
    """The files of an image that lies in a directory, or in an archive."""

    def __init__(self, directory: Path | None, archive: tarfile.TarFile | None, scratch: Path) -> None:
        self._directory = directory
        self._archive = archive
        self._scratch = scratch
        self._names = {} if archive is None else {m.name.removeprefix("./"): m for m in archive if m.isreg()}

    def has(self, name: str) -> bool:
        if self._directory is not None:
            return (self._directory / name).is_file()
        return name in self._names

    def path(self, name: str) -> Path:
        """A file of the host with these contents. Raises ImageError."""
        if not self.has(name) or ".." in name.split("/"):
            raise ImageError(f"the image lacks {name}")
        if self._directory is not None:
            return self._directory / name
        assert self._archive is not None
        place = self._scratch / hashlib.sha256(name.encode()).hexdigest()
        if not place.exists():
            source = self._archive.extractfile(self._names[name])
            assert source is not None
            try:
                with place.open("wb") as output:
                    shutil.copyfileobj(source, output)
            except (tarfile.TarError, EOFError) as error:
                raise ImageError(f"{name} of the image is cut off") from error
        return place

    def json(self, name: str) -> Document:
        path = self.path(name)
        if path.stat().st_size > JSON_LIMIT:
            raise ImageError(f"{name} of the image is too long for what it is")
        return Document.parse(path.read_bytes(), name)

    def blob(self, digest: str) -> str:
        """The name of the blob with a digest, which is checked. Raises ImageError."""
        match = re.fullmatch(r"sha256:([0-9a-f]{64})", digest)
        if match is None:
            raise ImageError(f"{digest!r} is no digest of the image")
        name = f"blobs/sha256/{match[1]}"
        with self.path(name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != match[1]:
                raise ImageError(f"{name} of the image is damaged: its digest is another one")
        return name


def is_layout(blobs: Blobs) -> bool:
    """Raises ImageError for half of one, which would pass for a root file system otherwise."""
    if not blobs.has("oci-layout"):
        return False
    if not blobs.has("index.json"):
        raise ImageError("the image has an oci-layout and no index.json")
    return True


def is_saved(blobs: Blobs) -> bool:
    return blobs.has("manifest.json")


def _choose(index: Document, blobs: Blobs, depth: int = 0) -> Document:
    """The manifest for this machine that an index leads to."""
    for entry in index["manifests"].items():
        if "platform" in entry:
            platform = entry["platform"]
            if platform["os"].text() != "linux" or platform["architecture"].text() != "amd64":
                continue
        found = blobs.json(blobs.blob(entry["digest"].text()))
        if "manifests" not in found:
            return found
        if depth == DEPTH_LIMIT:
            raise ImageError("the image's indexes lead to ever more indexes")
        return _choose(found, blobs, depth + 1)
    raise ImageError("the image has no manifest for linux on amd64")


def read_image(blobs: Blobs, tree: Tree, stack: ExitStack) -> Configuration:
    """Lay the image's layers into the tree; its configuration. Raises ImageError."""
    digests: tuple[str, ...] = ()
    if is_layout(blobs):
        manifest = _choose(blobs.json("index.json"), blobs)
        configuration = blobs.json(blobs.blob(manifest["config"]["digest"].text()))
        layers = [blobs.blob(layer["digest"].text()) for layer in manifest["layers"].items()]
    else:
        images = blobs.json("manifest.json").items()
        if len(images) != 1:
            raise ImageError(f"the archive holds {len(images)} images: save one")
        manifest = images[0]
        configuration = blobs.json(manifest["Config"].text())
        layers = [layer.text() for layer in manifest["Layers"].items()]
        digests = configuration["rootfs"].texts("diff_ids") if "rootfs" in configuration else ()
        if digests and len(digests) != len(layers):
            raise ImageError("the image's configuration counts other layers than its manifest")
    for number, layer in enumerate(layers):
        path = blobs.path(layer)
        if digests:
            _check_layer(path, digests[number], number + 1)
        tree.apply(open_tar(path, stack, f"layer {number + 1}"), f"layer {number + 1}")
    return configuration_of(configuration)


def _check_layer(path: Path, digest: str, number: int) -> None:
    """A plain layer must have the digest that the configuration states for it."""
    with path.open("rb") as file:
        if not is_header(file.read(tarfile.BLOCKSIZE)):
            return  # compressed: the digest is of what comes out, and gzip has a checksum of its own
        file.seek(0)
        if f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}" != digest:
            raise ImageError(f"layer {number} is damaged: its digest is another one")


def configuration_of(image: Document) -> Configuration:
    """What an image's configuration says of running it."""
    if "config" not in image:
        return Configuration()
    found = image["config"]
    variables = (each.partition("=") for each in found.texts("Env"))
    return Configuration(
        entrypoint=found.texts("Entrypoint"), command=found.texts("Cmd"),
        environment={name: value for name, _, value in variables},
        directory=found["WorkingDir"].text() or "/" if "WorkingDir" in found else "/",
        user=found["User"].text() if "User" in found else "",
    )  # fmt: skip
