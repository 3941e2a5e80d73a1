"""A tap device wants privileges, which everybody has in a network namespace of their own: a module of ours runs there
as a program, and its output is its result.
"""

from __future__ import annotations

import os
import subprocess
import sys

from tools.paths import ROOT

MARK = "KRAIT_NAMESPACE"


def is_in_namespace() -> bool:
    """Whether this process was started by `run_in_namespace`."""
    return MARK in os.environ


def run_in_namespace(module: str, *arguments: str) -> bytes:
    """Run a module of ours as a program in a network namespace of its own; what it prints."""
    flags = ["--net"] if os.geteuid() == 0 else ["--user", "--map-root-user", "--net"]
    command = ["unshare", *flags, sys.executable, "-m", module, *arguments]
    environment = os.environ | {MARK: "1"}
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=ROOT, env=environment).stdout
