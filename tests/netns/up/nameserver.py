# SPDX-License-Identifier: Apache-2.0
"""A name server for one name (RFC 1035), on 127.0.0.1: `nameserver.py NAME ADDRESS DELAY_S`.

Whoever asks for its address of IPv4 hears it after the delay; any other question has no answers.
"""

import socket
import struct
import sys
import time
from ipaddress import IPv4Address

_HEADER = struct.Struct("!6H")
_A, _IN = 1, 1
_ANSWERED = 0x8180  # a response; recursion desired and available
_TTL_S = 1


def answer(query: bytes, name: str, address: IPv4Address) -> bytes:
    """The response to a query with one question."""
    number, *_ = _HEADER.unpack_from(query)
    end = query.index(b"\0", _HEADER.size) + 1
    kind, _ = struct.unpack_from("!2H", query, end)
    wanted = b"".join(bytes((len(each),)) + each.encode() for each in name.split(".")) + b"\0"
    is_known = query[_HEADER.size : end].lower() == wanted and kind == _A
    head = _HEADER.pack(number, _ANSWERED, 1, int(is_known), 0, 0)
    record = struct.pack("!3HIH", 0xC000 | _HEADER.size, _A, _IN, _TTL_S, 4) + address.packed
    return head + query[_HEADER.size : end + 4] + (record if is_known else b"")


def main() -> None:
    name, address, delay_s = sys.argv[1], IPv4Address(sys.argv[2]), float(sys.argv[3])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 53))
        sys.stdout.write("listening\n")
        sys.stdout.flush()
        while True:
            query, sender = server.recvfrom(512)
            time.sleep(delay_s)
            server.sendto(answer(query, name, address), sender)


if __name__ == "__main__":
    main()
