.PHONY: help check test properties faults simulate mutate fuzz chaos soak bench

help:   ## this list
	@grep -E '^[a-z]+: ' $(MAKEFILE_LIST) | sed -E 's/: +## /  /' | sort

check:  ## everything that a change must pass, in fresh virtual environments (some minutes)
	.ci/run

test:   ## the tests, and the checks that read the source, in the environment at hand
	pytest
	ruff check .
	mypy --strict runner
	lint-imports

properties: ## random definitions and outcomes, many more of them than `make test` looks at (half an hour)
	SAGARUN_EXAMPLES=20 pytest --timeout=3600 tests/unit/interpreter/test_properties.py tests/conformance/test_twin_runs.py

faults: ## the fault matrix of docs/reliability.md at full length (an hour)
	SAGARUN_FAULTS=full pytest --timeout=7200 -s tests/integration/faults

simulate:  ## schedules of faults in virtual time: make simulate N=100000 SEED=0 PROCESSES=2 STORE=memory (or valkey, redis)
	python -m tests.simulation --number $(or $(N),10000) --seed $(or $(SEED),0) --processes $(or $(PROCESSES),2) --store $(or $(STORE),memory)

mutate: ## mistakes made in the shipped definitions, and how many of them validate finds (a minute)
	python -m tests.mutation --survivors

fuzz:   ## wrong files by the thousand: make fuzz N=100000 SEED=0 (three hundred a second and core)
	python -m tests.fuzz --number $(or $(N),10000) --seed $(or $(SEED),0) --processes $(or $(PROCESSES),2)

chaos:  ## real processes under kill -9, 3 times 10,000 runs, and a verdict (about half an hour)
	python -m tests.acceptance.chaos --runs 10000 --seed 1 --seed 2 --seed 3

soak:   ## the same for hours, to see that memory and keys stay flat: make soak MINUTES=480
	python -m tests.acceptance.chaos.soak --minutes $(or $(MINUTES),480)

bench:  ## throughput beside Celery (some minutes, an idle machine)
	python benchmarks/throughput.py
