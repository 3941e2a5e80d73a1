"""Hooks into attribute access are out."""


class Box:
    def __getattr__(self, name: str) -> int:
        return 0
