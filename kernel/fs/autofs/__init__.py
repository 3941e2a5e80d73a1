"""autofs: directories on which a program mounts something when somebody goes there, and unmounts it when it is idle."""
