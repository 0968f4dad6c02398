# SPDX-License-Identifier: Apache-2.0
"""The document that `krait up` is to make an interface from."""

import shlex
from pathlib import Path

from krait.agent import source
from krait.agent.desired import Source
from krait.agent.managed.orders import read_standing
from krait.agent.paths import Paths
from krait.common.errors import UsageError
from krait.kernel.link import observe_link


def document(config: Path | None, interface: str | None, paths: Paths) -> Source:
    """The one that is named, or that of last time, of the interface, or of this machine.

    Raises UsageError, with how to begin, where there is none, or for one that cannot be used.
    """
    if config is not None:
        path = config.absolute()
        return source.read(path, interface, if_missing=_how_to_begin(interface, path))
    if interface is not None:
        return _of_interface(interface, paths)
    if not paths.any_config.exists():
        raise UsageError(
            f"which interface, or which document? There is no {paths.any_config}",
            hint="krait up --config FILE, or krait up IFACE with /etc/krait/IFACE.yaml",
        )
    found = source.read(paths.any_config, None)
    interface = found.document.interface
    return found if interface is None else _of_interface(interface, paths, found)


def is_usual(config: str, interface: str, paths: Paths) -> bool:
    """Whether it is at a place where one is looked for anyway."""
    return Path(config) in paths.configs_of(interface)


def _of_interface(interface: str, paths: Paths, default: Source | None = None) -> Source:
    """What is confirmed is not undone by an `up` that says nothing of a document; nor does what is
    on trial become permanent, whose way back may be walked this very moment.
    """
    orders = read_standing(interface, paths).confirmed
    if orders is not None:
        mend = f"put it back, or name another: krait up {interface} --config FILE"
        return source.read(Path(orders.config), interface, default, if_missing=mend)
    if default is not None:
        return default
    places = paths.configs_of(interface)
    begin = _how_to_begin(interface, places[0])
    return source.read(source.find(interface, places, if_missing=begin), interface)


def _how_to_begin(interface: str | None, path: Path) -> str:
    """Empty: as with any interface that is there; `krait init` draws a document of no other."""
    if interface is None or observe_link(interface) is not None:
        return ""
    put = shlex.join(["install", "-D", "-m", "600", "FILE", str(path)])
    return f"begin with one: krait example --minimal >FILE, krait add FILE …, then {put}"
