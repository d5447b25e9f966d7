"""Reversing chains of equal steps with several levels of storage, such as memory and disk."""
