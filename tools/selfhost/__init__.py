"""Krait on Krait: what its compiler needs in a guest (disks), a machine that takes commands there (machine, and
inside, which runs there), the commands `krait self-build` (build) and `krait self-test` (tests).
docs/self-hosting.md tells the story.
"""
