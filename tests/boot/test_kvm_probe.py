"""KVM is used only where a guest ran on it: what the probe says when there is none, and when a guest fails."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools import kvm
from tools.errors import CANNOT_RUN, KraitError


def test_without_the_device_there_is_no_kvm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert not kvm.kvm_works()
    assert kvm.accelerator("auto") == "tcg"
    assert kvm.accelerator("tcg") == "tcg"
    with pytest.raises(KraitError, match="KVM does not work") as caught:
        kvm.accelerator("kvm")
    assert caught.value.status == CANNOT_RUN


@pytest.mark.parametrize("trouble", [SystemExit("debian: no"), LookupError(), FileNotFoundError("apt-cache")])
def test_a_guest_that_cannot_be_fetched(monkeypatch: pytest.MonkeyPatch, trouble: BaseException) -> None:
    """Without a network, or where there is no Debian."""

    def kvm_works() -> bool:
        raise trouble

    monkeypatch.setattr(kvm, "kvm_works", kvm_works)
    assert kvm.accelerator("auto") == "tcg"
    with pytest.raises(KraitError, match="could not be fetched"):
        kvm.accelerator("kvm")


@pytest.mark.parametrize(
    ("output", "works"),
    [(kvm.PROOF.encode(), True), (b"booting, then nothing", False), (b"", False), (None, False)],
    ids=["a guest ran", "it stopped", "it failed", "it was too slow"],
)
def test_the_device_proves_nothing(
    root_image: Path, monkeypatch: pytest.MonkeyPatch, output: bytes | None, works: bool
) -> None:
    """/dev/kvm opens; what counts is what the guest printed in time."""
    started: list[list[str]] = []

    def run(command: list[str], **options: object) -> subprocess.CompletedProcess[bytes]:
        started.append(command)
        if output is None:
            raise subprocess.TimeoutExpired(command, kvm.PROBE_SECONDS)
        return subprocess.CompletedProcess(command, 0, output, b"")

    monkeypatch.setattr("os.access", lambda path, mode: True)
    monkeypatch.setattr(Path, "exists", lambda path: False)
    monkeypatch.setattr(kvm, "build_image", lambda: root_image)
    monkeypatch.setattr(kvm, "extend", lambda image, overlay: b"")
    monkeypatch.setattr(kvm, "fetch_oracle", lambda: root_image)
    monkeypatch.setattr(subprocess, "run", run)
    assert kvm.kvm_works() is works
    assert len(started) == 1
    assert "kvm" in " ".join(started[0])
