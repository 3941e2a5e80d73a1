"""Files. The modules here are the VFS: inodes, names, mounts, walks, open descriptions, descriptors. Each file system
has a room of its own.
"""
