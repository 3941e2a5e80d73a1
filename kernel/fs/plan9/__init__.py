"""9P: directories of the host, in the dialect 9P2000.L.

`filesystem.py` is where mounts come in. Below it: `directory.py`, `file.py`, `inode.py` (inodes as the VFS sees them),
`attributes.py` (extended attributes), `handle.py`, `instance.py`, `client.py` (what a server can do, one function a
message), `message.py` (what a message looks like), `channel.py` (how messages travel). Pages of files that are mapped
are `kernel/fs/remote_pages.py`.

The host may change everything at any time. So nothing but names and inodes is kept: names are looked up anew in each
walk, attributes are fetched when they are shown, reads and writes go to the host. What the server says is checked
before it is used: a server that lies gives errors, never a trap.
"""
