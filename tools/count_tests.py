#!/usr/bin/env python3
"""Counts the tests of a Meson run: count_tests.py testlog.json LABEL

A doctest program counts by its test cases, any other test as one. A program that failed in another way than by a case (crash, timeout, leak,
sanitizer report), and one whose filter met no case, is one failed more. Prints `PASSED FAILED`, then a line for each program that failed and
a few that say how: what CI keeps of a run may be its end alone.
"""
import json
import re
import sys

CASES = re.compile(r"\[doctest\] test cases:\s*(\d+)\s*\|\s*(\d+) passed\s*\|\s*(\d+) failed")
SAYS_HOW = re.compile(r"TEST CASE:|ERROR:|values:|logged:|SUMMARY:|WARNING: ThreadSanitizer|Assertion|FAILED|Error\b|forgiven|\bSIG[A-Z]+\b")
MOST_LINES = 8

passed = failed = 0
failures = []
with open(sys.argv[1]) as log:
    for test in map(json.loads, log):
        if test["result"] == "SKIP":
            print(f"skipped: {sys.argv[2]}: {test['name']}", file=sys.stderr)
            continue
        cases = CASES.search(test.get("stdout") or "")
        total, good, bad = map(int, cases.groups()) if cases else (1, 0, 0)
        if not cases and test["result"] == "OK":
            good = 1
        if bad == 0 and (test["result"] != "OK" or total == 0):
            bad = 1
        passed += good
        failed += bad
        if bad:
            failures.append(f"{sys.argv[2]}: {test['name']}: {bad} failed ({test['result']}, {test.get('duration') or 0:.0f} s)")
            output = (test.get("stdout") or "") + "\n" + (test.get("stderr") or "")
            said = [line.strip()[:200] for line in output.splitlines() if SAYS_HOW.search(line)]
            failures += [f"    {line}" for line in said[:MOST_LINES] or output.split("\n")[-4:]]
print(passed, failed)
print("\n".join(failures))
