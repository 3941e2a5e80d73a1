"""Boot guests in QEMU and talk to them: what the tests of whole images are written with.

`Guest` is one virtual machine with its serial line and QMP monitor. `Batch` runs many cases in as few boots as
possible. `KRAIT` and `LINUX` are the two kernels that a test can boot.
"""

from tests.harness.batch import Batch, Case, Result
from tests.harness.guest import Guest, GuestError
from tests.harness.kernels import KRAIT, LINUX, Kernel
from tests.harness.programs import compile_program

__all__ = ["KRAIT", "LINUX", "Batch", "Case", "Guest", "GuestError", "Kernel", "Result", "compile_program"]
