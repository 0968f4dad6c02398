# SPDX-License-Identifier: Apache-2.0
"""A cable between two machines: a veth pair, with addresses at its ends."""

import subprocess
from dataclasses import dataclass

from krait.common.errors import SystemRefused
from krait.lab.namespace import PATH, NamespaceMachine


@dataclass(frozen=True, slots=True)
class End:
    """One end of a cable: `addresses` with prefix length, such as `192.0.2.1/24`; MTU in bytes."""

    machine: NamespaceMachine
    interface: str
    addresses: tuple[str, ...] = ()
    mtu_bytes: int = 1500


def wire(a: End, b: End) -> None:
    """Lay a cable (a veth pair) between two machines, each end made inside its own, and up."""
    # From inside the one, because before Linux 6.13 a name that is to be there must be free here.
    inside = ["nsenter", f"--net=/proc/{a.machine.pid}/ns/net"]
    veth = f"ip link add {a.interface} type veth peer name {b.interface} netns {b.machine.pid}"
    done = subprocess.run(  # noqa: S603  fixed arguments, interface names of the scenario
        [*inside, *veth.split()],
        capture_output=True,
        text=True,
        env={"PATH": PATH},
        check=False,
    )
    if done.returncode:
        raise SystemRefused(
            f"no cable {a.machine.name}:{a.interface} - {b.machine.name}:{b.interface}: "
            f"{done.stderr.strip()}",
            hint="The kernel needs veth, and both interface names must be free.",
        )
    a.machine.cables[a.interface] = (b.machine, b.interface)
    b.machine.cables[b.interface] = (a.machine, a.interface)
    for end in (a, b):
        end.machine.plug_in(end.interface)
        up = f"link set {end.interface} up mtu {end.mtu_bytes}"
        add = [address_added(address, end.interface) for address in end.addresses]
        end.machine.succeed(["ip", "-batch", "-"], stdin="\n".join([up, *add, ""]))


def address_added(address: str, device: str) -> str:
    """What `ip` is to do that a device has an address, of which it may send at once.

    Without `nodad` an IPv6 address is no source until a worker of the kernel has come by.
    """
    return f"address add {address} dev {device}{' nodad' if ':' in address else ''}"
