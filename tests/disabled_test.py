#!/usr/bin/env python3
"""With PEPPER_DISABLED a compiler makes of a function what it makes of it without pepper: disabled_test.py SOURCE INCLUDE COMPILER
COMPILER is the build's own; g++ and clang++ are asked as well where they are there."""
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path


def code(compiler, source, include, options, place):
    """The instructions of work(), relocations included."""
    made = Path(place) / "out.o"
    flags = ["-std=c++20", "-O2", "-ffunction-sections", "-Wall", "-Wextra", "-Werror", f"-I{include}", *options]
    subprocess.run([compiler, *flags, "-c", source, "-o", made], check=True)
    dump = subprocess.run(
        ["objdump", "-dr", "--no-show-raw-insn", "--section=.text.work", "--section=.text.unlikely.work", made],
        check=True, capture_output=True, text=True).stdout
    return [line for line in dump.splitlines() if line.startswith(" ") or line.startswith("\t")]


def main():
    source, include, own = sys.argv[1:]
    compilers = [own] + [other for other in ("g++", "clang++") if other != own and shutil.which(other)]
    failed = 0
    with tempfile.TemporaryDirectory() as place:
        for compiler in compilers:
            plain = code(compiler, source, include, [], place)
            disabled = code(compiler, source, include, ["-DINSTRUMENTED", "-DPEPPER_DISABLED"], place)
            recording = code(compiler, source, include, ["-DINSTRUMENTED"], place)
            # Else the comparison could not fail.
            is_right = plain == disabled and len(plain) > 10 and len(recording) > 2 * len(plain)
            failed += not is_right
            print(f"{compiler}: {len(plain)} lines of code plain, {len(disabled)} disabled, {len(recording)} recording:",
                  "equal" if plain == disabled else "DIFFERENT", "" if is_right else "FAILED")
            if plain != disabled:
                print("\n".join(disabled))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
