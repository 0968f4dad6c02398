# SPDX-License-Identifier: Apache-2.0
{
  lib,
  coreutils,
  installShellFiles,
  libbpf,
  linuxHeaders,
  llvmPackages,
  python3,
}:

let
  project = (lib.importTOML ../../pyproject.toml).project;
  inherit (python3.pkgs) buildPythonApplication;
in
buildPythonApplication {
  pname = project.name;
  inherit (project) version;
  pyproject = true;

  src = lib.fileset.toSource {
    root = ../..;
    fileset = lib.fileset.unions [
      ../../docs
      ../../ebpf
      ../../packaging
      ../../src
      ../../LICENSE
      ../../README.md
      ../../pyproject.toml
    ];
  };

  # ctypes finds a library by its path, or not at all.
  postPatch = ''
    patchShebangs ebpf/build
    substituteInPlace src/krait/kernel/bpf/libbpf.py \
      --replace-fail '"libbpf.so.1"' '"${lib.getLib libbpf}/lib/libbpf.so.1"'
  '';

  build-system = [ python3.pkgs.hatchling ];
  dependencies = with python3.pkgs; [
    asyncinotify
    pyyaml
    structlog
  ];
  nativeBuildInputs = [
    installShellFiles
    llvmPackages.clang-unwrapped # the wrapped one adds flags that -target bpf does not know
    llvmPackages.llvm
    python3.pkgs.shtab
  ];
  env.C_INCLUDE_PATH = lib.makeSearchPathOutput "dev" "include" [
    libbpf
    linuxHeaders
  ];

  postInstall = ''
    PYTHONPATH=packaging:$out/${python3.sitePackages}:$PYTHONPATH \
      python -m release.share share ${project.version}
    installManPage share/*.[58]
    install -D -m 0644 -t $out/share/krait share/krait.schema.json
    installShellCompletion --cmd krait \
      --bash share/krait.bash --zsh share/krait.zsh --fish share/krait.fish

    install -D -m 0644 -t $out/lib/systemd/system packaging/systemd/krait@.service
    substituteInPlace $out/lib/systemd/system/krait@.service \
      --replace-fail /usr/bin/krait $out/bin/krait \
      --replace-fail /bin/mkdir ${coreutils}/bin/mkdir \
      --replace-fail /bin/kill ${coreutils}/bin/kill
  '';

  pythonImportsCheck = [ "krait.cli.main" ];

  meta = {
    inherit (project) description;
    license = with lib.licenses; [
      asl20
      gpl2Only
      bsd2
    ];
    mainProgram = "krait";
    platforms = lib.platforms.linux;
  };
}
