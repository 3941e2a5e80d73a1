"""Clean-up names every exception that its body can raise."""

from __future__ import annotations

from kernel.lang import Errno


class File:
    def __init__(self) -> None:
        self.users = 1

    def release(self) -> None:
        self.users -= 1


def install(files: list[File], file: File) -> int:
    if len(files) > 100:
        raise Errno(24)
    files.append(file)
    return len(files)


def too_little(files: list[File]) -> int:
    file = File()
    try:
        return install(files, file)
    except Errno:
        file.release()
        raise


def enough(files: list[File]) -> int:
    file = File()
    try:
        return install(files, file)
    except (Errno, MemoryError):
        file.release()
        raise


def a_decision(files: list[File]) -> int:
    try:
        return install(files, File())
    except Errno as error:
        if error.code == 24:
            return -1
        raise


def inside(files: list[File]) -> int:
    file = File()
    try:
        try:
            return install(files, file)
        except MemoryError:
            return -1
    except Errno:
        file.release()
        raise


def use() -> int:
    files: list[File] = []
    return too_little(files) + enough(files) + a_decision(files) + inside(files)
