"""The options of cgroup2 (cgroup-v2.rst, "Mounting")."""

import pytest

from kernel.fs.cgroup.mount_options import NAMES, GroupOptions, parse_options
from kernel.lang import EINVAL, Errno


def test_what_is_chosen_is_shown() -> None:
    options = GroupOptions()
    assert options.text() == b""
    for name in NAMES:
        options.chosen = parse_options(name)
        assert options.text() == b"," + name
    options.chosen = parse_options(b",".join(reversed(NAMES)))
    assert options.text() == b"".join(b"," + name for name in NAMES)


def test_each_name_has_its_meaning() -> None:
    meanings = {
        b"nsdelegate": "delegates_by_namespace",
        b"memory_localevents": "memory_events_are_local",
        b"memory_recursiveprot": "memory_protects_below",
        b"pids_localevents": "number_events_are_local",
    }
    for name in NAMES:
        options = GroupOptions()
        options.chosen = parse_options(name)
        assert [m for m in meanings.values() if getattr(options, m)] == [m for n, m in meanings.items() if n == name]


def test_words_that_are_no_options_are_refused() -> None:
    assert parse_options(b"") == parse_options(b",,") == 0
    for text in (b"nsdelegate=1", b"NSDELEGATE", b"nsdelegate,size=1", b" nsdelegate"):
        with pytest.raises(Errno) as caught:
            parse_options(text)
        assert caught.value.code == EINVAL
