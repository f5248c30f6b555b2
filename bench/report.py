#!/usr/bin/env python3
"""Runs pepper-bench and reads its figures against each other.

usage: report.py PEPPER_BENCH [--filter REGEX] [--repetitions N] [--min-time SECONDS] [--json FILE]
       report.py --read FILE

Each bench runs N times (9), in random order, so that what the machine does meanwhile falls on all alike. The table gives the median, the
least and the most of the repetitions, and the ratio of the median (in brackets: of the least, which a busy machine disturbs less) to that of
the bench's baseline in the same run. Then the promises, kept or broken by the median, of those benches that ran. Exit code 1 if a promise was
broken or a bench failed.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys

# The first pattern that matches a bench names what it is to be compared with.
BASELINES = [
    (r"record_scraped/(series:1)", r"record_handle/\1"),
    (r"collect_and_serialize_page/(series:\d+)", r"serialize_page/\1"),
    (r"(record_handle|record_span|set_gauge|enqueue_moodycamel|add_to|fetch_add|aggregate_in).*/threads:2", "store_in_ring/kib:64/threads:2"),
    (r"(record_handle|record_span|set_gauge|enqueue_moodycamel|add_to|fetch_add|aggregate_in).*/threads:1", "store_in_ring/kib:64/threads:1"),
    (r"(record_handle|record_span|set_gauge|enqueue_moodycamel|add_to|fetch_add|aggregate_in)", "store_in_ring/kib:64"),
    (r"record_dynamic.*/threads:2", "aggregate_in_mutex_map/keys:16/threads:2"),
    (r"record_dynamic.*/threads:1", "aggregate_in_mutex_map/keys:16/threads:1"),
    (r"record_dynamic", "aggregate_in_mutex_map/keys:16"),
    (r"record_disabled", "do_nothing"),
    (r"record_sampled", "do_nothing"),
    (r"record_rate_limited", "record_handle/series:1"),
    (r"time_scope", "read_clock_twice"),
    (r"fold_(?:checked|unchecked)/(series:\d+)", r"fold_plainly/\1"),
    (r"saturate/(threads:\d+)/.*", r"saturate_nothing/\1"),
    (r"fold_distributed/(series:\d+)", r"fold_checked/\1"),
    (r"saturate_distributed/(threads:\d+/series:\d+/chunks:\d+)", r"saturate/\1"),
    (r"find/(series:\d+)", r"find_in_unordered_map/\1"),
]

NS, US, MS = 1, 1e3, 1e6

# what is promised, the most it may be, its unit, a formula over the medians: m(bench) or m(bench, counter)
PROMISES = [
    ("a handle's record / a store in a ring", 1.4, None, lambda m: m("record_handle/series:1") / m("store_in_ring/kib:64")),
    (
        "a handle's record, two threads on one series / one thread",
        2.0,
        None,
        lambda m: m("record_handle/series:1/threads:2") / m("record_handle/series:1/threads:1"),
    ),
    ("a record while disabled, loop included", 0.5, NS, lambda m: m("record_disabled")),
    ("a call that a sampler skips, above an empty loop", 0.4, NS, lambda m: m("record_sampled/percent:0") - m("do_nothing")),
    ("a call within its rate, above a record", 2.0, NS, lambda m: m("record_rate_limited/passes:1") - m("record_handle/series:1")),
    ("a call that a rate limit refuses, above a record", 2.0, NS, lambda m: m("record_rate_limited/passes:0") - m("record_handle/series:1")),
    ("a scoped timer above two clock reads", 2.0, NS, lambda m: m("time_scope") - m("read_clock_twice")),
    ("a dynamic record, two tags, 16 keys", 20.0, NS, lambda m: m("record_dynamic/keys:16/copies:1")),
    ("saturated, CPU of the process per record, 1 series", 3.0, NS, lambda m: m("saturate/threads:2/series:1/chunks:257")),
    ("saturated, CPU of the process per record, 16 series", 3.0, NS, lambda m: m("saturate/threads:2/series:16/chunks:257")),
    ("saturated, CPU of the process per record, 1,024 series", 6.0, NS, lambda m: m("saturate/threads:2/series:1024/chunks:257")),
    ("worst call, p99.99 above that of an empty timer", 1.0, US, lambda m: m("record_worst_call/threads:2/chunks:257")),
    ("the same with distributions, 16 series", 1.0, US, lambda m: m("record_worst_call_distributed/threads:2/chunks:257")),
    ("flush() while 16 threads record, p95", 0.5, MS, lambda m: m("flush_while_recording/threads:16", "p95")),
    ("flush() of 100,000 series, all changed", 10.0, MS, lambda m: m("flush_changed/series:100000/percent:100")),
    ("flush() of 100,000 series, 1 % changed", 1.5, MS, lambda m: m("flush_changed/series:100000/percent:1")),
    *(
        (f"a fold with distributions / without, {n} series", most, None, lambda m, n=n: m(f"fold_distributed/series:{n}") / m(f"fold_checked/series:{n}"))
        for n, most in ((1, 2.0), (16, 2.0), (1024, 3.0), (65536, 3.0))
    ),
    (
        "saturated with distributions, CPU of the process per record, 16 series",
        4.4,
        NS,
        lambda m: m("saturate_distributed/threads:2/series:16/chunks:257"),
    ),
    ("flush() of 100,000 series with distributions, all changed", 30.0, MS, lambda m: m("flush_distributed/series:100000")),
    ("quantile() of 640 buckets", 300.0, NS, lambda m: m("quantile")),
    ("bytes of a series with 640 buckets", 4096.0, None, lambda m, *_: m("quantile", "bytes")),
    ("bytes of a series without, beside its key", 200.0, None, lambda m, *_: m("quantile", "bytes_without")),
    (
        "a page of 10,000 series with 20 buckets / prometheus-cpp's serializer alone",
        2.0,
        None,
        lambda m: m("collect_and_serialize_page/series:10000") / m("serialize_page/series:10000"),
    ),
    ("a record while scraped every 100 ms / while not", 1.10, None, lambda m: m("record_scraped/series:1") / m("record_handle/series:1")),
    ("find() among 100,000 series", 150.0, NS, lambda m: m("find/series:100000")),
]

# What Google Benchmark says of every run; whatever else is there is a counter of the bench's own.
COMMON_FIELDS = {
    "name", "family_index", "per_family_instance_index", "run_name", "run_type", "repetitions", "repetition_index", "threads",
    "iterations", "real_time", "cpu_time", "time_unit", "error_occurred", "error_message",
}  # fmt: skip


def run(options):
    command = [
        options.program,
        f"--benchmark_repetitions={options.repetitions}",
        "--benchmark_enable_random_interleaving=true",
        f"--benchmark_min_time={options.min_time}",
        f"--benchmark_filter={options.filter}",
        "--benchmark_format=json",
    ]
    try:
        text = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"report.py: cannot run the benches: {error}")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            file.write(text)
    return json.loads(text)


def collect(results):
    """{bench: {counter: [value of each repetition]}} in the order of the program, and {bench: error}."""
    figures, errors = {}, {}
    for one in sorted(results["benchmarks"], key=lambda one: (one["family_index"], one["per_family_instance_index"])):
        if one["run_type"] != "iteration":
            continue
        name = re.sub(r"/(iterations:\d+|manual_time|repeats:\d+)", "", one["run_name"])
        if one.get("error_occurred"):
            errors[name] = one["error_message"]
            continue
        counters = figures.setdefault(name, {})
        for counter in one.keys() - COMMON_FIELDS:
            counters.setdefault(counter, []).append(one[counter])
    return figures, errors


def baseline_of(name):
    for pattern, baseline in BASELINES:
        match = re.match(pattern, name)
        if match:
            found = match.expand(baseline)
            return found if found != name else None
    return None


def amount(nanoseconds):
    if abs(nanoseconds) < 1e4:
        return f"{nanoseconds:.2f} ns"
    return f"{nanoseconds / US:.1f} us" if abs(nanoseconds) < 1e6 else f"{nanoseconds / MS:.2f} ms"


def print_table(figures, errors):
    width = max(len(name) for name in [*figures, *errors])
    print(f"{'bench':{width}}  {'median':>11}  {'least':>11}  {'most':>11}  compared with")
    for name, counters in figures.items():
        values = counters["ns"]
        line = f"{name:{width}}  {amount(statistics.median(values)):>11}  {amount(min(values)):>11}  {amount(max(values)):>11}"
        baseline = baseline_of(name)
        if baseline in figures:
            beside = figures[baseline]["ns"]
            line += f"  {statistics.median(values) / statistics.median(beside):.2f} ({min(values) / min(beside):.2f}) x {baseline}"
        others = [f"{key} {statistics.median(counters[key]):.4g}" for key in sorted(counters) if key != "ns"]
        print(line + ("  [" + ", ".join(others) + "]" if others else ""))
    for name, error in errors.items():
        print(f"{name:{width}}  FAILED: {error}")


def print_promises(figures):
    """How many were kept and how many broken."""
    kept = broken = 0
    for what, most, unit, formula in PROMISES:
        try:
            found = formula(lambda name, counter="ns": statistics.median(figures[name][counter])) / (unit or 1)
            least = formula(lambda name, counter="ns": min(figures[name][counter])) / (unit or 1)
        except KeyError:
            continue  # its bench was filtered out
        name = {None: "", NS: " ns", US: " us", MS: " ms"}[unit]
        print(f"{'ok    ' if found <= most else 'BROKEN'} {what}: {found:.3g}{name} (by the least: {least:.3g}), at most {most:g}{name}")
        kept += found <= most
        broken += found > most
    return kept, broken


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", nargs="?")
    parser.add_argument("--filter", default=".")
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--min-time", type=float, default=0.05, help="of measured time, each repetition")
    parser.add_argument("--json", metavar="FILE", help="keep Google Benchmark's own output")
    parser.add_argument("--read", metavar="FILE", help="run nothing, read what --json kept")
    options = parser.parse_args()
    if bool(options.program) == bool(options.read):
        parser.error("give either PEPPER_BENCH or --read FILE")
    if options.read:
        with open(options.read, encoding="utf-8") as file:
            results = json.load(file)
    else:
        results = run(options)
    figures, errors = collect(results)
    if not figures and not errors:
        sys.exit("no bench matches")
    context = results["context"]
    print(f"{context['num_cpus']} CPUs, load {context['load_avg']}, pepper's clock: {context.get('pepper_clock', 'unknown')}")
    print_table(figures, errors)
    kept, broken = print_promises(figures)
    print(f"{kept} promises kept, {broken} broken, {len(errors)} benches failed")
    return 1 if broken or errors else 0


if __name__ == "__main__":
    sys.exit(main())
