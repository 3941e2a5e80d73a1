"""KVM is used only where a guest ran on it: what the probe says when there is none, and when a guest fails."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools import kvm


def test_without_the_device_there_is_no_kvm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert not kvm.kvm_works()
    assert kvm.accelerator("auto") == "tcg"
    assert kvm.accelerator("tcg") == "tcg"
    with pytest.raises(SystemExit, match="KVM does not work"):
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
