"""Build sqlite3, the shell of a database that asks much of a file system: for tests.

Run as `python -m userland.sqlite`.
"""

from __future__ import annotations

from pathlib import Path

from tools.setup import require
from userland.package import SourcePackage, run_step

PACKAGE = SourcePackage(
    "sqlite3", "3.46.1", "sqlite3_3.46.1.orig.tar.xz",
    "d0cdd2ece271b29e7ce18095745d892517ee26d0f270065b3a25c2e9eb11639c", ("sqlite3",), Path(__file__),
)


def _make(source: Path) -> None:
    require("sqlite")
    run_step(source, "./configure", "--enable-static", "--disable-shared", "--disable-readline", "--disable-tcl")
    run_step(source, "make", "sqlite3.c", "shell.c")
    run_step(
        source, "musl-gcc", "-O2", "-static", "-DSQLITE_THREADSAFE=0", "-DSQLITE_OMIT_LOAD_EXTENSION", "-o", "sqlite3",
        "shell.c", "sqlite3.c",
    )


def build_sqlite() -> Path:
    """The program."""
    return PACKAGE.build(_make) / "sqlite3"


if __name__ == "__main__":
    print(build_sqlite())
