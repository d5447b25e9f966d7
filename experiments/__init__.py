"""One figure or table per file: configuration, rows, figure."""

if __name__ != "hcb_opt.experiments":
    raise ImportError("import this package as hcb_opt.experiments")
