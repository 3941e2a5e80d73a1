"""Control groups: the tree, its rules, and what each controller counts and limits (cgroups(7))."""
