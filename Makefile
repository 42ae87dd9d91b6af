.PHONY: help check test bench

help:   ## this list
	@grep -E '^[a-z]+: ' $(MAKEFILE_LIST) | sed -E 's/: +## /  /' | sort

check:  ## everything that a change must pass, in fresh virtual environments (some minutes)
	.ci/run

test:   ## the tests, and the checks that read the source, in the environment at hand
	pytest
	ruff check .
	mypy --strict runner
	lint-imports

bench:  ## throughput beside Celery (some minutes, an idle machine)
	python benchmarks/throughput.py
