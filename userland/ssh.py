"""What lets one log in to a guest with SSH: keys, made on the host at first use, and the files that the guest gets.

Everything lies in `build/ssh/`. The guest's host key is made here too, so that the client knows it before it connects
for the first time.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from tools.cpio import Archive
from tools.lock import exclusively
from tools.paths import BUILD
from tools.setup import require
from userland.dropbear import build_dropbear
from userland.sftp_server import build_sftp_server

DIRECTORY = BUILD / "ssh"
USER_KEY = DIRECTORY / "id_ed25519"
HOST_KEY = DIRECTORY / "dropbear_ed25519_host_key"
CONFIGURATION = DIRECTORY / "config"
GUEST_NAME = "krait"  # of the guest in the client's configuration
GUEST_PORT = 22
PROGRAMS = ("usr/sbin/dropbear", "usr/bin/dropbearkey", "usr/bin/scp")

SFTP_SERVER = "usr/libexec/sftp-server"  # where dropbear looks for it

START = """\
#!/bin/sh
# Started by /init: an SSH server, for root with the key that the host has made.
exec /usr/sbin/dropbear -R -s -p 22 2>/var/log/dropbear.log
"""


def _run(*command: str | Path) -> str:
    done = subprocess.run([str(part) for part in command], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"ssh: `{' '.join(map(str, command))}` failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def _make_keys(dropbear: Path) -> None:
    require("ssh")
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    if not USER_KEY.exists():
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "krait", "-f", USER_KEY)
    if not HOST_KEY.exists():
        _run(dropbear, "dropbearkey", "-t", "ed25519", "-f", HOST_KEY)


def ssh_overlay() -> Archive:
    """The files that turn the root image into one that can be logged in to."""
    program = build_dropbear()
    with exclusively("ssh"):
        _make_keys(program)
    overlay = Archive()
    overlay.file("usr/sbin/dropbear", program.read_bytes(), 0o755)
    for path in PROGRAMS[1:]:
        overlay.link(path, "/usr/sbin/dropbear")
    overlay.file(SFTP_SERVER, build_sftp_server().read_bytes(), 0o755)
    overlay.directory("etc/dropbear", 0o700)
    overlay.file("etc/dropbear/dropbear_ed25519_host_key", HOST_KEY.read_bytes(), 0o600)
    overlay.directory("root/.ssh", 0o700)
    overlay.file("root/.ssh/authorized_keys", USER_KEY.with_suffix(".pub").read_bytes(), 0o600)
    overlay.file("etc/start.d/ssh", START.encode(), 0o755)
    return overlay


def client_configuration(port: int, directory: Path = DIRECTORY) -> Path:
    """A configuration file for OpenSSH's clients under which the guest behind a port of the host is called krait."""
    listing = _run(build_dropbear(), "dropbearkey", "-y", "-f", HOST_KEY)
    key = next(line for line in listing.splitlines() if line.startswith("ssh-ed25519 "))
    known = directory / "known_hosts"
    known.write_text(f"[127.0.0.1]:{port} {' '.join(key.split()[:2])}\n")
    configuration = directory / CONFIGURATION.name
    configuration.write_text(
        f"Host {GUEST_NAME}\n"
        f"  HostName 127.0.0.1\n  Port {port}\n  User root\n"
        f"  IdentityFile {USER_KEY}\n  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {known}\n  StrictHostKeyChecking yes\n"
    )
    return configuration
