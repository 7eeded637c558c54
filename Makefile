# A .venv in the checkout serves every target.
.PHONY: setup
setup: ; python3 -m venv .venv && .venv/bin/pip install -e .[dev]
