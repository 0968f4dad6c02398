# SPDX-License-Identifier: Apache-2.0
# As much of nixpkgs' library as our module uses. Options are taken as they are: types, defaults and
# the merging of modules are nixpkgs' and are not evaluated here.
rec {
  mkOption = declared: declared;
  mkIf = condition: value: if condition then value else { };
  nameValuePair = name: value: { inherit name value; };
  mapAttrsToList = f: set: map (name: f name set.${name}) (builtins.attrNames set);
  mapAttrs' = f: set: builtins.listToAttrs (mapAttrsToList f set);
  concatLists = builtins.concatLists;
  optional = condition: value: if condition then [ value ] else [ ];
  optionalString = condition: text: if condition then text else "";
  types = {
    attrsOf = of: { inherit of; };
    submodule = declared: declared;
    nullOr = of: { inherit of; };
    enum = values: { inherit values; };
    path = "path";
    bool = "bool";
  };
}
