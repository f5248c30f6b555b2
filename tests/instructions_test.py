#!/usr/bin/env python3
"""How many instructions one record takes, by callgrind, which counts the same on every machine and at every load.

usage: instructions_test.py [--scraped RECORD_SCRAPED_LOOP] [RECORD_LOOP...]

Each RECORD_LOOP is bench/record_loop, built into an executable or around a shared library. Its loops run twice, with few turns and with
many; the difference is free of whatever happens once, and the same of the empty loop is taken off. What is left is a record with its
share of the hand-over of a chunk, once in 255. RECORD_SCRAPED_LOOP is bench/record_scraped_loop: a record must take as many instructions
while its collector is scraped every 100 ms as when it is not. Exit code 77 (skipped) without valgrind.
"""

import argparse
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


# Of records while scraped and while not: the hand-over, once in 255, may differ by a step or two.
SCRAPES, BURSTS, SAME = 4, 200, 0.02


def count(program, mode, loop, turns):
    """Instructions inside `loop`, and in what it calls, during one run; its records, where it says how many."""
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run(
            [
                "valgrind",
                "--tool=callgrind",
                "--fair-sched=yes",  # one thread runs at a time: each in its turn
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
    records = re.search(r"^records: (\d+)$", done.stdout, re.M)
    return int(collected.group(1)), int(records.group(1)) if records else 0


def per_turn(program, mode, loop):
    return (count(program, mode, loop, MANY)[0] - count(program, mode, loop, FEW)[0]) / (MANY - FEW)


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


def check_scraped(program):
    """Whether its records take the same instructions while they are scraped; prints both."""
    alone, scraped = (
        instructions / records
        for instructions, records in (count(program, "alone", "handle_loop", BURSTS), count(program, "scraped", "handle_loop", SCRAPES))
    )
    kept = abs(scraped - alone) <= SAME
    name = os.path.basename(program)
    print(f"{name}: {'ok    ' if kept else 'FAILED'} {scraped:.3f} instructions a turn while scraped every 100 ms, {alone:.3f} while not (the same)")
    return [kept]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scraped", metavar="RECORD_SCRAPED_LOOP")
    parser.add_argument("programs", metavar="RECORD_LOOP", nargs="*")
    arguments = parser.parse_args()
    if shutil.which("valgrind") is None:
        print("valgrind is not installed: instructions are not counted")
        return 77
    passed = failed = 0
    checks = [(check, program) for program in arguments.programs]
    checks += [(check_scraped, arguments.scraped)] if arguments.scraped else []
    for function, program in checks:
        try:
            kept = function(program)
        except RuntimeError as error:
            print(error)
            kept = [False]
        passed += sum(kept)
        failed += len(kept) - sum(kept)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
