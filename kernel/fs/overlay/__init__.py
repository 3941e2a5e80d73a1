"""overlayfs: a tree of files that is made of several, of which one may change."""
