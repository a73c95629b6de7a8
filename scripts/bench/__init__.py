"""The benchmarks of this project: `python -m bench` from scripts/, or make bench; __main__.py has the map."""
