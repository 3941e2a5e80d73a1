"""Run unit tests against compiled code: `python -m tests.native [PATH …] [PYTEST'S ARGUMENTS]`, all by default."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path

import pytest

from tests.native.build import FOLDER, build, build_changed
from tests.native.miscompiled import CHANGES
from tests.native.modules import MODULES
from tests.native.subjects import LEFT_OUT, native_tests
from tools.paths import ROOT


class Outcomes:
    """What became of each test."""

    def __init__(self) -> None:
        self.outcomes: dict[str, str] = {}
        self.texts: dict[str, str] = {}

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        out = [item for item in items if item.nodeid.partition("[")[0] in LEFT_OUT]
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item not in out]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            self.outcomes[report.nodeid] = report.outcome
            self.texts[report.nodeid] = str(report.longrepr or "")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--miscompile", choices=CHANGES, help="change an instruction first")
    parser.add_argument("--report", type=Path, help="where to write the outcomes, as JSON")
    options, rest = parser.parse_known_args()
    if options.miscompile:
        image = build_changed(CHANGES[options.miscompile].apply, FOLDER / f"miscompiled-{options.miscompile}")
    else:
        image = build()
    importlib.import_module("kernel.start.main")  # all that fixtures may import is there before anything is replaced
    from tests.native.proxies import install

    machine = install(image, MODULES)
    outcomes = Outcomes()
    files = [] if any(not word.startswith("-") for word in rest) else [str(path) for path in native_tests()]
    status = pytest.main(["-p", "no:cacheprovider", f"--rootdir={ROOT}", *files, *rest], [outcomes])
    print(f"{machine.calls} calls of compiled code")
    if options.report is not None:
        found = {"calls": machine.calls, "outcomes": outcomes.outcomes, "texts": outcomes.texts}
        options.report.write_text(json.dumps(found))
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
