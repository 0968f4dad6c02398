# SPDX-License-Identifier: Apache-2.0
"""A public key from its private key: X25519, RFC 7748 section 5.

Only userspace WireGuard makes it necessary: it tells the private key and not the public one. Takes
a few milliseconds, and not in constant time: fit for one's own key on one's own machine.
"""

_P = 2**255 - 19
_A24 = 121665
_BASE_POINT = 9


def public_key(private_key: bytes) -> bytes:
    """32 bytes for 32 bytes."""
    scalar = int.from_bytes(private_key, "little")
    scalar = scalar & ~7 & (1 << 255) - 1 | 1 << 254

    # The Montgomery ladder: (x2 : z2) is the point so far, (x3 : z3) the same plus the base point.
    x2, z2, x3, z3 = 1, 0, _BASE_POINT, 1
    for bit in reversed(range(255)):
        odd = scalar >> bit & 1
        if odd:
            x2, z2, x3, z3 = x3, z3, x2, z2
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a, b * b, d * a, c * b
        e = aa - bb
        x2, z2 = aa * bb % _P, e * (aa + _A24 * e) % _P
        x3, z3 = (da + cb) ** 2 % _P, _BASE_POINT * (da - cb) ** 2 % _P
        if odd:
            x2, z2, x3, z3 = x3, z3, x2, z2
    return (x2 * pow(z2, -1, _P) % _P).to_bytes(32, "little")
