"""Build dropbear, an SSH server: the programs dropbear, dropbearkey and scp, in one static file.

Run as `python -m userland.dropbear`.
"""

from __future__ import annotations

from pathlib import Path

from tools.paths import IS_INSTALLED, PREBUILT
from userland.package import SourcePackage, jobs, run_step

PACKAGE = SourcePackage(
    "dropbear", "2025.89", "dropbear_2025.89.orig.tar.bz2",
    "0d1f7ca711cfc336dc8a85e672cab9cfd8223a02fe2da0a4a7aeb58c9e113634", ("dropbearmulti",), Path(__file__),
)

# What differs from dropbear's own defaults. It may be large; speed counts on an emulated processor. All clients come
# from one address, the host's.
OPTIONS = """\
#define DROPBEAR_SMALL_CODE 0
#define DO_MOTD 0
#define MAX_UNAUTH_PER_IP 50
#define MAX_UNAUTH_CLIENTS 50
"""


def _make(source: Path) -> None:
    (source / "localoptions.h").write_text(OPTIONS)
    run_step(
        source, "./configure", "--enable-static", "--disable-zlib", "--disable-lastlog", "--disable-utmp",
        "--disable-utmpx", "--disable-wtmp", "--disable-wtmpx", "--disable-pam",
    )
    run_step(source, "make", jobs(), "MULTI=1", "PROGRAMS=dropbear dropbearkey scp", "SCPPROGRESS=0")


def build_dropbear() -> Path:
    """The program; it acts by the name by which it is called, or by its first argument."""
    return PREBUILT / "dropbear" if IS_INSTALLED else PACKAGE.build(_make) / "dropbearmulti"


if __name__ == "__main__":
    print(build_dropbear())
