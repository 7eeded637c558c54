"""Side-by-side measurements, as ratios in one run: `make bench`, `python -m bench --only load`."""
