"""``python -m hcb_opt`` is ``hcb-opt``."""

from hcb_opt.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
