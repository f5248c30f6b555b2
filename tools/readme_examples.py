#!/usr/bin/env python3
"""Compiles and runs the programs of a README and of headers' comments: readme_examples.py FILE...

Every ```cpp block with an `int main` is a program, and in a header what is indented by four in a comment. Each is compiled as a user would, with what
`pkg-config --cflags --libs` says of pepper, or of pepper-prometheus if it includes that, and every warning an error, run in an empty directory, and must
exit with 0. Fails if a file has no program at all.
"""
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

TIMEOUT_SECONDS = 60


def programs(path):
    """(line, code) of each whole program."""
    text = path.read_text()
    is_header = path.suffix == ".hpp"
    for block in re.finditer(r"(?:^///?(?:     .*)?\n)+" if is_header else r"(?<=^```cpp\n)(?:.*?)(?=^```)", text, re.M if is_header else re.S | re.M):
        code = re.sub(r"^///?(?:     )?", "", block.group(), flags=re.M) if is_header else block.group()
        if re.search(r"\bint\s+main\b", code):
            yield text.count("\n", 0, block.start()) + 1, code


def build_and_run(code, line, readme):
    """What went wrong, or an empty string."""
    package = "pepper-prometheus" if "<pepper/prometheus.hpp>" in code else "pepper"
    flags = shlex.split(subprocess.check_output(["pkg-config", "--cflags", "--libs", package], text=True))
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "example.cpp")
        source.write_text(f'#line {line} "{readme}"\n{code}')
        command = [os.environ.get("CXX", "g++"), "-std=c++20", "-O2", "-Wall", "-Wextra", "-Werror", str(source), "-o", f"{folder}/example", *flags]
        compiled = subprocess.run(command, capture_output=True, text=True)
        if compiled.returncode != 0:
            return f"does not compile:\n{compiled.stderr}"
        run_folder = Path(folder, "run")
        run_folder.mkdir()
        try:
            run = subprocess.run([f"{folder}/example"], cwd=run_folder, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            return f"still runs after {TIMEOUT_SECONDS} s"
        if run.returncode != 0:
            return f"exits with {run.returncode}:\n{run.stdout}{run.stderr}"
    return ""


def main():
    files = sys.argv[1:]
    count = failed = 0
    for file in files:
        found = list(programs(Path(file)))
        if not found:
            print(f"{file}: has no program")
            failed += 1
        for line, code in found:
            wrong = build_and_run(code, line, file)
            failed += bool(wrong)
            print(f"{file}:{line}: {wrong or 'compiles and runs'}")
        count += len(found)
    print(f"{count} programs in {len(files)} files, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
