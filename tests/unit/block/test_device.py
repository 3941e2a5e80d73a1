"""What all block devices share: which requests they take, what is counted, and who may use one alone."""

from __future__ import annotations

import pytest

from kernel.block import device as device_module
from kernel.block.device import PENDING, SECTOR_SIZE, BlockDevice, BlockRequest, Operation, flush, transfer
from tests.unit.errors import error_of

MS = 1_000_000


class Clock:
    now_ns = 0

    def read(self) -> int:
        return self.now_ns


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(device_module, "monotonic_ns", made.read)
    return made


class Slow(BlockDevice):
    """Takes requests, and finishes those that the test names."""

    def __init__(self, sectors: int = 1000, number: int = 0x700) -> None:
        super().__init__(b"slow", number, sectors)
        self.taken: list[BlockRequest] = []

    def submit(self, request: BlockRequest) -> None:
        self.taken.append(request)


class Quick(BlockDevice):
    """Finishes each request at once."""

    def __init__(self, error: int = 0) -> None:
        super().__init__(b"quick", 0x701, 1000)
        self.seen: list[Operation] = []
        self.error = error

    def submit(self, request: BlockRequest) -> None:
        self.seen.append(request.operation)
        request.finish(self.error)


def request(operation: Operation, sector: int = 0, sectors: int = 1) -> BlockRequest:
    made = BlockRequest(operation, sector)
    made.length = sectors * SECTOR_SIZE
    return made


@pytest.mark.parametrize(("sector", "sectors", "is_fine"), [
    (0, 1000, True), (999, 1, True), (1000, 0, True), (999, 2, False), (1001, 0, False), (-1, 1, False),
    (1 << 62, 1, False), (0, 1 << 50, False),
])  # fmt: skip
def test_a_request_lies_on_the_device(sector: int, sectors: int, is_fine: bool) -> None:
    found = error_of(Slow().check, request(Operation.READ, sector, sectors))
    assert found == ("" if is_fine else "EIO")


def test_a_request_is_of_whole_blocks() -> None:
    device = Slow()
    device.logical_block_size = 4096
    for sector, sectors, error in ((8, 8, ""), (1, 8, "EIO"), (8, 4, "EIO")):
        assert error_of(device.check, request(Operation.WRITE, sector, sectors)) == error
    assert error_of(device.check, request(Operation.FLUSH, 5, 1)) == "", "it moves nothing"


def test_what_may_not_be_written() -> None:
    device = Slow()
    device.read_only = True
    assert error_of(device.check, request(Operation.READ)) == error_of(device.check, request(Operation.FLUSH)) == ""
    for operation in (Operation.WRITE, Operation.DISCARD, Operation.WRITE_ZEROES):
        assert error_of(device.start, request(operation)) == "EROFS"
    assert device.taken == [] and device.statistics.in_flight == 0
    device.hardware_read_only = True
    assert error_of(device.set_read_only, False) == "EACCES"
    device.hardware_read_only = False
    device.set_read_only(False)
    assert error_of(device.start, request(Operation.WRITE)) == ""


def test_requests_are_counted_where_they_end(clock: Clock) -> None:
    disk, partition = Slow(), Slow(500, 0x708)
    partition.whole = disk
    for operation, sectors in ((Operation.READ, 8), (Operation.WRITE, 3), (Operation.DISCARD, 16)):
        partition.start(request(operation, 0, sectors))
    clock.now_ns = 5 * MS
    disk.start(request(Operation.WRITE_ZEROES, 0, 4))
    assert (partition.statistics.in_flight, disk.statistics.in_flight) == (3, 4)
    clock.now_ns = 7 * MS
    for each in partition.taken:
        each.finish(0)
    clock.now_ns = 9 * MS
    disk.taken[0].finish(0)
    of_partition, of_disk = partition.statistics, disk.statistics
    assert (of_partition.reads, of_partition.read_sectors, of_partition.read_ns) == (1, 8, 7 * MS)
    assert (of_disk.reads, of_disk.read_sectors, of_disk.read_ns) == (1, 8, 7 * MS)
    assert (of_partition.writes, of_partition.written_sectors) == (1, 3)
    assert (of_disk.writes, of_disk.written_sectors, of_disk.write_ns) == (2, 7, 11 * MS)
    assert (of_disk.discards, of_disk.discarded_sectors) == (1, 16)
    assert (of_partition.busy_ns, of_disk.busy_ns) == (7 * MS, 9 * MS), "together, not each"
    assert of_partition.in_flight == of_disk.in_flight == 0


def test_an_error_reaches_whoever_waits() -> None:
    one = request(Operation.READ)
    assert one.error == PENDING and not one.is_finished()
    assert error_of(transfer, Quick(5), one) == "EIO" and one.is_finished()
    assert error_of(transfer, Quick(), request(Operation.READ)) == ""
    assert error_of(transfer, BlockDevice(b"none", 1, 1000), request(Operation.READ)) == "EIO"  # without a driver


def test_a_flush_that_means_nothing_is_left_out() -> None:
    device = Quick()
    flush(device)
    transfer(device, request(Operation.WRITE))
    flush(device)
    assert device.seen == [Operation.WRITE], "it has no cache that forgets"
    device.has_volatile_cache = True
    flush(device)
    flush(device)
    transfer(device, request(Operation.READ))
    flush(device)
    assert device.seen[1:] == [Operation.FLUSH, Operation.READ], "nothing was written since the first"
    partition = Quick()
    partition.whole = device
    transfer(device, request(Operation.WRITE))
    flush(partition)
    flush(device)
    assert partition.seen == [Operation.FLUSH] and device.seen[-1] == Operation.WRITE, "one flush is for the whole disk"


def test_a_flush_that_fails_is_tried_again() -> None:
    device = Quick()
    device.has_volatile_cache = True
    transfer(device, request(Operation.WRITE))
    device.error = 5
    assert error_of(flush, device) == "EIO"
    device.error = 0
    flush(device)
    assert device.seen == [Operation.WRITE, Operation.FLUSH, Operation.FLUSH]


def test_one_uses_it_alone() -> None:
    disk, first, second = Slow(), Slow(), Slow()
    first.whole = second.whole = disk
    first.claim()
    second.claim()
    assert error_of(first.claim) == error_of(disk.claim) == "EBUSY"
    first.unclaim()
    assert error_of(disk.claim) == "EBUSY"
    second.unclaim()
    disk.claim()
    assert error_of(first.claim) == error_of(disk.claim) == "EBUSY"
    disk.unclaim()
    first.claim()
