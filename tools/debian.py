"""Fetch single packages from Debian, as source or binary, through the machine's own apt, without installing them.

Source packages need `deb-src` entries, which most machines lack: a private apt configuration under `build/` is derived
from the machine's sources, so that nothing of the system's is changed and no root is needed.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path

from compiler.progress import Step
from tools.paths import BUILD

APT = BUILD / "apt"
SOURCES = Path("/etc/apt")


def _apt_get(arguments: list[str], directory: Path) -> None:
    command = ["apt-get", "-qq", "-o", "Acquire::Retries=3", "-o", "APT::Sandbox::User=root", *arguments]
    done = subprocess.run(command, check=False, cwd=directory, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise SystemExit(f"debian: `{' '.join(command)}` failed:\n{done.stderr.strip()}")


def source_entries(machine: Path = SOURCES) -> str:
    """The machine's network package sources, rewritten as one deb822 file of `deb-src` entries."""
    stanzas: list[str] = []
    for path in sorted((machine / "sources.list.d").glob("*.sources")):
        for stanza in re.split(r"\n\s*\n", path.read_text()):
            if re.search(r"^URIs:.*\bhttps?:", stanza, re.MULTILINE) and not re.search(r"^Enabled: *no", stanza, re.M):
                stanzas.append(re.sub(r"^Types:.*$", "Types: deb-src", stanza.strip(), flags=re.MULTILINE))
    lists = [machine / "sources.list", *sorted((machine / "sources.list.d").glob("*.list"))]
    for path in lists:
        for line in path.read_text().splitlines() if path.exists() else ():
            entry = re.match(r"deb(?:-src)?\s+(?:\[(.*?)\]\s+)?(https?:\S+)\s+(\S+)\s+(.+)", line)
            if entry:
                options, uri, suite, components = entry.groups()
                stanza = f"Types: deb-src\nURIs: {uri}\nSuites: {suite}\nComponents: {components}"
                signed = re.search(r"signed-by=(\S+)", options or "")
                stanzas.append(stanza + (f"\nSigned-By: {signed.group(1)}" if signed else ""))
    return "\n\n".join(dict.fromkeys(stanzas)) + "\n"


def _private_apt() -> list[str]:
    """Options that make apt read and write under `build/apt`, with source packages enabled."""
    for name in ("sources", "lists/partial", "cache/archives/partial"):
        (APT / name).mkdir(parents=True, exist_ok=True)
    entries = source_entries()
    if not entries.strip():
        raise SystemExit("debian: this machine's apt has no network source to take source packages from")
    (APT / "sources" / "source.sources").write_text(entries)
    return [
        "-o", "Dir::Etc::SourceList=/dev/null", "-o", f"Dir::Etc::SourceParts={APT / 'sources'}",
        "-o", f"Dir::State::Lists={APT / 'lists'}", "-o", f"Dir::Cache={APT / 'cache'}",
    ]


def fetch_source(package: str, tarball: str, sha256: str, directory: Path) -> Path:
    """The upstream tarball of a source package, checked against the checksum recorded by the caller."""
    path = directory / tarball
    directory.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        private = _private_apt()
        with Step(f"fetch Debian's source package {package}"):
            _apt_get([*private, "update"], directory)
            _apt_get([*private, "source", "--download-only", "--tar-only", package], directory)
    if not path.exists():
        raise SystemExit(f"debian: the source package {package} no longer holds {tarball}")
    if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        path.unlink()
        raise SystemExit(f"debian: {tarball} does not have the recorded checksum: it was deleted")
    return path


def dependency(package: str, prefix: str) -> str:
    """The package whose name starts with `prefix` that a meta package depends on."""
    shown = subprocess.run(["apt-cache", "depends", package], check=False, capture_output=True, text=True).stdout
    found = re.search(rf"Depends: ({re.escape(prefix)}\S+)", shown)
    if found is None:
        raise LookupError(f"{package} has no dependency {prefix}…")
    return found.group(1)


def fetch_binary(package: str, prefix: str, directory: Path) -> Path:
    """The .deb of the real package that the meta package `package` stands for."""
    directory.mkdir(parents=True, exist_ok=True)
    try:
        name = dependency(package, prefix)
    except LookupError:  # a fresh machine has no package lists yet: apt's own update needs root
        elevate = [] if Path("/proc/self").stat().st_uid == 0 else ["sudo", "--"]
        subprocess.run([*elevate, "apt-get", "-qq", "update"], check=True, stdin=subprocess.DEVNULL)
        name = dependency(package, prefix)
    with Step(f"fetch Debian's package {name}"):
        _apt_get(["download", name], directory)
    return next(directory.glob(f"{name}_*.deb"))


def fetch_package(name: str, directory: Path) -> Path:
    """The .deb of a package, which is fetched once."""
    directory.mkdir(parents=True, exist_ok=True)
    for found in directory.glob(f"{name}_*.deb"):
        return found
    with Step(f"fetch Debian's package {name}"):
        _apt_get(["download", name], directory)
    return next(directory.glob(f"{name}_*.deb"))
