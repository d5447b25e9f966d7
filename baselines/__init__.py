"""Heuristics and classical methods, one per file."""

if __name__ != "hcb_opt.baselines":
    raise ImportError("import this package as hcb_opt.baselines")
