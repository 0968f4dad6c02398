# SPDX-License-Identifier: Apache-2.0
"""bpf(2) from Python: libbpf opens and loads the object, the system call does all the rest.

`object` and `btf` stand on the system's libbpf; `map`, `link`, `program`, `pin` and `testrun` need
only a file descriptor, so that `krait status` works where no libbpf is installed. No call here is
one of the *_BY_ID family, which wants CAP_SYS_ADMIN.
"""
