"""The root image: busybox, the musl loader and a few files, packed as an initramfs."""
