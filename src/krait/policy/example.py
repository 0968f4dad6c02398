# SPDX-License-Identifier: Apache-2.0
"""The documents that `krait example` prints: one with every key in use, each with a word of what it
is for, and one with nobody in it.

To enforce the first as it is would take the private keys of its nodes, which nobody has.
"""

EXAMPLE = """\
# Four machines and an office, as a mesh for Krait. It passes `krait check` as it is.
#
#   krait genkey wg0             on each machine: makes its key, and prints the public one
#   krait check krait.yaml       what is wrong, and whether the tests at the end pass
#   krait explain krait.yaml web1 db1 tcp/5432
#   sudo krait up --config krait.yaml      on each machine, with the same file
#
# `krait add` puts one more machine in. Over an interface that wg-quick or another tool made, keys,
# names, tags and rules are enough: `krait init wg0` writes such a document.
version: 1
interface: wg0
# node: gate              # which node this machine is: its key tells, or its host name
# multicast: {ospf: {address: [224.0.0.5, "ff02::5"]}}  # groups that rules may send to

mesh:
  cidr: [10.8.0.0/24, "fd7a:6b72::/64"]
  listen_port: 51820      # for the nodes that say no other
  mtu: 1420               # without it, what the network underneath leaves

nodes:
  gate:                   # a hub: it passes packets on between nodes that cannot meet
    public_key: gate/its/public/key/from/krait/genkey/wg0/0=
    tags: [hub]
    address: [10.8.0.1, "fd7a:6b72::1"]
    endpoint: gate.example.org:51820        # where others find it: a name or an address
    transit: true
    routes: [{cidr: 10.20.0.0/24, tags: [office]}]  # subnets behind it, with their own tags

  db1:
    public_key: db1/its/public/key/from/krait/genkey/wg0/00=
    tags: [db, prod]      # rules speak of tags; nodes with the same tags are alike to them
    address: [10.8.0.2, "fd7a:6b72::2"]
    endpoint: 192.0.2.2:51820

  web1:
    public_key: web1/its/public/key/from/krait/genkey/wg0/0=
    tags: [web, prod]
    address: [10.8.0.3, "fd7a:6b72::3"]
    endpoint: "[2001:db8::3]:51820"

  laptop:
    public_key: laptop/its/public/key/of/krait/genkey/wg0/0=
    tags: [admin]
    address: [10.8.0.10, "fd7a:6b72::10"]
    via: gate             # it has a tunnel to the hub alone, and meets all others there
    keepalive: 20         # seconds; keeps the way through a NAT open
    preshared_key_file: /etc/krait/psk/{pair}.key  # on both: laptop and gate; may be left out

policy:
  default: deny           # what no rule allows; or `reject`, which tells the sender
  strict: false           # true: a TCP connection counts only from its first packet on
  guard: false            # true: other interfaces drop what belongs into the tunnel
  reject_ingress: false   # true: rejections are told to peers too, who may have no Krait
  limits: {opens: 1000, burst: 4000}  # flows that a peer may open: a second, and at once
  groups:                 # ports under one name, which rules and tests write as "@web"
    web: [tcp/80, tcp/443]
  rules:
    # Who may open a connection to whom. Answers need no rule. Deny beats allow, in any order.
    - {name: web-to-db, from: web, to: db, ports: [tcp/5432, icmp]}
    - {name: metrics, from: hub, to: prod, ports: tcp/9100-9199}
    - {name: office-to-web, from: office, to: {all: [web, prod]}, ports: "@web"}
    - {name: admin-everywhere, from: [admin, hub], to: "*"}
    - {name: no-ssh-to-db, from: "*", to: db, ports: tcp/22, action: deny}
    # A deny that says so: who tries is refused at once, and does not wait for nothing.
    - {name: no-telnet, from: "*", to: "*", ports: tcp/23, action: reject}
    # A rule that ends by itself, be the agent alive or not.
    - {name: audit-2099, from: office, to: db, ports: tcp/5432, until: "2099-03-01T18:00:00Z"}
    # A rule on trial: `krait status` counts what it would have done; it never does it.
    - {name: trial, from: admin, to: db1, action: deny, audit: true}
  tests:
    # What must stay true: a document whose own tests fail is not put in force.
    - {from: web, to: db, port: tcp/5432, expect: allow}
    - {from: db, to: web, expect: deny}
    - {from: "*", to: db, port: tcp/22, expect: deny}
    - {from: "*", to: prod, port: tcp/23, expect: deny}
    - {from: office, to: web1, port: tcp/443, expect: allow}
"""

MINIMAL = """\
# A mesh for Krait with nobody in it yet. Once for each machine, with the key that
# `krait genkey wg0` prints there (on laptops behind a NAT without --endpoint):
#
#   krait add FILE NAME --key KEY --endpoint HOST:51820 --tags A,B
version: 1
interface: wg0

mesh:
  cidr: 10.8.0.0/24       # the addresses to give out
  listen_port: 51820

nodes: {}

policy:
  rules:
    # Who may open a connection to whom; what no rule allows is dropped. Tags may be named once
    # a node has them: {name: sql, from: web, to: db, ports: tcp/5432}. More: krait example
    - {name: ping, from: "*", to: "*", ports: icmp}
"""
