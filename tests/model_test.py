#!/usr/bin/env python3
"""Has spin walk through every order of steps of the protocol in tests/model. Usage: model_test.py MODEL_DIRECTORY

Each model and size is one check: no assertion fails, nobody waits, no search was cut short. Each planted bug is one more: it must be found,
which shows that the models can fail.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

TIMEOUT = 250
MEMORY = ["-DMEMLIM=1500"]
DEPTH = 100_000
DEFAULTS = {"THREADS": 1, "RECORDS": 5, "LOOKS": 2, "POOL": 1, "TRY_MAY_FAIL": 1, "IS_LOSSY": 0, "STOPS": 0, "MAY_END_EARLY": 0,
            "IS_COARSE": 0, "TENANTS": 0, "BUG": 0}
SAFETY, BOUNDED = ["-DSAFETY"], ["-DNP"]

# promise, model, sizes, how
MODELS = [
    ("a thread and its drainer: nothing lost, nothing twice, no wait", "capture", {}, SAFETY),
    ("the same through more hand-overs and folds", "capture", {"RECORDS": 7, "LOOKS": 3, "POOL": 0, "TRY_MAY_FAIL": 0, "IS_COARSE": 1}, SAFETY),
    ("what is dropped is counted once", "capture", {"RECORDS": 4, "IS_LOSSY": 1}, SAFETY),
    ("two threads, one after another or at once", "capture", {"THREADS": 2, "RECORDS": 3, "LOOKS": 1, "TRY_MAY_FAIL": 0, "IS_COARSE": 1}, SAFETY),
    ("the same, and a second look that meets chunks again", "capture", {"THREADS": 2, "RECORDS": 3, "LOOKS": 2, "TRY_MAY_FAIL": 0, "IS_COARSE": 1}, SAFETY),
    ("a drainer does not wait for a thread that stopped anywhere", "capture", {"RECORDS": 4, "STOPS": 1}, SAFETY),
    ("a thread does not wait for a drainer that stopped anywhere", "capture", {"RECORDS": 4, "STOPS": 2}, SAFETY),
    ("every execution ends: the state graph has no cycle", "capture", {"RECORDS": 4}, BOUNDED),
    ("disabled and enabled again: each record counts where it should", "gate", {"RECORDS": 4}, SAFETY),
    ("the next collector in the place counts its own records alone", "gate", {"RECORDS": 4, "TENANTS": 1}, SAFETY),
]

FOLDS = {"RECORDS": 7, "LOOKS": 3, "POOL": 0, "TRY_MAY_FAIL": 0, "IS_COARSE": 1}
# name of the planted bug, model, sizes in which it shows
PLANTED = [
    ("CURSOR_BEFORE_RECORD", "capture", {}),
    ("CURSOR_BEFORE_QUEUE", "capture", {}),
    ("SEAL_STORES_WORD", "capture", {"RECORDS": 7, "IS_COARSE": 1}),
    ("RECYCLED_BEFORE_READ", "capture", {}),
    ("MARK_AFTER_QUEUE", "capture", {}),
    ("OPEN_CHUNK_SKIPPED", "capture", {}),
    ("TAKEN_FORGOTTEN", "capture", {}),
    ("SET_NOT_EMPTIED", "capture", FOLDS),
    ("STOLEN_EMPTIED_EARLY", "capture", {}),
    ("THEFT_UNSEEN", "capture", {}),
    ("LOG_STALE", "capture", {"RECORDS": 7, "IS_COARSE": 1}),
    ("LOG_UNREAD", "capture", {}),
    ("FOLD_IGNORES_TAKEN", "capture", {}),
    ("EPOCH_UNCHECKED", "capture", {}),
    ("PARKED_EPOCH_UNCHECKED", "gate", {"RECORDS": 4}),
    ("MARK_UNHEEDED", "capture", {"POOL": 2}),
    ("TAKEN_WITHOUT_CAS", "capture", {"THREADS": 3, "RECORDS": 3, "LOOKS": 1, "TRY_MAY_FAIL": 0, "IS_COARSE": 1}),
    ("THREAD_WAITS", "capture", {"STOPS": 2}),
    ("DRAINER_WAITS", "capture", {"RECORDS": 4, "STOPS": 1}),
    ("PARKED_BLINDLY", "gate", {"RECORDS": 4}),
    ("SHORT_FORGOTTEN", "capture", {}),
    ("STALE_ID_FOLDED", "gate", {"RECORDS": 4, "TENANTS": 1}),
]


def run(command, directory):
    done = subprocess.run(command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout[-2000:]}")
    return done.stdout


def search(directory, model, sizes, how):
    """Builds one verifier and runs it; its whole report."""
    with tempfile.TemporaryDirectory(prefix="pepper-model-") as scratch:
        defines = [f"-D{name}={value}" for name, value in {**DEFAULTS, **sizes}.items()]
        run(["spin", "-a", *defines, os.path.join(directory, model + ".pml")], scratch)
        run(["gcc", "-O0" if "BUG" in sizes else "-O1", "-w", "-DCOLLAPSE", *MEMORY, *how, "-o", "pan", "pan.c"], scratch)
        return run(["./pan", f"-m{DEPTH}", *(["-l"] if how == BOUNDED else [])], scratch)


def figure(pattern, report):
    found = re.search(pattern, report)
    return int(found.group(1)) if found else -1


def check(promise, holds, report):
    states, transitions, depth = (figure(p, report) for p in (r"(\d+) states, stored", r"(\d+) transitions", r"depth reached (\d+)"))
    print(f"{'ok    ' if holds else 'FAILED'} {promise}: {states} states, {transitions} transitions, depth {depth}", flush=True)
    if not holds:
        print(report)
    return holds


def is_complete(report):
    return figure(r"errors: (\d+)", report) == 0 and not re.search("max search depth|not completed|out of memory|hash table full", report)


def main(directory):
    if shutil.which("spin") is None:
        sys.exit("spin is not installed: the protocol's models are not checked")
    directory = os.path.abspath(directory)
    results = []
    for promise, model, sizes, how in MODELS:
        report = search(directory, model, sizes, how)
        results.append(check(promise, is_complete(report), report))
    for name, model, sizes in PLANTED:
        report = search(directory, model, {**sizes, "BUG": "BUG_" + name}, SAFETY)
        found = re.search(r"pan:\d+: (.*)", report)
        is_found = figure(r"errors: (\d+)", report) > 0 and found is not None and "depth too small" not in report
        results.append(check(f"planted {name} is found", is_found, report))
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
