#!/usr/bin/env python3
"""Installs pepper into a prefix of its own, and builds and runs other people's projects against it.

usage: consumers_test.py BUILD_DIR [subproject]

With `subproject` only the one that builds pepper as its subproject: that takes longer than all others.
"""
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TIMEOUT_SECONDS = 300
ROOT = Path(__file__).resolve().parent.parent
CONSUMERS = ROOT / "tests" / "consumers"
results = []


class Failed(Exception):
    pass


def run(*command, cwd, environment):
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
    if done.returncode != 0:
        raise Failed(f"{shlex.join(map(str, command))}: exit {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def check(promise, function, *arguments):
    try:
        function(*arguments)
        wrong = ""
    except (Failed, subprocess.TimeoutExpired) as failure:
        wrong = f"  [{failure}]"
    results.append(not wrong)
    print(("FAIL  " if wrong else "ok    ") + promise + wrong, flush=True)


class Installation:
    def __init__(self, build, folder):
        destination = folder / "installed"
        run("meson", "install", "-C", build, "--no-rebuild", "--quiet", "--destdir", destination, cwd=folder, environment=dict(os.environ))
        (package,) = destination.rglob("pepper.pc")
        # Somewhere else than where it was installed to.
        prefix = folder / "moved"
        shutil.move(next(path for path in package.parents if (path / "include").is_dir()), prefix)
        self.libraries = next(prefix.rglob("pepper.pc")).parent.parent
        self.prefix = prefix
        self.environment = {
            **{name: value for name, value in os.environ.items() if name not in ("LD_LIBRARY_PATH", "CXXFLAGS", "LDFLAGS", "DESTDIR")},
            "PKG_CONFIG_PATH": str(self.libraries / "pkgconfig"),
            "CMAKE_PREFIX_PATH": str(prefix),
        }
        self.with_libraries = {**self.environment, "LD_LIBRARY_PATH": str(self.libraries)}
        self.has_prometheus = (self.libraries / "libpepper-prometheus.so").exists()


def pkg_config(to, *arguments):
    return shlex.split(run("pkg-config", *arguments, cwd=to.prefix, environment=to.environment))


def compile_and_run(to, folder, source, flags, package="pepper", *, is_static=False):
    libraries = pkg_config(to, *(["--static"] if is_static else []), "--cflags", "--libs", package)
    if is_static:
        libraries = [f"-l:lib{library[2:]}.a" if library.startswith("-lpepper") else library for library in libraries]
    program = folder / "program"
    compiler = shlex.split(os.environ.get("CXX", "c++"))
    run(*compiler, "-O1", "-Wall", "-Wextra", "-Wpedantic", "-Werror", *flags, CONSUMERS / source, "-o", program, *libraries,
        cwd=folder, environment=to.environment)  # fmt: skip
    run(program, cwd=folder, environment=to.environment if is_static else to.with_libraries)


def build_cmake(to, folder):
    build = folder / "cmake"
    run("cmake", "-S", CONSUMERS / "cmake", "-B", build, "-GNinja", "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Werror", cwd=folder, environment=to.environment)
    run("ninja", "-C", build, cwd=folder, environment=to.environment)
    for program in ("shared", "static", "serving", "exposing", "plugins"):
        run(build / program, cwd=folder, environment=to.environment)


def build_meson(to, folder):
    build = folder / "meson"
    run("meson", "setup", build, CONSUMERS / "meson", cwd=folder, environment=to.environment)
    run("ninja", "-C", build, cwd=folder, environment=to.environment)
    for program in ("shared", "serving"):
        run(build / program, cwd=folder, environment=to.with_libraries)


def build_subproject(folder, has_prometheus):
    tree = folder / "tree"
    shutil.copytree(CONSUMERS, tree)
    (tree / "subproject" / "subprojects").mkdir()
    (tree / "subproject" / "subprojects" / "pepper").symlink_to(ROOT)
    environment = {name: value for name, value in os.environ.items() if name != "PKG_CONFIG_PATH"}
    run("meson", "setup", folder / "build", tree / "subproject", "--force-fallback-for=pepper", "-Dbuildtype=debug", cwd=folder, environment=environment)
    for program in ["within", *(["serving"] if has_prometheus else [])]:
        run("ninja", "-C", folder / "build", program, cwd=folder, environment=environment)
        run(folder / "build" / program, cwd=folder, environment=environment)


def exported_names(to):
    for library in to.libraries.glob("libpepper*.so"):
        names = run("nm", "-DC", "--defined-only", library, cwd=to.prefix, environment=to.environment).splitlines()
        others = [name for name in names if "pepper" not in name]
        if others:
            raise Failed(f"{library.name}: {others[:5]}")
        dynamic = run("readelf", "-d", library, cwd=to.prefix, environment=to.environment)
        if "NODELETE" not in dynamic or f"[{library.name}.0]" not in dynamic:
            raise Failed(f"{library.name}: {dynamic}")


def main():
    build = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory(prefix="pepper-consumers-") as top:
        folder = Path(top)
        if sys.argv[2:] == ["subproject"]:
            has_prometheus = any(build.glob("libpepper-prometheus.so*"))
            check("a Meson project that has pepper as its subproject", build_subproject, folder, has_prometheus)
        else:
            to = Installation(build, folder)
            check("the libraries have a version, stay loaded, and show their own names alone", exported_names, to)
            for promise, flags in (
                ("pkg-config, C++20", ["-std=c++20"]),
                ("pkg-config, C++23", ["-std=c++2b"]),
                ("pkg-config, without exceptions and RTTI", ["-std=c++20", "-fno-exceptions", "-fno-rtti"]),
            ):
                check(promise, compile_and_run, to, folder, "consumer.cpp", flags)
            check("pkg-config --static", lambda: compile_and_run(to, folder, "consumer.cpp", ["-std=c++20"], is_static=True))
            if to.has_prometheus:
                without = ["-std=c++20", "-fno-exceptions", "-fno-rtti"]
                check("pkg-config, pepper-prometheus", compile_and_run, to, folder, "prometheus_consumer.cpp", without, "pepper-prometheus")
                check("pkg-config --static, pepper-prometheus",
                      lambda: compile_and_run(to, folder, "prometheus_consumer.cpp", ["-std=c++20"], "pepper-prometheus", is_static=True))
                check("a Meson project", build_meson, to, folder)
                if shutil.which("cmake"):
                    check("a CMake project: shared, static, served, exposed, and two libraries with one default collector", build_cmake, to, folder)
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if results and all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
