# SPDX-License-Identifier: Apache-2.0
"""What `krait up` asks of the kernel, in milliseconds, over the size of the mesh.

`python -m bench.netlink`, as root; in a network namespace of its own. WireGuard is the kernel's
where the kernel has it, else wireguard-go.
"""

import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_interface, ip_network
from itertools import chain
from pathlib import Path

from krait.kernel import device
from krait.kernel.device import NoKernelWireguard
from krait.kernel.link import Link, observe_link
from krait.kernel.route import add_routes, observe_routes, remove_routes, through
from krait.kernel.wireguard import fingerprint, observe
from krait.kernel.wireguard.configure import DeviceChange, PeerChange, configure
from krait.kernel.wireguard.spawn import spawn

SIZES = (10, 100, 1_000, 10_000)
ROUNDS = 5
_INSIDE = "KRAIT_BENCH_INSIDE"

Step = tuple[str, Callable[[], object]]


@contextmanager
def wireguard(name: str) -> Iterator[Link]:
    with tempfile.TemporaryDirectory() as folder:
        try:
            link = device.make(name, mtu=1420)
        except NoKernelWireguard:
            link = spawn(name, "wireguard-go", Path(folder) / "log")
        device.set_up(link.ifindex)
        try:
            yield link
        finally:
            device.delete(link.ifindex)


@contextmanager
def bridge(name: str) -> Iterator[Link]:
    """For what is the same on every device. Ten thousand changes of addresses overrun the listener
    of wireguard-go, which ends it.
    """
    subprocess.run(["ip", "link", "add", name, "type", "bridge"], check=True)
    link = observe_link(name)
    if link is None:
        raise SystemExit(f"no {name}")
    device.set_up(link.ifindex)
    yield link
    device.delete(link.ifindex)


def hosts(count: int) -> Iterator[tuple[bytes, str]]:
    for n in range(1, count + 1):
        yield n.to_bytes(32, "big"), f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}"


def peers(link: Link, count: int) -> Iterator[Step]:
    def change(*, remove: bool = False) -> DeviceChange:
        return DeviceChange(
            peers=tuple(
                PeerChange(
                    key,
                    preshared_key=key,
                    endpoint=f"{host}:51820",
                    keepalive_s=0,
                    allowed_ips=(ip_network(host),),
                    remove=remove,
                )
                for key, host in hosts(count)
            )
        )

    add, remove = change(), change(remove=True)
    one = DeviceChange(peers=add.peers[:1])
    yield "peers: add", lambda: configure(link, add)
    yield "peers: change one", lambda: configure(link, one)
    yield "peers: fingerprint", lambda: fingerprint(link.name)
    yield "peers: look", lambda: observe(link.name)
    yield "peers: remove", lambda: configure(link, remove)


def routes(link: Link, count: int) -> Iterator[Step]:
    for family in ("IPv4", "IPv6"):
        some = [
            through(ip_network(f"::{host}" if family == "IPv6" else host), link.ifindex)
            for _, host in hosts(count)
        ]
        yield f"routes, {family}: add", lambda some=some: add_routes(some)  # type: ignore[misc]
        yield f"routes, {family}: look", observe_routes
        yield f"routes, {family}: remove", lambda some=some: remove_routes(some)  # type: ignore[misc]


def addresses(link: Link, count: int) -> Iterator[Step]:
    some = [ip_interface(host) for _, host in hosts(count)]
    yield "addresses: add", lambda: device.add_addresses(link.ifindex, some)
    yield "addresses: remove", lambda: device.remove_addresses(link.ifindex, some)


Steps = Callable[[Link, int], Iterator[Step]]


def measure(link: Link, *all_steps: Steps) -> Iterator[tuple[str, list[float]]]:
    """For each step the least of its milliseconds, one for each size."""
    rows: dict[str, list[float]] = {}
    for count in SIZES:
        taken: dict[str, list[float]] = {}
        for _ in range(ROUNDS):
            for label, step in chain.from_iterable(steps(link, count) for steps in all_steps):
                start = time.perf_counter()
                step()
                taken.setdefault(label, []).append((time.perf_counter() - start) * 1e3)
        for label, each in taken.items():
            rows.setdefault(label, []).append(min(each))
        print(f"  {count}", file=sys.stderr, flush=True)
    yield from rows.items()


def main() -> None:
    if _INSIDE not in os.environ:
        command = ["unshare", "--net", sys.executable, "-m", "bench.netlink"]
        raise SystemExit(subprocess.call(command, env={**os.environ, _INSIDE: "1"}))
    with wireguard(f"kr{os.getpid()}") as link:
        rows = [*measure(link, peers)]
    with bridge("br7") as other:
        rows += measure(other, routes, addresses)
    what = "the kernel's WireGuard" if link.kind == device.KIND else "wireguard-go"
    print(
        "## Peers, routes and addresses\n\n"
        f"`python -m bench.netlink`, Linux {platform.release().split('-')[0]}, {what}: "
        f"milliseconds, the least of\n{ROUNDS} rounds.\n"
    )
    print("| | " + " | ".join(f"{count:,}" for count in SIZES) + " |")
    print("|---|" + "---:|" * len(SIZES))
    for label, least in rows:
        print(f"| {label} | " + " | ".join(f"{each:.1f}" for each in least) + " |")


if __name__ == "__main__":
    main()
