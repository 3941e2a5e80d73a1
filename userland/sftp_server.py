"""Build sftp-server of OpenSSH, which dropbear starts for clients that copy files by SFTP, as scp(1) does today.

Run as `python -m userland.sftp_server`.
"""

from __future__ import annotations

from pathlib import Path

from tools.paths import IS_INSTALLED, PREBUILT
from userland.package import SourcePackage, jobs, run_step

PACKAGE = SourcePackage(
    "openssh", "10.0p1", "openssh_10.0p1.orig.tar.gz",
    "021a2e709a0edf4250b1256bd5a9e500411a90dddabea830ed59cef90eb9d85c", ("sftp-server",), Path(__file__),
)


def _make(source: Path) -> None:
    """Without cryptography, which is not its business."""
    run_step(
        source, "./configure", "--without-openssl", "--without-zlib", "--without-stackprotect",
        "--with-ldflags=-static",
    )  # fmt: skip
    run_step(source, "make", jobs(), "sftp-server")


def build_sftp_server() -> Path:
    """The program, which is static."""
    return PREBUILT / "sftp-server" if IS_INSTALLED else PACKAGE.build(_make) / "sftp-server"


if __name__ == "__main__":
    print(build_sftp_server())
