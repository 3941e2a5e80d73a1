"""Marks of fanotify: which events one asks for, and which it keeps its group from hearing of."""

from kernel.fs.marks import EVENT_ON_CHILD, FAN_ONDIR, Mark, MarkGroup
from kernel.fs.notification import IN_CLOSE_WRITE, IN_OPEN


def marked(mask: int = 0, ignored: int = 0, has_flags: bool = False) -> Mark:
    mark = Mark(MarkGroup(0))
    mark.mask = mask
    mark.ignored = ignored
    mark.has_flags = has_flags
    return mark


def test_a_file_is_asked_for_whatever_the_flags_are() -> None:
    for flags in (0, FAN_ONDIR, EVENT_ON_CHILD):
        assert marked(IN_OPEN | flags).wants(is_directory=False, is_child=False) & IN_OPEN != 0


def test_directories_and_children_are_asked_for_by_flags() -> None:
    assert marked(IN_OPEN).wants(is_directory=True, is_child=False) == 0
    assert marked(IN_OPEN).wants(is_directory=False, is_child=True) == 0
    assert marked(IN_OPEN | FAN_ONDIR).wants(is_directory=True, is_child=False) & IN_OPEN != 0
    assert marked(IN_OPEN | EVENT_ON_CHILD).wants(is_directory=False, is_child=True) & IN_OPEN != 0
    assert marked(IN_OPEN | EVENT_ON_CHILD).wants(is_directory=True, is_child=True) == 0


def test_an_old_ignored_mask_is_about_directories_and_about_children_that_are_watched() -> None:
    mark = marked(IN_OPEN, ignored=IN_CLOSE_WRITE)
    assert mark.ignores(is_directory=False, is_child=False) == IN_CLOSE_WRITE
    assert mark.ignores(is_directory=True, is_child=False) & IN_CLOSE_WRITE != 0
    assert mark.ignores(is_directory=False, is_child=True) == 0
    mark.mask |= EVENT_ON_CHILD
    assert mark.ignores(is_directory=False, is_child=True) == IN_CLOSE_WRITE


def test_a_new_ignored_mask_says_itself_what_it_is_about() -> None:
    mark = marked(EVENT_ON_CHILD, ignored=IN_OPEN, has_flags=True)
    assert mark.ignores(is_directory=False, is_child=True) == 0
    assert mark.ignores(is_directory=True, is_child=False) == 0
    mark.ignored |= EVENT_ON_CHILD | FAN_ONDIR
    assert mark.ignores(is_directory=False, is_child=True) == IN_OPEN
    assert mark.ignores(is_directory=True, is_child=True) & IN_OPEN != 0


def test_flags_alone_ignore_nothing() -> None:
    mark = marked(IN_OPEN, ignored=FAN_ONDIR | EVENT_ON_CHILD, has_flags=True)
    assert mark.ignores(is_directory=True, is_child=True) == 0
