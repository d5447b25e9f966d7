"""One family of Triton kernels per file, each beside its plain-torch reference."""
