# SPDX-License-Identifier: Apache-2.0
# There is no flake.lock: it is made where nixpkgs can be fetched (docs/install.md says what of this
# was never evaluated).
{
  description = "Identity policy for WireGuard meshes, enforced in the Linux kernel by eBPF";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-25.05";

  outputs =
    { self, nixpkgs }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      forEach = f: nixpkgs.lib.genAttrs systems (system: f nixpkgs.legacyPackages.${system});
    in
    {
      packages = forEach (pkgs: rec {
        krait = pkgs.callPackage ./packaging/nix/package.nix { };
        default = krait;
      });

      nixosModules.default = import ./packaging/nix/module.nix { inherit self; };

      checks = forEach (pkgs: {
        two-machines = pkgs.testers.runNixOSTest (import ./packaging/nix/test.nix { inherit self; });
      });

      # The tools of the justfile. `./just` asks apt for nothing here, and makes .venv as elsewhere.
      devShells = forEach (pkgs: {
        default = pkgs.mkShell {
          packages = with pkgs; [
            clang-tools
            iproute2
            iputils
            just
            llvmPackages.clang-unwrapped
            llvmPackages.llvm
            python3
            shellcheck
            uv
            wireguard-go
            wireguard-tools
          ];
          C_INCLUDE_PATH = pkgs.lib.makeSearchPathOutput "dev" "include" [
            pkgs.libbpf
            pkgs.linuxHeaders
          ];
          LD_LIBRARY_PATH = pkgs.lib.makeLibraryPath [ pkgs.libbpf ];
          KRAIT_PACKAGES = "have";
        };
      });
    };
}
