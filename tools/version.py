"""Krait's version. It stands in one place, the kernel's source, and is read there without importing the kernel."""

from __future__ import annotations

import re

from tools.paths import ROOT

_FOUND = re.search(r'^KRAIT_VERSION: Final = "([\d.]+)"$', (ROOT / "kernel/task/host.py").read_text(), re.MULTILINE)
assert _FOUND is not None, "kernel/task/host.py states no version"
VERSION = _FOUND[1]
