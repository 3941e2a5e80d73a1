"""The back end's first half: from the typed tree and the live objects to LLVM IR text, one module a kernel package."""
