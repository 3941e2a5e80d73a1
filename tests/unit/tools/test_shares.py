"""Serving directories by virtiofsd: which is good enough, its options, and what happens if it does not come up."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tools.guest import shares
from tools.guest.shares import find_server, server_arguments, serving
from tools.machine import Share

SERVER = f"""#!{sys.executable}
import os, socket, sys
if sys.argv[1] == "--version":
    print("virtiofsd 1.13.2")
    sys.exit()
with open(os.path.dirname(os.path.abspath(__file__)) + "/served", "a") as file:
    print(*sys.argv[1:], file=file)
client, _ = socket.socket(fileno=int(sys.argv[2])).accept()
assert client.recv(12) == bytes([1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0])
client.sendall(bytes([1, 0, 0, 0, 5, 0, 0, 0, 8, 0, 0, 0]) + bytes(8))
client.sendall(client.recv(100))
client.recv(1)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only directory of programs."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(shares, "PLACES", ())
    return tmp_path


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(("said", "is_good"), [
    ("echo virtiofsd 1.13.0", True), ("echo virtiofsd 1.13.2-dev", True), ("echo virtiofsd 2.0.0", True),
    ("echo virtiofsd backend 1.10.0", False), ("echo virtiofsd 1.10.0", False), ("echo virtiofsd 1.9.9", False),
    ("echo virtiofsd 0.99.0", False), ("echo 'virtiofsd version 7.2.9 (Debian)'", False), ("echo what", False),
    ("exit 2", False), ("echo virtiofsd 1.13.0; exit 1", False), (":", False),
])  # fmt: skip
def test_which_server_is_good_enough(place: Path, said: str, is_good: bool) -> None:
    server = program(place / "virtiofsd", f"#!/bin/sh\n[ \"$*\" = --version ] || exit 1\n{said}\n")
    assert find_server() == (str(server) if is_good else None)


def test_where_it_is_looked_for(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_server() is None
    good = program(place / "lib" / "virtiofsd", "#!/bin/sh\necho virtiofsd 1.13.1\n")
    monkeypatch.setattr(shares, "PLACES", (str(place / "none"), str(good)))
    assert find_server() == str(good)
    program(place / "virtiofsd", "#!/bin/sh\necho virtiofsd 1.10.0\n")
    assert find_server() == str(good)
    program(place / "virtiofsd", "\x7fELF of another machine")
    assert find_server() == str(good)


def test_what_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    share = Share(tmp_path, "/s")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "getegid", lambda: 100)
    told = server_arguments("/v", share, 7)
    assert told[:5] == ["/v", "--fd", "7", "--shared-dir", str(tmp_path)]
    assert "--readonly" not in told and told[told.index("--sandbox") + 1] == "none"
    assert "--no-announce-submounts" in told
    assert told[told.index("--translate-uid") + 1] == "squash-guest:0:1000:4294967295"
    assert told[told.index("--translate-gid") + 1] == "squash-guest:0:100:4294967295"
    assert "--readonly" in server_arguments("/v", Share(tmp_path, "/s", read_only=True), 7)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    told = server_arguments("/v", share, 7)
    assert "--translate-uid" not in told and told[told.index("--sandbox") + 1] == "chroot"


def test_each_share_has_its_server(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the path of temporary files is."""
    program(place / "virtiofsd", SERVER)
    long = place / ("x" * 100) / ("y" * 100)
    long.mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(long))
    wanted = [Share(place, "/a"), Share(long, "/b", read_only=True)]
    with serving(wanted) as served:
        assert [share.place for share in served.shares] == ["/a", "/b"]
        for share in served.shares:
            assert share.socket is not None and os.get_inheritable(share.socket)
            os.write(share.socket, b"through")
            assert os.read(share.socket, 100) == b"through"
        assert len((place / "served").read_text().splitlines()) == 2
        sockets = [share.socket for share in served.shares]
        served.hand_over()
        for descriptor in sockets:
            assert descriptor is not None
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(descriptor)
    assert list(long.iterdir()) == []


@pytest.mark.parametrize("end", ["exit 2", "exit 0", "kill -9 $$"])
def test_without_a_server_that_comes_up_there_is_none(place: Path, end: str) -> None:
    program(place / "virtiofsd", f"#!/bin/sh\n[ \"$*\" = --version ] && exec echo virtiofsd 1.13.0\n{end}\n")
    wanted = (Share(place, "/a"), Share(place, "/b"))
    with serving(wanted) as served:
        assert served.shares == wanted and not served.connections


def test_nor_if_one_of_several_does_not_come_up(place: Path) -> None:
    other = program(place / "other", SERVER)
    program(
        place / "virtiofsd",
        f"#!/bin/sh\ncase \"$*\" in *--readonly*) exit 1; esac\nexec {sys.executable} {other} \"$@\"\n",
    )
    wanted = (Share(place, "/a"), Share(place, "/b", read_only=True))
    with serving(wanted) as served:
        assert served.shares == wanted and not served.connections
