"""Schedules within a memory budget for ``torch.compile``: a partitioner of its joint graphs."""
