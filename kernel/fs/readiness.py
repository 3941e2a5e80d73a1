"""poll(2) and select(2): waiting until one of many files is ready.

Context: sleeps, also while it goes through the files: a wake that comes then ends the next sleep at once.
"""

from typing import Final

from kernel.fs.constants import POLLERR, POLLHUP, POLLNVAL
from kernel.fs.descriptors import FileTable
from kernel.fs.file import File
from kernel.lib.pace import pace
from kernel.sched import Poller

POLL_ALWAYS: Final = POLLERR | POLLHUP  # what poll(2) tells of whether it is asked or not; select(2) does not
_ASK_COST: Final = 300  # instructions for one file
_HOLD_COST: Final = 60


class PollRequest:
    """One descriptor: what is asked, and what was found."""

    def __init__(self, descriptor: int, events: int) -> None:
        self.descriptor: int = descriptor
        self.events: int = events  # all that is told, besides POLLNVAL
        self.found: int = 0
        self.file: File | None = None


def wait_ready(files: FileTable, requests: list[PollRequest], deadline_ns: int) -> int:
    """Wait until a request is ready or the time is up (deadline 0: do not wait); how many are ready.

    Descriptors below 0 are skipped; one that is not open is ready with POLLNVAL. Raises ERESTARTNOHAND when a signal
    comes.
    """
    for request in requests:
        file = files.find(request.descriptor)
        if file is not None and not file.is_path_only():
            request.file = file.acquire()
        pace(_HOLD_COST)
    try:
        if deadline_ns == 0:
            return _look(requests, None)
        poller = Poller()
        try:
            while True:
                poller.start()
                ready = _look(requests, poller)
                if ready > 0 or not poller.sleep_until(deadline_ns):
                    return ready
        finally:
            poller.close_paced()
    finally:
        for request in requests:
            file = request.file
            if file is not None:
                request.file = None
                file.release()
            pace(_HOLD_COST)


def _look(requests: list[PollRequest], poller: Poller | None) -> int:
    ready = 0
    for request in requests:
        if request.descriptor < 0:
            request.found = 0
            continue
        file = request.file
        if file is None:
            request.found = POLLNVAL
        else:
            # Once something is ready nobody will sleep, so there is no need to queue on the others.
            state = file.poll(poller if ready == 0 else None)
            request.found = state & request.events
        if request.found != 0:
            ready += 1
        pace(_ASK_COST)
    return ready
