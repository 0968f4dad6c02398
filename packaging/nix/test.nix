# SPDX-License-Identifier: Apache-2.0
# Two machines with kernel WireGuard and the service: the scenario that our own vm tier plays.
# The keys were made for this test and are secret to nobody.
{ self }:
let
  db1 = {
    private = "qAE4eVzgWz8zaxBVjkpq3u/C8wnGjzGfYI6M3kA7CWw=";
    public = "LMML6YWCKytTlip5k804hfuZP19+3MAnJDOJ2Ozep3s=";
    address = "10.8.0.1";
  };
  web1 = {
    private = "4JOIYGVv35jy+PIkYI84yntkvOSEmKcgc3OAtPrfDXs=";
    public = "MNO0NH8UpM7dABSL1rjm9SASPVNsvqZFKBuq7VHXsjU=";
    address = "10.8.0.2";
  };

  document = rules: {
    nodes = {
      db1 = {
        public_key = db1.public;
        tags = [ "db" ];
      };
      web1 = {
        public_key = web1.public;
        tags = [ "web" ];
      };
    };
    policy = { inherit rules; };
  };
  allowed = {
    name = "sql";
    from = "web";
    to = "db";
    ports = [
      "tcp/5432"
      "icmp"
    ];
  };
  quarantine = {
    name = "quarantine";
    from = "web";
    to = "*";
    action = "deny";
  };

  machine =
    mine: peer: peerHost:
    { pkgs, ... }:
    {
      imports = [ self.nixosModules.default ];
      environment.systemPackages = with pkgs; [
        jq
        socat
        wireguard-tools
      ];
      networking.firewall.allowedUDPPorts = [ 51820 ];
      networking.firewall.trustedInterfaces = [ "wg0" ];
      networking.wireguard.interfaces.wg0 = {
        ips = [ "${mine.address}/24" ];
        listenPort = 51820;
        privateKeyFile = "${pkgs.writeText "key" mine.private}";
        peers = [
          {
            publicKey = peer.public;
            allowedIPs = [ "${peer.address}/32" ];
            endpoint = "${peerHost}:51820";
          }
        ];
      };
      services.krait.wg0.settings = document [ allowed ];
      environment.etc."quarantine.yaml".text = builtins.toJSON (document [
        allowed
        quarantine
      ]);
    };
in
{
  name = "krait-two-machines";

  nodes = {
    db1 = machine db1 web1 "web1";
    web1 = machine web1 db1 "db1";
  };

  testScript = ''
    def drops(reason):
        found = db1.succeed(f"krait status wg0 --json | jq '.interfaces[0].drops.\"{reason}\".packets // 0'")
        return int(found)

    def answer(port):
        return f"echo hello | timeout 5 socat -t 2 - TCP:${db1.address}:{port},connect-timeout=3 | grep hello"

    start_all()
    for machine in (db1, web1):
        machine.wait_for_unit("krait@wg0.service")
        machine.wait_for_unit("wireguard-wg0.service")
    for port in (5432, 8080):
        db1.succeed(f"systemd-run socat TCP-LISTEN:{port},fork,reuseaddr EXEC:cat")
        db1.wait_for_open_port(port)

    with subtest("a handshake, seen by both"):
        web1.wait_until_succeeds("ping -c 1 -W 2 ${db1.address}")
        for machine in (db1, web1):
            machine.succeed("wg show wg0 latest-handshakes | awk '$2 == 0 { exit 1 }'")

    with subtest("what is allowed passes, what is not drops with its reason"):
        web1.succeed(answer(5432))
        before = drops("denied")
        web1.fail(answer(8080))
        assert drops("denied") > before

    with subtest("the policy outlives its agent"):
        db1.succeed("systemctl stop krait@wg0.service")
        web1.succeed(answer(5432))
        web1.fail(answer(8080))
        db1.succeed("systemctl start krait@wg0.service")

    with subtest("a new document revokes"):
        db1.succeed("cp /etc/quarantine.yaml /etc/krait/new && mv /etc/krait/new /etc/krait/wg0.yaml")
        db1.succeed("systemctl reload krait@wg0.service")
        web1.wait_until_fails(answer(5432))
  '';
}
