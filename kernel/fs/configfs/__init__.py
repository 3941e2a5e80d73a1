"""configfs: an empty tree, because no subsystem has objects for programs to create."""
