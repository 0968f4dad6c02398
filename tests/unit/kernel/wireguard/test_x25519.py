# SPDX-License-Identifier: Apache-2.0
"""The test vectors of RFC 7748, section 6.1."""

import pytest

from krait.kernel.wireguard.x25519 import public_key


@pytest.mark.parametrize(
    ("private", "public"),
    [
        (
            "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
            "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
        ),
        (
            "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
            "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
        ),
    ],
)
def test_a_private_key_gives_the_public_key_of_the_standard(private: str, public: str) -> None:
    assert public_key(bytes.fromhex(private)).hex() == public
