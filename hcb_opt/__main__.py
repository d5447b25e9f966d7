"""``python -m hcb_opt`` is ``hcb-opt``."""

from hcb_opt.cli import run

if __name__ == "__main__":
    run()
