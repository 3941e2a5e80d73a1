"""Communication between processes: pipes, FIFOs, event descriptors, epoll, System V and POSIX objects, their files."""
