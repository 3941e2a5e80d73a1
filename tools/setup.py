#!/usr/bin/env python3
"""Install what Krait's build and tests need on a Debian machine that has Python, gcc and make.

Debian packages are installed through apt (as root or with sudo); Python packages go into `.venv/` inside the
checkout, at the versions that `tools/requirements.txt` pins. Both steps look first and do nothing when nothing is
missing, so that calling this before every build costs a fraction of a second. Runs under the system's Python, with
its standard library alone.

Whoever sees Krait for the first time types `make run`: with the first argument `run`, only what that needs is
installed, and with `all` everything. The other arguments are those of `./krait`.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # it runs as a script

from compiler.progress import Step, be_quiet
from tools.paths import BUILD, IS_INSTALLED, ROOT

VENV = ROOT / ".venv"
REQUIREMENTS = ROOT / "tools" / "requirements.txt"
OLDEST_PYTHON = (3, 11)

# To build and run. Why each is here: emulator and firmware; userland; linking, and disks of images.
PACKAGES = (
    "qemu-system-x86", "seabios",
    "musl", "musl-dev", "musl-tools", "linux-libc-dev", "dpkg-dev", "bzip2", "xz-utils", "patch",
    "binutils", "e2fsprogs",
)

# What only some commands and tests need, installed when they are about to run.
GROUPS = {
    # For all commands but those that ./krait lists: the ISO and its firmware; debugging and checks.
    "development": ("ovmf", "grub-pc-bin", "grub-efi-amd64-bin", "grub-common", "xorriso", "mtools", "gdb", "valgrind",
                    "util-linux"),
    "image": ("libarchive13t64", "zstd"),  # lets mke2fs read archives
    "debian": ("mmdebstrap",),
    "ssh": ("openssh-client",),
    "sqlite": ("tcl",),
    "shared": ("git", "virtiofsd"),
    "servers": ("curl", "openssh-client"),
    "tcpdump": ("tcpdump",),
    "strace": ("strace", "ltrace", "gdbserver"),
    "perf": ("linux-perf",),
    "containers": ("bubblewrap", "uidmap", "runc", "crun", "podman", "conmon", "netavark"),
    "netns": ("iproute2", "util-linux"),
    "firewall": ("nftables", "iproute2", "util-linux"),
    "iptables": ("iptables", "nftables", "iproute2", "util-linux", "netbase"),
    "kexec": ("kexec-tools",),
    "keys": ("keyutils",),
    "devices": ("udev", "pciutils", "util-linux"),
    "completion": ("zsh", "fish"),  # the shells, beside bash, that krait completes its command line in
    "native": ("python3-dev",),  # Python.h, for extension modules
}

# Of the Python packages, what compiles the kernel: mypy and llvmlite with what they need, and a reader of ELF files.
COMPILER = ("ast_serialize", "librt", "llvmlite", "mypy", "mypy_extensions", "pathspec", "pyelftools",
            "typing_extensions")


def run(command: list[str]) -> None:
    """Run a command; what it says is shown if it fails."""
    try:
        done = subprocess.run(
            command, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
    except FileNotFoundError:
        raise SystemExit(f"setup: {command[0]} is missing on this machine") from None
    if done.returncode != 0:
        raise SystemExit(f"{done.stdout}setup: `{' '.join(command)}` failed with status {done.returncode}")


def missing_packages(wanted: tuple[str, ...]) -> list[str]:
    query = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n", *wanted],
        check=False, capture_output=True, text=True,
    )
    installed = {line.split()[0] for line in query.stdout.splitlines() if line.endswith(" installed")}
    return [name for name in wanted if name not in installed]


def privileged(command: list[str]) -> list[str]:
    if os.geteuid() == 0:
        return command
    if shutil.which("sudo") is None:
        raise SystemExit("setup: installing packages needs root: run this as root, or install sudo")
    return ["sudo", "--", *command]


def authenticate() -> None:
    """Let sudo ask for a password while nothing is drawn on the terminal."""
    if os.geteuid() != 0 and shutil.which("sudo") is not None:
        subprocess.run(["sudo", "-v"], check=False)


def install_packages(wanted: tuple[str, ...]) -> None:
    if shutil.which("dpkg-query") is None:
        raise SystemExit("setup: this is not a Debian machine: dpkg-query is missing")
    missing = missing_packages(wanted)
    if not missing:
        return
    patience = ["-o", "Acquire::Retries=3", "-o", "DPkg::Lock::Timeout=600"]
    authenticate()
    with Step(f"install Debian packages: {' '.join(missing)}"):
        run(privileged(["apt-get", *patience, "-qq", "update"]))
        run(privileged(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", *patience, "-qq", "--yes",
                        "--no-install-recommends", "install", *missing]))


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Two makes in one checkout must not install at once."""
    build = BUILD
    try:
        build.mkdir(parents=True, exist_ok=True)
        (build / "setup.lock").touch()
    except OSError as error:
        raise SystemExit(f"setup: {build} cannot be written ({error.strerror}): use a checkout of your own") from None
    with (build / "setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def require(group: str) -> None:
    """Install a group of packages, unless they are there. An installed Krait says which are missing, on a Debian
    machine; elsewhere they have other names, and the program that is missing is named when it is called.
    """
    if IS_INSTALLED:
        missing = missing_packages(GROUPS[group]) if shutil.which("dpkg-query") is not None else []
        if missing:
            raise SystemExit(f"krait: this needs the packages {' '.join(missing)}: apt-get install {' '.join(missing)}")
        return
    with _alone():
        install_packages(GROUPS[group])


def requirements_digest() -> str:
    text = REQUIREMENTS.read_text() + sys.version
    return hashlib.sha256(text.encode()).hexdigest()


def compiler_requirements() -> list[str]:
    """The pinned versions of what compiles the kernel, as pip wants them."""
    lines = REQUIREMENTS.read_text().splitlines()
    return [line for line in lines if line.partition("==")[0] in COMPILER]


def are_installed(*, everything: bool) -> bool:
    """Whether the environment has the Python packages of `tools/requirements.txt`, or those that run needs."""
    digest = requirements_digest()
    stamps = [VENV / "installed"] if everything else [VENV / "installed", VENV / "installed-run"]
    return any(stamp.exists() and stamp.read_text() == digest for stamp in stamps)


def install_python_packages(*, everything: bool) -> None:
    if are_installed(everything=everything):
        return
    # Without bytecode of modules that nobody may ever import; of the others Python writes it.
    wanted = ["--requirement", str(REQUIREMENTS)] if everything else ["--no-compile", *compiler_requirements()]
    with Step("install Python packages"):
        if VENV.is_symlink() and not VENV.exists():
            VENV.unlink()  # leads to an environment that is no longer there
        if not (VENV / "bin" / "pip").exists():
            try:
                import ensurepip  # noqa: F401  (Debian ships it apart from Python)
            except ImportError:
                run(privileged(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "--yes",
                                "--no-install-recommends", "install", "python3-venv"]))
            run([sys.executable, "-m", "venv", str(VENV)])
        run([str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
             "--retries", "5", *wanted])
    (VENV / ("installed" if everything else "installed-run")).write_text(requirements_digest())


def main() -> None:
    everything = sys.argv[1:2] != ["run"]
    if {"-q", "--quiet"} & set(sys.argv[2:]):
        be_quiet()
    if sys.version_info < OLDEST_PYTHON:
        raise SystemExit(f"setup: Python {'.'.join(map(str, OLDEST_PYTHON))} or newer is needed")
    with _alone():
        install_packages((*PACKAGES, *GROUPS["development"]) if everything else PACKAGES)
        install_python_packages(everything=everything)
        for stamp in ("setup.stamp", "setup-run.stamp") if everything else ("setup-run.stamp",):
            (BUILD / stamp).touch()  # ./krait compares its age


if __name__ == "__main__":
    main()
