"""/sbin/request-key: the program that makes the keys that other programs ask for (request-key(8)).

It has no descriptors, and a session keyring of its own, in which it finds its authority over the key. Whoever asked
waits until it has ended, whatever signals come: as on Linux, it alone decides how long that takes.

Context: sleeps.
"""

from typing import Final

from kernel.fs.descriptors import FileTable
from kernel.keys.keychain import Keychain
from kernel.keys.keyring import Keyring
from kernel.keys.requesting import Upcall
from kernel.lang import final
from kernel.task.fork import task_limit
from kernel.task.helper import HelperStart, start_process
from kernel.task.limits import initial_limits

_OF_THREAD: Final = 1  # KEY_REQKEY_DEFL_THREAD_KEYRING: what threads of the kernel have, and leave to such programs
_ENVIRONMENT: Final = (b"HOME=/", b"PATH=/sbin:/bin:/usr/sbin:/usr/bin")


@final
class KeyHelper(Upcall):
    """Runs the program."""

    def run(self, words: list[bytes], session: Keyring) -> None:
        keys = Keychain()
        keys.default = _OF_THREAD
        keys.take_session(session)
        start: HelperStart | None = None
        files: FileTable | None = None
        try:
            environment = [_ENVIRONMENT[0], _ENVIRONMENT[1]]
            start = HelperStart(words, environment, keys)
            limits = initial_limits(task_limit() // 2)
            files = FileTable()
        finally:
            if files is None:
                keys.release()
        process = start_process(start, files, limits)
        while not process.ending.is_zombie:
            process.exit_waiters.wait()


KEY_HELPER: Final = KeyHelper()
