"""Root file systems for `krait run`: where they come from, and what their configuration says."""
