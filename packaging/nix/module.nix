# SPDX-License-Identifier: Apache-2.0
# services.krait.IFACE: a policy for a WireGuard interface, by the unit that the package ships.
# What differs from one instance to another is a drop-in; the document is in /etc/krait.
{ self }:
{
  config,
  lib,
  pkgs,
  ...
}:

let
  instances = config.services.krait;
  package = self.packages.${pkgs.stdenv.hostPlatform.system}.krait;
  each = f: lib.mapAttrs' f instances;
  unit = interface: "krait@${interface}";
  path = interface: "/etc/krait/${interface}.yaml";

  # A document with a mistake, or whose own tests fail, fails the build of the system.
  checked =
    interface: settings:
    let
      written = (pkgs.formats.yaml { }).generate "${interface}.yaml" settings;
    in
    pkgs.runCommand "krait-${interface}.yaml" { } ''
      ${package}/bin/krait check ${written}
      cp ${written} $out
    '';

  document =
    interface: instance:
    if instance.configFile != null then instance.configFile else checked interface instance.settings;

  # The unit's own command, unless something is asked for that only the command line says.
  command =
    interface: instance:
    let
      attach = lib.optionalString (instance.attach != "auto") " --attach ${instance.attach}";
      verb =
        if instance.manage then
          "up ${interface} --config ${path interface} --foreground"
        else
          "agent --iface ${interface}";
    in
    lib.mkIf (instance.manage || attach != "") {
      ExecStart = [
        "" # takes the unit's away
        "${package}/bin/krait ${verb}${attach}"
      ];
    };

  port = instance: instance.settings.mesh.listen_port or null;
in
{
  options.services.krait = lib.mkOption {
    default = { };
    description = "WireGuard interfaces that get a policy, by name.";
    type = lib.types.attrsOf (
      lib.types.submodule {
        options = {
          configFile = lib.mkOption {
            type = lib.types.nullOr lib.types.path;
            default = null;
            description = "The policy document. Either this or `settings`.";
          };
          settings = lib.mkOption {
            type = lib.types.nullOr (pkgs.formats.yaml { }).type;
            default = null;
            description = "The policy document as a value: docs/policy.md. It is checked when the system is built.";
            example = {
              nodes.db1 = {
                public_key = "…";
                tags = [ "db" ];
              };
              policy.rules = [
                {
                  name = "web-to-db";
                  from = "web";
                  to = "db";
                  ports = [ "tcp/5432" ];
                }
              ];
            };
          };
          attach = lib.mkOption {
            type = lib.types.enum [
              "auto"
              "tcx"
              "clsact"
            ];
            default = "auto";
            description = "How to attach to the interface; `auto` is the best that the kernel knows.";
          };
          manage = lib.mkOption {
            type = lib.types.bool;
            default = false;
            description = "Whether Krait makes the interface itself, instead of giving policy to one that something else makes.";
          };
          openFirewall = lib.mkOption {
            type = lib.types.bool;
            default = false;
            description = "Whether to open the UDP port of `settings.mesh.listen_port`.";
          };
        };
      }
    );
  };

  config = lib.mkIf (instances != { }) {
    assertions = lib.concatLists (
      lib.mapAttrsToList (interface: instance: [
        {
          assertion = (instance.configFile == null) != (instance.settings == null);
          message = "services.krait.${interface}: say either configFile or settings.";
        }
        {
          assertion = instance.openFirewall -> port instance != null;
          message = "services.krait.${interface}: openFirewall needs settings.mesh.listen_port.";
        }
      ]) instances
    );

    environment.systemPackages = [ package ];
    environment.etc = each (
      interface: instance:
      lib.nameValuePair "krait/${interface}.yaml" { source = document interface instance; }
    );

    boot.kernelModules = [ "wireguard" ];
    networking.firewall.allowedUDPPorts = lib.concatLists (
      lib.mapAttrsToList (_: instance: lib.optional instance.openFirewall (port instance)) instances
    );

    systemd.packages = [ package ];
    systemd.services = each (
      interface: instance:
      lib.nameValuePair (unit interface) {
        overrideStrategy = "asDropin";
        wantedBy = [ "multi-user.target" ];
        # NixOS names the units of its own WireGuard modules otherwise.
        before = [
          "wg-quick-${interface}.service"
          "wireguard-${interface}.service"
        ];
        # Another document is read by the agent that runs.
        reloadTriggers = [ (document interface instance) ];
        serviceConfig = command interface instance;
      }
    );
  };
}
