"""The network architectures of the built-in zoo."""
