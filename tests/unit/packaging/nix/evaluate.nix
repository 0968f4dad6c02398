# SPDX-License-Identifier: Apache-2.0
# What the module makes of instances, with the defaults of its own options filled in.
{ instances }:
let
  lib = import ./lib.nix;
  pkgs = {
    stdenv.hostPlatform.system = "here";
    formats.yaml = _: {
      type = "yaml";
      generate = name: value: "/written/${name}:${builtins.toJSON value}";
    };
    runCommand = name: _: script: "/built/${name}";
  };
  self.packages.here.krait = "/krait";
  module = import ../../../../packaging/nix/module.nix { inherit self; };
  made = module {
    inherit lib pkgs;
    config.services.krait = builtins.mapAttrs (_: given: defaults // given) instances;
  };
  options = made.options.services.krait.type.of.options;
  defaults = builtins.mapAttrs (_: option: option.default) options;
in
{
  inherit (made) config;
  options = builtins.attrNames options;
}
