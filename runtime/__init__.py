"""Executes schedules on real tensors."""

if __name__ != "hcb_opt.runtime":
    raise ImportError("import this package as hcb_opt.runtime")
