# SPDX-License-Identifier: Apache-2.0
# Run as `./just RECIPE`, which first installs what the recipe lacks (packaging/packages.txt).

set positional-arguments
set shell := ["bash", "-euc"]

export PATH := justfile_directory() / ".venv/bin" + ":" + env("PATH")
# Tests start a Python some thousand times, also where nothing can be written: each would compile all.
export PYTHONDONTWRITEBYTECODE := ""
objects := "src/krait/kernel/bpf"

[private]
@default:
    just --justfile "{{ justfile() }}" --list --unsorted --list-heading $'./just RECIPE\n'

# four hosts, one policy, real traffic: what passes and what does not (root)
[group('see it')]
[no-exit-message]
@demo *args: build-all
    krait demo "$@"

# the krait command of this checkout: ./just krait check FILE
[group('see it')]
[no-cd]
[no-exit-message]
@krait *args: build-all
    krait "$@"

# a command on an older kernel, in a virtual machine: ./just vm 6.12 krait demo --matrix (root)
[group('see it')]
[no-exit-message]
@vm *args: build-all
    python -m krait.lab.virtual "$@"

# compile the eBPF programs into the package, and its modules
[group('build')]
@build-all:
    for each in krait guard; do ebpf/build {{ objects }}/$each.bpf.o; done
    python -m compileall -q src

# what an operator installs, into dist/: wheel, single file, Debian package, checksums
[group('build')]
@release: build-all
    packaging/build dist

tiers := "tests/vm tests/netns tests/kernel tests/unit"

# Most tests wait most of the time; virtual machines do not, and begin at once (tests/conftest.py).
side_by_side := "--numprocesses 2 --dist loadscope --no-loadscope-reorder"

# every tier of tests; ARGS go to pytest: ./just test tests/unit -k flow
[group('test')]
[no-exit-message]
@test *args: build-all
    if (($#)); then pytest "$@"; else pytest {{ side_by_side }} -m 'not long' {{ tiers }}; fi

# the proofs at night's length: older kernels, more random packets, every deliberate fault (root)
[group('test')]
[no-exit-message]
@test-long: build-all
    KRAIT_LONG=1 KRAIT_PROPERTY_PACKETS=200000 \
        pytest {{ side_by_side }} tests/vm tests/kernel/property tests/kernel/mutants

# what reads bytes of others, on random ones that coverage guides, for a minute: ./just fuzz document 600
[group('test')]
[no-exit-message]
@fuzz *args:
    python -m tests.fuzz "$@"

# whole agents, in network namespaces and in virtual machines with kernels of their own (root)
[group('test')]
[no-exit-message]
@integration-test *args: build-all
    pytest tests/netns tests/vm "$@"

# lint, then test: all that must hold before a change lands
[group('test')]
check: lint test

# what a packet, a large mesh and a flood cost: ./just bench >bench/RESULTS.md; ./just bench flood (root)
[group('test')]
[no-exit-message]
@bench *parts="filter scale up flood": build-all
    for part in {{ parts }}; do python -m "bench.$part"; done

# formatting, types, layers, the C analyser, the shell scripts
[group('code')]
[no-exit-message]
lint:
    #!/usr/bin/env bash
    set -uo pipefail
    failed=()
    try() {
        printf '» %s\n' "$*"
        "$@" || failed+=("$*")
    }
    try ruff check
    try ruff format --check
    try mypy
    try lint-imports
    try find ebpf -name '*.[ch]' -exec clang-format --dry-run -Werror {} +
    try ebpf/build --analyze
    try shellcheck just .ci/run ebpf/build src/krait/lab/virtual/init.sh
    ((${#failed[@]} == 0)) || {
        printf 'lint failed: %s\n' "${failed[@]}" >&2
        exit 1
    }

# format the code, and mend what the linter can
[group('code')]
@fmt:
    ruff check --fix-only
    ruff format
    find ebpf -name '*.[ch]' -exec clang-format -i {} +
