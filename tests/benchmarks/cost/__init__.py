"""What the product costs, each figure beside its peer and what is intended; `--write` states it in the docs."""
