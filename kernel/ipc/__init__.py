"""Communication between processes: pipes, FIFOs, event descriptors, epoll.

Importing the package registers the opener of FIFOs.
"""

from kernel.ipc.pipe import Pipe, PipeFile, make_pipe

__all__ = ["Pipe", "PipeFile", "make_pipe"]
