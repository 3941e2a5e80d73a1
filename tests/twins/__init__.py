"""C twins: small kernels in Kernel Python and in C, compared by the number of instructions that they execute."""
