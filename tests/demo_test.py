#!/usr/bin/env python3
"""Runs pepper-demo on trees of its own making and checks what it promises. Usage: demo_test.py PATH/TO/pepper-demo"""

import fcntl
import os
import pty
import re
import resource
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time

BLOCK = 64 * 1024
TIMEOUT = 120
DEMO = os.path.abspath(sys.argv[1])
results = []


def check(promise, holds, detail=""):
    results.append(bool(holds))
    print(("ok    " if holds else "FAIL  ") + promise + ("" if holds else f"  [{detail}]"), flush=True)


class Run:
    """One run of the demo: exit code, output, and the result lines as a dictionary."""

    def __init__(self, *arguments, prefix=(), **options):
        begin = time.monotonic()
        done = subprocess.run([*prefix, DEMO, *arguments], capture_output=True, timeout=TIMEOUT, stdin=subprocess.DEVNULL, **options)
        self.seconds = time.monotonic() - begin
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr
        self.text = self.out.decode(errors="replace")
        self.values = dict(re.findall(r"^(files|bytes|errors|digest|elapsed) +(\S+)", self.text, re.M))

    def __getattr__(self, name):
        return self.values.get(name)

    def __repr__(self):
        return f"exit {self.code}, {self.values}, stderr {self.err[-300:]!r}"


def write(path, content=b""):
    with open(path, "wb") as file:
        file.write(content)


def pattern(size):
    return bytes(i * 7 & 255 for i in range(251)) * (size // 251 + 1)


def find(tree):
    """What find says: number of regular files, sum of their sizes."""
    sizes = subprocess.run(["find", tree, "-type", "f", "-printf", "%s\\n"], capture_output=True, check=True).stdout.split()
    return str(len(sizes)), str(sum(map(int, sizes)))


def make_plain_tree(tree):
    os.makedirs(tree + "/sub/.hidden/deeper")
    os.makedirs(tree + "/empty/emptier")
    for name, size in {"small.txt": 5, "UPPER.TXT": 6, "nothing.txt": 0, "block.bin": BLOCK, "block_and_one.bin": BLOCK + 1,
                       "blocks.bin": 5 * BLOCK + 17, ".profile": 3, "no_extension": 9, "trailing.": 2}.items():
        write(f"{tree}/{name}", pattern(size)[:size])
    for i in range(200):
        write(f"{tree}/sub/{i}.h", b"%d" % i)
        write(f"{tree}/sub/.hidden/deeper/rare.x{i}", b"r")
    os.link(tree + "/small.txt", tree + "/sub/hard_link.txt")


def make_odd_tree(tree):
    make_plain_tree(tree)
    root = os.fsencode(tree)
    for name in (b"new\nline.txt", b"\xff\xfe\x80.\xc3\x28", b"n" * 255, b"e." + b"x" * 253, b"\x1b[31mred.\x1b[0m", b" ", b"-rf", b"a\\b", b"tab\t.t\tx"):
        write(root + b"/" + name, name)
    os.symlink(".", tree + "/loop")
    os.symlink("../..", tree + "/sub/loop_up")
    os.symlink("b", tree + "/a"), os.symlink("a", tree + "/b")
    os.symlink("nowhere", tree + "/dangling")
    os.symlink("small.txt", tree + "/link_to_file")
    os.symlink("/usr", tree + "/link_out")
    os.mkfifo(tree + "/fifo.txt")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.join(tree, "s"))
    if os.geteuid() == 0:
        os.mknod(tree + "/endless.dev", 0o20600, os.makedev(1, 5))  # /dev/zero


def make_deep_tree(tree, depth):
    """Deeper than any path the kernel takes in one call."""
    os.mkdir(tree)
    here = os.open(tree, os.O_RDONLY | os.O_DIRECTORY)
    for level in range(depth):
        name = "d" * 100
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=here)
        os.close(here)
        here = below
        file = os.open(f"f{level}.txt", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=here)
        os.write(file, b"deep")
        os.close(file)
    os.close(here)


def counts_agree(promise, tree, run, code=0):
    files, size = find(tree)
    check(promise, run.code == code and (run.files, run.bytes) == (files, size), f"find: {files} files, {size} bytes; {run}")


def test_counts_and_digest(top):
    tree = top + "/plain"
    make_plain_tree(tree)
    first = Run(tree)
    counts_agree("files and bytes are those of find", tree, first)
    check("nothing unread: no errors, nothing on stderr", first.errors == "0" and first.err == b"", first)
    check("the ledger is printed and balances", re.search(r"^ledger +recorded (\d+) = aggregated \1 \+ pending 0 \+ dropped 0\b", first.text, re.M), first.text)
    check("the totals of pepper are checked against the job's", "pepper's totals are the job's own counts" in first.text, first.text)
    for series in ("demo.files", "demo.bytes", "demo.file_time", "demo.block_time", "demo.files_in_flight"):
        check(f"the table has {series}", re.search(rf"^{re.escape(series)}\b", first.text, re.M), first.text)
    timers = re.findall(r"^demo\.\w+_time\S* +timer +[1-9]\d*((?: +[0-9.e-]+){9})", first.text, re.M)
    check("the table has the timers' percentiles, in order",
          timers and all(sorted(map(float, row.split()[3:7])) == list(map(float, row.split()[3:7])) for row in timers), first.text)
    check("how long a block took is drawn", re.search(r"^demo\.block_time, seconds\n(?: *\S+ \.\. \S+ +\d+ +#+\n)+", first.text, re.M), first.text)
    output = first.out + first.err
    check("elsewhere than on a terminal there is no carriage return and no escape", b"\r" not in output and b"\x1b" not in output, output)

    runs = [Run(tree, "--threads", str(n)) for n in (1, 2, 3, 16, 256)]
    check("the digest does not depend on the threads", {r.digest for r in runs} == {first.digest}, runs)
    copy = top + "/copy"
    shutil.copytree(tree, copy)
    check("the digest does not depend on where the tree stands", Run(copy).digest == first.digest)
    with open(copy + "/blocks.bin", "r+b") as file:
        file.seek(4 * BLOCK + 3)
        file.write(b"\0")
    changed = Run(copy)
    check("the digest changes with one byte", changed.digest != first.digest and changed.bytes == first.bytes, changed)
    shutil.copy(tree + "/blocks.bin", copy + "/blocks.bin")
    check("and comes back with it", Run(copy).digest == first.digest)
    os.rename(copy + "/small.txt", copy + "/smell.txt")
    check("the digest changes with a name", Run(copy).digest != first.digest)
    os.rename(copy + "/smell.txt", copy + "/small.txt")
    for a, b in (("small.txt", "t"), ("UPPER.TXT", "small.txt"), ("t", "UPPER.TXT")):
        os.rename(f"{copy}/{a}", f"{copy}/{b}")
    check("the digest changes when two files swap their names", Run(copy).digest != first.digest)
    os.remove(copy + "/nothing.txt")
    check("an empty file is part of the digest", Run(copy).digest != first.digest)


def extension_tags(run):
    return set(re.findall(r"extension=\"?([^\s\",}]*)", run.text))


def test_extensions(top):
    tags = extension_tags(Run(top + "/plain"))
    check("extensions are folded to lower case, the rare ones to 'other', 32 at most",
          {"txt", "h", "bin", "none", "other"} <= tags and "TXT" not in tags and len(tags) <= 32, tags)
    tree = top + "/extensions"
    os.mkdir(tree)
    for name in (b"e." + b"y" * 16, b"e." + b"z" * 17, b"e.a\tb", b"e.\xc3\xa9", b"e.a b", b"..rc", b".rc", b"e.e.", b"e"):
        write(os.fsencode(tree) + b"/" + name)
    tags = extension_tags(Run(tree))
    check("an extension of over 16 bytes or not of printable ASCII is 'other'", tags == {"y" * 16, "other", "none", "rc"}, tags)


def test_odd_trees(top):
    tree = top + "/odd"
    make_odd_tree(tree)
    run = Run(tree)
    counts_agree("odd names, loops of links, a fifo, a socket, a device: as find sees them", tree, run)
    check("odd names do not reach the output raw", b"\x1b" not in run.out + run.err and b"\xff" not in run.out + run.err, run)
    os.symlink(tree, top + "/link_to_odd")
    check("DIR itself may be a link", Run(top + "/link_to_odd").digest == run.digest)
    check("DIR may end in a slash, or be '.'", Run(tree + "/").digest == Run(".", cwd=tree).digest == run.digest)

    os.mkdir(top + "/void")
    empty = Run(top + "/void")
    check("an empty directory is a job of no files", empty.code == 0 and (empty.files, empty.bytes, empty.digest) == ("0", "0", "0" * 16), empty)

    deep = top + "/deep"
    make_deep_tree(deep, 60)
    few = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
    counts_agree("paths longer than PATH_MAX, with 16 file descriptors", deep, Run(deep, "--threads", "3", preexec_fn=few))


def without_privilege():
    """A prefix that takes from root what lets it read everything."""
    caps = "-dac_override,-dac_read_search"
    return ("setpriv", f"--bounding-set={caps}", f"--inh-caps={caps}") if os.geteuid() == 0 else ()


def test_unreadable(top):
    tree = top + "/unreadable"
    make_plain_tree(tree)
    rest = Run(tree, prefix=without_privilege())
    write(tree + "/secret\n.txt", b"secret")
    os.chmod(tree + "/secret\n.txt", 0)
    run = Run(tree, prefix=without_privilege())
    check("an unreadable file: recorded, job goes on, exit 1", run.code == 1 and run.errors == "1", run)
    check("it is counted among the files, not among the bytes, and left out of the digest",
          run.files == find(tree)[0] and run.bytes == rest.bytes and run.digest == rest.digest, run)
    check("it is an error by name in the table", re.search(r"^demo\.errors.*EACCES", run.text, re.M) and re.search(r"^demo\.files.*error", run.text, re.M), run.text)
    compared = Run(tree, "--compare", "--rounds", "1", prefix=without_privilege())
    check("--compare says so as well", compared.code == 1 and compared.err.count(b"cannot read") == 1, compared)
    check("stderr names it, its newline escaped", rb"'secret\x0a.txt': Permission denied" in run.err, run)

    for i in range(12):
        os.makedirs(f"{tree}/closed{i}/inner")
        write(f"{tree}/closed{i}/inner/file", b"?")
        os.chmod(f"{tree}/closed{i}", 0)
    os.makedirs(tree + "/unsearchable")
    write(tree + "/unsearchable/file", b"?")
    os.chmod(tree + "/unsearchable", 0o444)
    run = Run(tree, prefix=without_privilege())
    check("unreadable directories: recorded, job goes on, exit 1",
          run.code == 1 and run.errors == "14" and run.files == str(int(rest.files) + 2) and run.digest == rest.digest, run)
    check("stderr names ten and counts the rest", run.err.count(b"cannot read") == 10 and b"and 4 more" in run.err, run)
    compared = Run(tree, "--compare", "--rounds", "1", prefix=without_privilege())
    check("--compare names those, too", compared.code == 1 and b"and 4 more" in compared.err, compared)
    closed = Run(tree + "/closed0", prefix=without_privilege())
    check("an unreadable DIR: exit 2 and a message", closed.code == 2 and b"Permission denied" in closed.err and closed.out == b"", closed)
    for name in os.listdir(tree):
        os.chmod(f"{tree}/{name}", 0o755)


def test_usage(top):
    write(top + "/file", b"x")
    for promise, arguments, message in (
            ("a missing DIR", [top + "/missing"], b"No such file"),
            ("an empty DIR", [""], b"pepper-demo"),
            ("a file for DIR", [top + "/file"], b"Not a directory"),
            ("--threads 0", ["--threads", "0", top], b"--threads"),
            ("--threads 257", ["--threads", "257", top], b"--threads"),
            ("--threads many", ["--threads", "many", top], b"--threads"),
            ("--rounds without --compare", ["--rounds", "3", top], b"--compare"),
            ("--serve nowhere", ["--serve", "nowhere", top], b"pepper-demo: "),
            ("--serve with --compare", ["--serve", "127.0.0.1:0", "--compare", top], b"--compare"),
            ("--compare --rounds 0", ["--compare", "--rounds", "0", top], b"--rounds"),
            ("an unknown option", ["--frobnicate", top], b"frobnicate"),
            ("two DIRs", [top, top], b"")):
        run = Run(*arguments)
        check(f"{promise}: exit 2 and a message on stderr", run.code == 2 and run.err != b"" and message in run.err, run)
    usage = Run("--help")
    check("--help: exit 0, options and exit codes",
          usage.code == 0 and all(word in usage.text for word in ("--threads", "--compare", "--rounds", "--serve", "/usr/include", "Exit codes")), usage.text)


def on_terminal(columns, *arguments, term="xterm"):
    """Exit code and output on a terminal of so many columns."""
    outside, inside = pty.openpty()
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    demo = subprocess.Popen([DEMO, *arguments], stdin=inside, stdout=inside, stderr=inside, env={**os.environ, "TERM": term})
    os.close(inside)
    output = b""
    try:
        while piece := os.read(outside, 65536):
            output += piece
    except OSError:  # how a terminal says that its other end is closed
        pass
    os.close(outside)
    return demo.wait(timeout=TIMEOUT), output.replace(b"\r\n", b"\n").decode()


def test_progress(top):
    tree = top + "/large"
    os.mkdir(tree)
    with open(tree + "/0", "wb") as file:
        file.truncate(32 << 20)
    for i in range(1, 300):  # 10 GB to hash, 32 MiB to keep in the page cache
        os.link(tree + "/0", f"{tree}/{i}")

    for columns in (120, 80, 40, 12):
        code, output = on_terminal(columns, tree)
        *frames, rest = output.split("\r")
        bars = [frame for frame in frames if "%" in frame]
        check(f"on a terminal of {columns} columns: frames that fit, more than one, and 100% last",
              code == 0 and len(bars) > 1 and max(map(len, frames)) < columns and bars[-1].startswith("100%"), repr(frames))
        if columns >= 80:
            check(f"on {columns} columns: a bar, a rate, an ETA", all(re.search(r"\[=*>? *\] .*B/s, \d+ files/s  ETA ", bar) for bar in bars), bars)
        shares = [int(bar.split("%")[0]) for bar in bars]
        check(f"on {columns} columns: the share never falls", shares == sorted(shares), shares)
        check(f"on {columns} columns: the line is cleared before the result", frames[-1].strip() == "" and len(frames[-1]) >= len(bars[-1])
              and "digest" in rest and "ETA" not in rest, repr(output[-600:]))
    code, output = on_terminal(80, tree, term="dumb")
    check("on a dumb terminal: no carriage return, no escape, no bar", code == 0 and "\r" not in output and "\x1b" not in output and "[=" not in output, output)

    piped = Run(tree, "--threads", "1")
    lines = re.findall(r"^(?:hashing|walking): .*$", piped.text, re.M)
    check("elsewhere: plain lines, at most one a second", len(lines) <= piped.seconds and (lines or piped.seconds < 1.2), (piped.seconds, lines))
    check("a plain line has counts, rate and ETA",
          all(re.fullmatch(r"hashing: \d+ of 300 files, .*B of 10\.1 GB, .*B/s, \d+ files/s, ETA [\d:-]+", line) for line in lines), lines)
    gauge = re.search(r"^demo\.files_in_flight +gauge +\d+ +\S+ +\S+ +\S+(?: +-){4} +(\S+) +(\S+)", piped.text, re.M)
    check("the gauge of files in flight has seen one worker at work, and none at the end", gauge and gauge.groups() == ("1", "0"), piped.text)
    counts_agree("hard links count as find counts them", tree, piped)


def test_compare(top):
    run = Run(top + "/plain", "--compare", "--rounds", "3")
    number = r"[+-]\d+\.\d\d %"
    check("--compare: exit 0 and a line for each round", run.code == 0 and len(re.findall(r"^round ", run.text, re.M)) == 3, run.text)
    check("--compare: medians of both sides", re.search(r"^without pepper +median [\d.]+ ms", run.text, re.M) and re.search(r"^with pepper +median [\d.]+ ms", run.text, re.M), run.text)
    for of in ("wall", "CPU"):
        found = re.search(rf"^overhead {of} +({number}) \(median of 3 paired ratios; min ({number}), max ({number})\)", run.text, re.M)
        middle, low, high = (float(text.rstrip(" %")) for text in found.groups()) if found else (1, 0, 0)
        check(f"--compare: the {of} overhead between its minimum and maximum", low <= middle <= high, run.text)
    check("--compare: the cost of a file and a record", re.search(r"^cost +-?\d+ ns of CPU a file, -?\d+ ns a record", run.text, re.M), run.text)
    plain = Run(top + "/plain")
    check("--compare: the digests are equal, and those of a plain run", f"digests  {plain.digest} equal" in run.text, (run.text, plain.digest))
    check("--compare: no carriage return off a terminal", b"\r" not in run.out, run.out)


def test_changing_tree(top):
    tree = top + "/changing"
    make_plain_tree(tree)
    stop = threading.Event()

    def churn():
        turn = 0
        while not stop.is_set():
            turn += 1
            directory = f"{tree}/churn{turn % 7}"
            shutil.rmtree(directory, ignore_errors=True)
            os.makedirs(directory)
            for i in range(20):
                write(f"{directory}/{i}.tmp", b"x" * (i * 9000))
            for i in range(0, 20, 2):
                with open(f"{directory}/{i}.tmp", "r+b") as file:
                    file.truncate(turn % 5 * 50_000)
            os.replace(f"{directory}/1.tmp", tree + "/small.txt")
            os.remove(f"{directory}/3.tmp"), os.mkfifo(f"{directory}/3.tmp")

    churner = threading.Thread(target=churn)
    churner.start()
    try:
        runs = [Run(tree, "--threads", str(1 + i % 4)) for i in range(40)]
    finally:
        stop.set()
        churner.join()
    check("a tree that changes underneath: read or recorded, never a crash, counts in step",
          all(run.code == (0 if run.errors == "0" else 1) and run.errors is not None for run in runs),
          [run for run in runs if run.code not in (0, 1)])


def test_contradiction(top):
    """Puts a slow path that loses every record in place of the library's: the demo must notice."""
    source = top + "/loses.c"
    write(source, b"void _ZN6pepper6detail12capture_slowEmmd(void) {}\n")
    subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-o", top + "/loses.so", source], check=True)
    run = Run(top + "/plain", env={**os.environ, "LD_PRELOAD": top + "/loses.so", "ASAN_OPTIONS": "verify_asan_link_order=0"})
    check("totals that contradict the job's own counts: exit 3, named", run.code == 3 and "MISMATCH demo.files" in run.text, run)


def main():
    with tempfile.TemporaryDirectory(prefix="pepper-demo-") as top:
        for test in (test_counts_and_digest, test_extensions, test_odd_trees, test_unreadable, test_usage, test_progress, test_compare, test_changing_tree, test_contradiction):
            test(top)
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
