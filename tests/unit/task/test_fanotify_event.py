"""Events of fanotify: the bytes that a reader gets, and which events are one."""

from hypothesis import given
from hypothesis import strategies as st

from kernel.fs.marks import FAN_ONDIR, FAN_RENAME
from kernel.fs.notification import IN_CREATE, IN_DELETE
from kernel.lib.pid import Bearer, Pid
from kernel.task.fanotify_event import (
    METADATA_SIZE,
    PIDFD_SIZE,
    RECORD_DIRECTORY_NAME,
    Event,
    metadata,
    pidfd_record,
    record,
)

HANDLE = (8).to_bytes(4, "little") + (1).to_bytes(4, "little") + b"handle/0"


@given(st.binary(max_size=20), st.binary(min_size=1, max_size=255).filter(lambda name: 0 not in name))
def test_a_record_is_padded_and_its_name_ends(rest: bytes, name: bytes) -> None:
    handle = len(rest).to_bytes(4, "little") + (1).to_bytes(4, "little") + rest
    text = record(RECORD_DIRECTORY_NAME, 7, handle, name)
    assert text[0] == RECORD_DIRECTORY_NAME and text[1] == 0
    assert int.from_bytes(text[2:4], "little") == len(text)
    assert len(text) % 4 == 0
    assert int.from_bytes(text[4:12], "little") == 7
    assert text[12 : 12 + len(handle)] == handle
    assert text[12 + len(handle) :].split(b"\0")[0] == name


def test_a_record_without_a_handle_has_room_for_its_header() -> None:
    assert record(1, 0, b"", b"") == b"\x01\0\x14\0" + bytes(16)


def test_metadata_and_the_record_of_a_process_have_their_sizes() -> None:
    head = metadata(METADATA_SIZE, 0x4000_0001, -1, 5)
    assert len(head) == METADATA_SIZE
    assert head[16:20] == b"\xff\xff\xff\xff"
    assert len(pidfd_record(-1)) == PIDFD_SIZE


def key(mask: int, name: bytes, bearer: Bearer, directory: bytes = HANDLE) -> bytes:
    event = Event(mask, bearer, 0)
    event.directory = directory
    event.name = name
    event.make_key(FAN_ONDIR | FAN_RENAME)
    return event.key


def test_events_of_one_name_are_one_whatever_happened() -> None:
    bearer = Bearer(Pid(4))
    assert key(IN_CREATE, b"a", bearer) == key(IN_DELETE, b"a", bearer)


def test_names_processes_directories_and_renames_tell_events_apart() -> None:
    bearer = Bearer(Pid(4))
    one = key(IN_CREATE, b"a", bearer)
    assert one != key(IN_CREATE, b"b", bearer)
    assert one != key(IN_CREATE, b"a", Bearer(Pid(5)))
    assert one != key(IN_CREATE | FAN_ONDIR, b"a", bearer)
    assert one != key(IN_CREATE | FAN_RENAME, b"a", bearer)
