"""A root file system as a machine gets it, and the defaults that came with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tools.cpio import Archive
from tools.machine import Share

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Configuration:
    """What an image says of how it is to be run."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    directory: str = "/"
    user: str = ""


@dataclass(frozen=True)
class RootFileSystem:
    """Either a disk image, or an archive for the initial RAM disk, to which the agent's files are added."""

    archive: bytes | None = b""  # None: our own root image, which is kept with the agent in it
    disk: Path | None = None  # an ext2 file system without partitions; changes are thrown away
    device: str = ""  # or a disk that the user has attached
    configuration: Configuration = Configuration()
    name: str = ""  # for krait ps
    wants_network: bool = False  # unless the user says otherwise
    arguments: list[str] = field(default_factory=list)  # what is to be run
    carried: Archive = field(default_factory=Archive)  # files that are laid over the initial RAM disk
    shares: tuple[Share, ...] = ()  # what the program needs of this machine beside them
