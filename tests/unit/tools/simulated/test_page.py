"""What docs/prompt.md shows is what happens."""

import doctest
import re

from tests.unit.booted import booted
from tools.paths import ROOT
from tools.simulated.machine import Machine
from tools.simulated.prompt import names_for

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL


@booted
def test_the_page_is_true(machine: Machine) -> None:
    page = (ROOT / "docs" / "prompt.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 6
    test = doctest.DocTestParser().get_doctest("".join(blocks), names_for(machine), "prompt.md", None, 0)
    found: list[str] = []
    result = doctest.DocTestRunner(optionflags=FLAGS).run(test, out=found.append)
    assert result.failed == 0, "".join(found)
    assert result.attempted >= 30
