"""Solutions of the exercises in docs/teaching.md, each a project with its tests."""
