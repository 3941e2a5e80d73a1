"""ext2, read and write, and its successors ext3 and ext4, read-only.

`filesystem.py` is where mounts come in. Below it, in this order: `directory.py`, `file.py`, `special.py` (inodes as the
VFS sees them), `inode.py`, `blocks_of_file.py` and `extents.py` (from a place in a file to a block), `volume.py` (super
block, group descriptors, bitmaps), `records.py`, `bitmap.py`, `checksum.py` (pure functions over the bytes of a block),
`geometry.py`, `layout.py`.

Everything read from the disk is checked before it is used: a damaged file system gives errors, never a trap.
"""
