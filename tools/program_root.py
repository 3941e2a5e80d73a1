"""What a program runs in: the root image, an image, a disk; and the program, where it is one of this machine."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tools import cpio
from tools.errors import KraitError, UsageError
from tools.images.resolve import Kind, Target, find, kind_of_file
from tools.images.root import Configuration, RootFileSystem
from tools.machine import Share
from userland.image import LOADER

OUR_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/bin:/sbin:/usr/bin:/usr/sbin", "USER": "root", "LOGNAME": "root", "SHELL": "/bin/sh",
}  # fmt: skip
CARRIED = "/tmp/krait"  # where files of this machine are in a root that is a disk
OURS = {"/bin/sh", "/usr/bin/env"}  # interpreters that the root image has
ALONE = {"bash", "dash", "ksh", "mksh", "awk", "mawk", "sed"}  # those that need no library of modules
MOST_BESIDE = 16 << 20  # bytes of modules beside a script


def _carry(archive: cpio.Archive, path: Path, place: str, *, has_other_root: bool) -> tuple[Share, ...]:
    """A program of this machine, with the libraries that it needs, and what to share for it. Raises UsageError."""
    from tools.libraries import LibraryError, add_libraries, interpreter

    contents = path.read_bytes()
    loader = interpreter(contents)
    if loader is not None and not has_other_root and loader != str(LOADER):
        try:
            add_libraries(archive, path, loader)
        except (LibraryError, OSError) as error:
            raise UsageError(
                f"krait run: {path} is linked dynamically; it {error}: link it statically, or give a "
                "root file system with --root"
            ) from error
    archive.file(place, contents, 0o755)
    if contents.startswith(b"#!") and not has_other_root:
        return _carry_interpreter(archive, path, contents)
    return ()


def _carry_interpreter(archive: cpio.Archive, script: Path, contents: bytes) -> tuple[Share, ...]:
    """The interpreter of a script, from this machine, if the root image has it not. Its modules are too many to carry:
    the guest sees the directories where they are, read-only.
    """
    words = contents[2:256].split(b"\n")[0].decode(errors="replace").split()
    if not words:
        raise UsageError(f"krait run: {script} names no interpreter after #!")
    program = words[0]
    if program == "/usr/bin/env" and len(words) > 1:
        import shutil

        found = shutil.which(words[1])
        if found is None:
            raise UsageError(f"krait run: {script} wants {words[1]}, which this machine does not have")
        program = found
    if program in OURS:
        return ()
    if not Path(program).is_file():
        raise UsageError(f"krait run: {script} wants {program}, which neither the root image nor this machine has")
    beside = _carry(archive, Path(program), program.lstrip("/"), has_other_root=False)
    return beside if Path(program).name in ALONE else (*beside, *_modules_of(Path(program)))


def _modules_of(interpreter: Path) -> tuple[Share, ...]:
    """The directories lib and share beside the bin that an interpreter lies in."""
    place = interpreter.resolve().parent
    if place.name not in ("bin", "sbin"):
        return ()
    found = [place.parent / name for name in ("lib", "share")]
    return tuple(Share(path, str(path), read_only=True) for path in found if path.is_dir())


def _host_program(options: argparse.Namespace, path: Path, archive: Callable[[], bytes | None]) -> RootFileSystem:
    device = options.root if isinstance(options.root, str) else ""
    directory = CARRIED if device else "/root"
    carried = cpio.Archive()
    try:
        place = f"{'krait' if device else 'root'}/{path.name}"
        shares = _carry(carried, path, place, has_other_root=options.root is not None)
    except OSError as error:
        raise UsageError(f"krait run: {path} cannot be read: {error.strerror}") from error
    return RootFileSystem(
        archive=b"" if device else archive(), device=device, carried=carried, name=str(path),
        configuration=Configuration(environment=OUR_ENVIRONMENT, directory=directory),
        arguments=[f"./{path.name}", *options.arguments], shares=shares,
    )  # fmt: skip


def _image(options: argparse.Namespace, target: Target) -> RootFileSystem:
    name, _, tag = target.name.partition(":")
    if name == "busybox":
        if re.match(r"\d", tag):
            from userland.busybox import VERSION  # much to import, so only for a version

            if not f"{VERSION}.".startswith(f"{tag.partition('-')[0]}."):
                raise KraitError(f"krait run: {target.name}: our busybox is {VERSION}, and no other is fetched")
        configuration = Configuration(command=("sh",), environment=OUR_ENVIRONMENT, directory="/root")
        root = RootFileSystem(archive=None, configuration=configuration)
    else:
        from tools.images.make import make_image  # the busybox image and programs do not need it

        kept = make_image(target)
        root = RootFileSystem(disk=kept.disk, configuration=kept.configuration)
    configuration = root.configuration
    if options.entrypoint is not None:  # "": none, not even the image's own
        arguments = [*filter(None, [options.entrypoint]), *options.arguments]
    elif re.fullmatch(r"python(3(\.\d+)?)?", target.name):  # named as the program that it is
        arguments = ["python3", *options.arguments]
    else:
        arguments = [*configuration.entrypoint, *(options.arguments or configuration.command)]
    return RootFileSystem(
        archive=root.archive, disk=root.disk, configuration=configuration, arguments=arguments or ["/bin/sh"],
        name=target.name, wants_network=True,
    )  # fmt: skip


def _carry_modules(archive: cpio.Archive, script: Path) -> None:
    """What `import` finds beside a script: modules, and packages with all that they hold."""
    files, size = [], 0
    for path in _modules_beside(script.resolve().parent):
        if os.access(path, os.R_OK) and path.is_file():
            files.append(path)
            size += path.stat().st_size
        if size > MOST_BESIDE:
            print(
                f"krait: more than {MOST_BESIDE >> 20} MiB of modules lie beside {script.name}: they are left out "
                "(-v DIR:DIR shares a directory)", file=sys.stderr,
            )  # fmt: skip
            return
    for path in files:
        place = f"krait/{path.relative_to(script.resolve().parent)}"
        if place not in archive.entries:
            archive.file(place, path.read_bytes())


def _modules_beside(directory: Path) -> Iterator[Path]:
    """The files of modules and packages in a directory. Links to directories are not followed within a package."""
    for path in sorted(directory.iterdir()):
        if path.suffix in (".py", ".so"):
            yield path
        elif (path / "__init__.py").is_file():
            for place, names, files in os.walk(path):
                names[:] = sorted(name for name in names if name != "__pycache__")
                yield from (Path(place) / name for name in sorted(files))


def _script(options: argparse.Namespace, path: Path) -> RootFileSystem:
    """A Python script of this machine, under this machine's Python, with the modules that lie beside it."""
    from tools.images.make import make_image

    kept = make_image(Target(Kind.IMAGE, "python"))
    carried = cpio.Archive()
    carried.file(f"krait/{path.name}", path.read_bytes(), 0o755)
    _carry_modules(carried, path)
    configuration = Configuration(environment=kept.configuration.environment, directory=CARRIED)
    return RootFileSystem(
        disk=kept.disk, configuration=configuration, carried=carried, name=str(path),
        arguments=["python3", path.name, *options.arguments],
    )  # fmt: skip


def choose_root(options: argparse.Namespace, archive: Callable[[], bytes | None]) -> RootFileSystem:
    """What `krait run` is to run, and in what. `archive` gives the root image, None for ours. Raises KraitError."""
    has_other_root = options.root is not None or options.initramfs is not None
    if options.command is not None:
        device = options.root if isinstance(options.root, str) else ""
        return RootFileSystem(
            archive=b"" if device else archive(), device=device, name="busybox",
            configuration=Configuration(environment=OUR_ENVIRONMENT, directory="/root"),
            arguments=["/bin/sh", "-c", options.command],
        )  # fmt: skip
    if has_other_root:
        path = Path(options.program)
        if not path.is_file():
            raise UsageError(f"krait run: {options.program} is not a file")
        return _host_program(options, path, archive)
    target = find(options.program)
    if target.kind is Kind.IMAGE:
        return _image(options, target)
    assert target.path is not None
    if target.kind is Kind.DISK:
        arguments = [options.entrypoint] if options.entrypoint else []
        return RootFileSystem(
            disk=target.path, name=target.name, arguments=[*arguments, *options.arguments] or ["/bin/sh"],
            wants_network=True,
        )  # fmt: skip
    if target.kind is Kind.SCRIPT:
        return _script(options, target.path)
    if kind_of_file(target.path) is Kind.SCRIPT:
        return _script(options, target.path)
    return _host_program(options, target.path, archive)



