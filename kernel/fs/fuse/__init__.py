"""FUSE: file systems that a program serves by /dev/fuse, or the host by a virtio-fs device.

`filesystem.py` is where mounts come in, `device.py` is what a serving program has open. Below them: `directory.py`,
`file.py`, `inode.py` (inodes as the VFS sees them), `attributes.py` (extended attributes), `handle.py` (what is open at
the server), `instance.py`, `client.py` (what a server can do, one function a message), `connection.py` (requests,
waiting, and the end), `request.py` (a message under way), `protocol.py` (what messages look like).

The server may be anybody's program. Its answers are checked before they are used, threads that wait for it can be
killed, and the memory that it can make the kernel keep is bounded. So a server that lies or sleeps causes errors only.

Contents are not kept: reads and writes go to the server, as with FOPEN_DIRECT_IO on Linux. Names and attributes are
kept as long as the server permits.
"""
