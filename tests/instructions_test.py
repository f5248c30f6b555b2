#!/usr/bin/env python3
"""How many instructions one record takes, by callgrind, which counts the same on every machine and at every load.

usage: instructions_test.py RECORD_LOOP [RECORD_LOOP...]

Each RECORD_LOOP is bench/record_loop, built into an executable or around a shared library. Its loops run twice, with few turns and with
many; the difference is free of whatever happens once, and the same of the empty loop is taken off. What is left is a record with its
share of the hand-over of a chunk, once in 255. Exit code 77 (skipped) without valgrind.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

CHUNK_RECORDS = 255
FEW, MANY = 80 * CHUNK_RECORDS, 320 * CHUNK_RECORDS

# mode, the loop that it runs, the most instructions a record may take, why
PROMISES = [
    ("handle", "handle_loop", 12.0, "a record through a bound handle"),
    ("disabled", "handle_loop", 8.0, "a record into a disabled collector"),
]
# mode, loop, mode and loop that it may take so many more than, how many, why
DIFFERENCES = [
    ("static", "static_loop", "global", "global_loop", 2.0, "a record through a static handle, more than through one in a variable"),
]
# Not promised, but good to see beside it.
NEIGHBOURS = [
    ("ring", "ring_loop", "a plain store into a ring"),
    ("member", "member_loop", "a record through one of 16 handles in memory"),
]


def count(program, mode, loop, turns):
    """Instructions inside `loop`, and in what it calls, during one run."""
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run(
            [
                "valgrind",
                "--tool=callgrind",
                f"--toggle-collect=pepper::bench::{loop}(*",
                f"--callgrind-out-file={os.path.join(directory, 'out')}",
                program,
                mode,
                str(turns),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    collected = re.search(r"Collected : (\d+)", done.stdout)
    if done.returncode != 0 or collected is None or int(collected.group(1)) < turns:
        raise RuntimeError(f"{program} {mode} {turns} under callgrind: exit code {done.returncode}\n{done.stdout}")
    return int(collected.group(1))


def per_turn(program, mode, loop):
    return (count(program, mode, loop, MANY) - count(program, mode, loop, FEW)) / (MANY - FEW)


def check(program):
    """Prints what one program's loops take; which promises were kept."""
    name = os.path.basename(program)
    empty = per_turn(program, "empty", "empty_loop")
    print(f"{name}: the empty loop takes {empty:.2f} instructions a turn, taken off below")
    for mode, loop, what in NEIGHBOURS:
        print(f"{name}:        {per_turn(program, mode, loop) - empty:6.2f} instructions: {what}")
    kept = []
    for mode, loop, most, what in PROMISES:
        found = per_turn(program, mode, loop) - empty
        kept.append(found <= most)
        print(f"{name}: {'ok    ' if kept[-1] else 'FAILED'} {found:6.2f} instructions: {what} (at most {most:g})")
    for mode, loop, base_mode, base_loop, most, what in DIFFERENCES:
        found = per_turn(program, mode, loop) - per_turn(program, base_mode, base_loop)
        kept.append(found <= most + 0.01)
        print(f"{name}: {'ok    ' if kept[-1] else 'FAILED'} {found:6.2f} instructions: {what} (at most {most:g})")
    return kept


def main(programs):
    if not programs:
        sys.exit(__doc__)
    if shutil.which("valgrind") is None:
        print("valgrind is not installed: instructions are not counted")
        return 77
    passed = failed = 0
    for program in programs:
        try:
            kept = check(program)
        except RuntimeError as error:
            print(error)
            kept = [False]
        passed += sum(kept)
        failed += len(kept) - sum(kept)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
