"""Exact methods, one per file."""

if __name__ != "hcb_opt.formulations":
    raise ImportError("import this package as hcb_opt.formulations")
