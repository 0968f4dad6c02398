# SPDX-License-Identifier: Apache-2.0
"""The unit that the package installs, in a guest; only where its program lies is the checkout's."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
KRAIT = Path(sys.executable).with_name("krait")
UNIT = "krait@wg0.service"

# Wherever the checkout and its Python lie, in a home or in /tmp, the unit has to see them; and an
# emulated machine is slow.
_CHECKOUT = f"""
[Service]
TimeoutStartSec=15min
WatchdogSec=15min
ProtectHome=tmpfs
BindReadOnlyPaths={ROOT} {sys.prefix} {sys.base_prefix}
ExecStart=
ExecStart={KRAIT} agent --iface %i
"""
_FOLDER = "/etc/systemd/system"

FILES = {
    f"{_FOLDER}/krait@.service": (ROOT / "packaging/systemd/krait@.service").read_text(),
    f"{_FOLDER}/krait@.service.d/checkout.conf": _CHECKOUT,
}
"""What is to be on a guest's root before it boots."""
