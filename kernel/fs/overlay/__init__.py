"""overlayfs: several trees of files shown as one, of which one may change."""
