"""Lay the layers of an image over each other, as one tar archive.

A layer is a tar archive of what it changes. A file named `.wh.NAME` takes NAME away, and `.wh..wh..opq` everything that
lower layers have in that directory. Paths lead through the symbolic links of lower layers, and never out of the root.
Source: OCI Image Format Specification, "Image Layer Filesystem Changeset".
"""

from __future__ import annotations

import copy
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
LINK_LIMIT = 40  # symbolic links on one path, as Linux has it
NAME_LIMIT = 255  # bytes of a file's name
DEVICES = (tarfile.CHRTYPE, tarfile.BLKTYPE)


class ImageError(Exception):
    """Why no root file system can be made of what was given: one sentence."""


@dataclass(eq=False)
class Node:
    """A file of the tree: its header, and where its contents are. A directory has children."""

    header: tarfile.TarInfo
    archive: tarfile.TarFile | None = None
    children: dict[str, Node] = field(default_factory=dict)

    @staticmethod
    def directory(name: str) -> Node:
        header = tarfile.TarInfo(name)
        header.type, header.mode = tarfile.DIRTYPE, 0o755
        return Node(header)


class Tree:
    """The root file system as the layers so far make it."""

    def __init__(self) -> None:
        self.root = Node.directory(".")

    def apply(self, layer: tarfile.TarFile, name: str) -> None:
        """Lay a layer over what there is. Raises ImageError."""
        fresh: set[int] = set()  # what this layer brought: whiteouts are for what was there before
        try:
            for member in layer:
                self._apply(member, layer, fresh)
        except (tarfile.TarError, EOFError, OSError, ValueError) as error:
            raise ImageError(f"{name} is damaged: {error}") from error

    def _apply(self, member: tarfile.TarInfo, layer: tarfile.TarFile, fresh: set[int]) -> None:
        parts = split(member.name)
        if not parts:
            if not member.isdir():
                raise ImageError(f"{member.name!r} cannot stand for the root directory")
            self.root.header = member
            return
        last = parts[-1]
        parent = self._directory(parts[:-1], member.name)
        if last == OPAQUE:
            parent.children = {key: node for key, node in parent.children.items() if id(node) in fresh}
        elif last.startswith(WHITEOUT):
            self._take_away(parent, last.removeprefix(WHITEOUT), member.name, fresh)
        elif member.type in DEVICES:
            if parts[0] != "dev":
                raise ImageError(f"{member.name!r} is a device, which an image has no use for")
        else:
            self._put(parent, last, member, layer, fresh)

    def _take_away(self, parent: Node, name: str, path: str, fresh: set[int]) -> None:
        if name in ("", ".", ".."):
            raise ImageError(f"{path!r} would take the root or its own directory away")
        node = parent.children.get(name)
        if node is not None and id(node) not in fresh:
            del parent.children[name]

    def _put(self, parent: Node, name: str, member: tarfile.TarInfo, layer: tarfile.TarFile, fresh: set[int]) -> None:
        if member.islnk():
            target = self.find(member.linkname)
            if target is None or target.header.isdir():
                raise ImageError(f"{member.name!r} is a link to {member.linkname!r}, which is not in the image")
            parent.children[name] = target
            return
        before = parent.children.get(name)
        if member.isdir() and before is not None and before.header.isdir():
            before.header = member
            fresh.add(id(before))
            return
        node = Node(member, layer)
        fresh.add(id(node))
        parent.children[name] = node

    def _directory(self, parts: list[str], path: str) -> Node:
        """The directory of this path, which is created as far as it is missing."""
        stack = [self.root]
        left = list(reversed(parts))
        links = 0
        while left:
            part = left.pop()
            if part == "..":
                stack[1:] = stack[1:-1]
                continue
            node = stack[-1].children.get(part)
            if node is None or not (node.header.isdir() or node.header.issym()):
                node = Node.directory(part)
                stack[-1].children[part] = node
            if node.header.issym():
                links += 1
                if links > LINK_LIMIT:
                    raise ImageError(f"{path!r} leads through too many symbolic links")
                if node.header.linkname.startswith("/"):
                    stack = [self.root]
                left.extend(part for part in reversed(node.header.linkname.split("/")) if part not in ("", "."))
            else:
                stack.append(node)
        return stack[-1]

    def find(self, path: str) -> Node | None:
        """The file of a path; a symbolic link at its end is not followed."""
        parts = split(path)
        if not parts:
            return self.root
        return self._directory(parts[:-1], path).children.get(parts[-1])

    def files(self) -> Iterator[tuple[str, Node]]:
        """Every file with its path, directories before what they hold."""
        stack = [("", self.root)]
        while stack:
            path, node = stack.pop()
            for name in sorted(node.children, reverse=True):
                stack.append((f"{path}/{name}" if path else name, node.children[name]))
            if path:
                yield path, node

    def write(self, output: Path) -> None:
        """Write everything as one archive. Raises ImageError where a layer's contents cannot be read."""
        first: dict[int, str] = {}
        links: list[tuple[str, Node]] = []
        try:
            with tarfile.open(output, "w", format=tarfile.PAX_FORMAT) as archive:
                for path, node in self.files():
                    if id(node) in first and not node.header.isdir():
                        links.append((path, node))
                        continue
                    first[id(node)] = path
                    header = copy.copy(node.header)
                    header.name = path
                    header.pax_headers = {k: v for k, v in header.pax_headers.items() if k.startswith("SCHILY.")}
                    archive.addfile(header, self._contents(node))
                for path, node in links:
                    header = copy.copy(node.header)  # readers give the file what a link's header says of it
                    header.name, header.size, header.pax_headers = path, 0, {}
                    header.type, header.linkname = tarfile.LNKTYPE, first[id(node)]
                    archive.addfile(header)
        except (tarfile.TarError, EOFError, ValueError) as error:
            raise ImageError(f"the image is damaged: {error}") from error

    @staticmethod
    def _contents(node: Node) -> IO[bytes] | None:
        if not node.header.isreg() or node.archive is None:
            return None
        return node.archive.extractfile(node.header)


def split(name: str) -> list[str]:
    """The parts of a member's path. Raises ImageError for one that leads out of the root, or that no disk can hold."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ImageError(f"{name!r} leads out of the image")
    longest = max(parts, key=len, default="")
    if len(longest.encode(errors="surrogateescape")) > NAME_LIMIT:
        raise ImageError(f"the name {longest[:40]!r}… is longer than the {NAME_LIMIT} bytes that one may have")
    return parts
