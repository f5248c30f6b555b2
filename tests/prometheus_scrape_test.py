#!/usr/bin/env python3
"""A real Prometheus scrapes pepper-demo, and a page of oddities, and must say what the ledger says.

usage: prometheus_scrape_test.py PEPPER_DEMO PROMETHEUS_ODD

Starts all of them itself: on loopback, on free ports, in a folder of its own; ends them by their pid. Skipped (77) without a prometheus.
"""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from contextlib import ExitStack

PATIENCE_SECONDS = 60
results = []
# Not through a proxy, whatever the environment says.
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def check(promise, holds, detail=""):
    results.append(bool(holds))
    print(("ok    " if holds else "FAIL  ") + promise + ("" if holds else f"  [{detail}]"), flush=True)


def get(url):
    with opener.open(url, timeout=10) as answer:
        return answer.read()


def wait_for(function, what):
    """What it returns, once it is true."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            if found := function():
                return found
        except OSError:  # nobody listens yet
            pass
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.05)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(stack, command, **options):
    process = subprocess.Popen(command, text=True, **options)

    def end():
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    stack.callback(end)
    return process


class Prometheus:
    def __init__(self, stack, folder, targets):
        with open(f"{folder}/prometheus.yml", "w", encoding="utf-8") as file:
            jobs = [{"job_name": job, "static_configs": [{"targets": [target]}]} for job, target in targets.items()]
            json.dump({"global": {"scrape_interval": "200ms", "scrape_timeout": "200ms"}, "scrape_configs": jobs}, file)  # JSON is YAML
        for _ in range(5):  # somebody else may take a free port first
            port = free_port()
            self.url = f"http://127.0.0.1:{port}"
            log = open(f"{folder}/log", "w", encoding="utf-8")
            self.process = start(
                stack,
                [shutil.which("prometheus"), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
                 f"--web.listen-address=127.0.0.1:{port}"],
                stdout=log, stderr=log, cwd=folder,
            )  # fmt: skip
            try:
                wait_for(lambda: self.process.poll() is not None or get(self.url + "/-/ready"), "prometheus")
            except TimeoutError:
                pass
            if self.process.poll() is None:
                return
        raise RuntimeError(open(f"{folder}/log", encoding="utf-8").read())

    def query(self, query):
        """{labels: value}"""
        answer = json.loads(get(f"{self.url}/api/v1/query?" + urllib.parse.urlencode({"query": query})))
        return {json.dumps(one["metric"], sort_keys=True): float(one["value"][1]) for one in answer["data"]["result"]}

    def value(self, query):
        found = list(self.query(query).values())
        return found[0] if len(found) == 1 else found


def make_tree(tree):
    for folder in ("a", "b"):
        os.makedirs(f"{tree}/{folder}")
        for i in range(150):
            with open(f"{tree}/{folder}/{i}.{('txt', 'h', 'cpp')[i % 3]}", "wb") as file:
                file.write(b"x" * (i * 997))
    for name in ('odd.a"b\\c', "none", "odd.{}"):
        with open(f"{tree}/{name}", "wb") as file:
            file.write(b"odd")
    os.chmod(f"{tree}/none", 0 if os.geteuid() else 0o600)


def test_demo(prometheus, demo, output, page):
    text = output()
    files, size = (int(re.search(rf"^{word} +(\d+)$", text, re.M).group(1)) for word in ("files", "bytes"))
    recorded, aggregated = map(int, re.search(r"^ledger +recorded (\d+) = aggregated (\d+) \+ pending 0 ", text, re.M).groups())
    wait_for(lambda: prometheus.value("sum(demo_files_total)") == files, f"{files} files in prometheus")
    for promise, query, expected in (
        ("the files that were hashed", "sum(demo_files_total)", files),
        ("the bytes", "sum(demo_bytes_total)", size),
        ("the records of the ledger", 'pepper_recorded_total{job="demo"}', recorded),
        ("those aggregated", 'pepper_aggregated_total{job="demo"}', aggregated),
        ("as many file times as files", "sum(demo_file_time_seconds_count)", files),
        ("and as many in their last bucket", 'sum(demo_file_time_seconds_bucket{le="+Inf"})', files),
        ("a quantile between the borders of its bucket", "histogram_quantile(0.5, sum by (le) (demo_file_time_seconds_bucket)) > bool 0", 1),
        ("a label with a quote and a backslash", 'demo_files_total{extension="a\\"b\\\\c"}', 1),
        ("nothing in flight", "demo_files_in_flight", 0),
        ("nothing left out", 'pepper_series_not_shown{job="demo"}', 0),
    ):
        found = prometheus.value(query)
        check(f"prometheus has {promise}", found == expected, f"{query}: {found}, not {expected}")
    lint = subprocess.run(["promtool", "check", "metrics"], input=get(page), capture_output=True)
    check("promtool check metrics finds nothing", lint.returncode == 0 and not lint.stdout and not lint.stderr, lint)
    demo.send_signal(signal.SIGINT)
    check("Ctrl-C ends it, with the job's exit code", demo.wait(timeout=20) == 0, demo.returncode)


def test_odd(prometheus):
    wait_for(lambda: prometheus.query("odd_infinity"), "the odd page in prometheus")
    check("a page with quotes, newlines, zero bytes, broken UTF-8, NaN and infinities is scraped", prometheus.value('up{job="odd"}') == 1)
    check("each series is there, with its value", prometheus.value("sum(odd_total)") == 36 and prometheus.value("count(odd_total)") == 8,
          prometheus.query("odd_total"))
    check("no line was injected", prometheus.query("evil") == {}, prometheus.query("evil"))
    check("UTF-8 is itself", prometheus.value('odd_total{text="größer €"}') == 3, prometheus.query("odd_total"))
    infinity, nan = prometheus.value("odd_infinity"), prometheus.value("odd_nan_sum")
    check("infinity and NaN are themselves", infinity == float("inf") and nan != nan, (infinity, nan))
    check("a label of pepper's never becomes one of Prometheus' own", prometheus.value('odd_values_count{le_="mine", _name__="x"}') == 4)


def main():
    if shutil.which("prometheus") is None or shutil.which("promtool") is None:
        print("no prometheus here: skipped")
        return 77
    demo_path, odd_path = map(os.path.abspath, sys.argv[1:])
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="pepper-prometheus-"))
        make_tree(folder + "/tree")
        output = open(folder + "/demo.txt", "w+", encoding="utf-8")
        demo = start(stack, [demo_path, folder + "/tree", "--serve", "127.0.0.1:0"], stdout=output, stdin=subprocess.DEVNULL)
        odd = start(stack, [odd_path], stdout=subprocess.PIPE, stdin=subprocess.PIPE)
        read = lambda: open(folder + "/demo.txt", encoding="utf-8").read()
        page = wait_for(lambda: re.search(r"^serving +(\S+) until Ctrl-C$", read(), re.M), "the demo").group(1)
        targets = {"demo": urllib.parse.urlsplit(page).netloc, "odd": urllib.parse.urlsplit(odd.stdout.readline().strip()).netloc}
        prometheus = Prometheus(stack, folder, targets)
        test_odd(prometheus)
        test_demo(prometheus, demo, read, page)
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
