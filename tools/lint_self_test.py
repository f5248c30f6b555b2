"""tools/lint --self-test: a tree without fault passes, and each fault planted in it is reported, in its place and by its rule."""
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent

TREE = {
    "meson.build": """headers = [
  'include/pepper/a.hpp',
  'include/pepper/b.hpp',
  'include/pepper/pepper.hpp',
]
sources = [
  'src/one.hpp',
  'src/queue.cpp',
  'src/two.cpp',
]
""",
    "include/pepper/a.hpp": "#pragma once\n#include <atomic>\n\ninline int count_one() { return 1; }\n",
    "include/pepper/b.hpp": "#pragma once\n#include <pepper/a.hpp>\n",
    "include/pepper/pepper.hpp": "#pragma once\n#include <pepper/a.hpp>\n#include <pepper/b.hpp>\n",
    "src/one.hpp": """#pragma once
#include <atomic>

class One {
 public:
  void give(int value) {
    word_.store(value, std::memory_order_release);  // [word:release] pairs with [word:acquire] in take_word()
  }
  friend int take_word(One& one);
  friend int peek_word(One& one);
  friend bool swap_word(One& one, int expected);
  friend int sum_words(One& one, One& other);
  friend int take_done(One& one);

 private:
  std::atomic<int> word_{0};
};
""",
    "src/queue.cpp": "#include <concurrentqueue/concurrentqueue.h>\n",
    "src/two.cpp": """#include "one.hpp"

int take_word(One& one) {
  // [word:acquire] pairs with [word:release] in One::give()
  return one.word_.load(std::memory_order_acquire);
}

// [relaxed: statistics] covers the paragraph
int peek_word(One& one) {
  int first = one.word_.load(std::memory_order_relaxed);
  return first + one.word_.load(std::memory_order_relaxed);
}

bool swap_word(One& one, int expected) {
  // [word:acquire] pairs with [word:release] in one.hpp; [done:release] pairs with [done:acquire] in take_done()
  return one.word_.compare_exchange_strong(expected, 2, std::memory_order_acq_rel,
                                           std::memory_order_relaxed);  // [relaxed: a failed try reads nothing]
}

int sum_words(One& one, One& other) {
  int sum = one.word_.load(std::memory_order_relaxed);  // [relaxed: one reason
  sum += other.word_.load(std::memory_order_relaxed);   //  beside two lines]
  return sum;
}

int take_done(One& one) {
  return one.word_.load(std::memory_order_acquire);  // [done:acquire] pairs with [done:release] in swap_word()
}
""",
}

# (what is planted, file, text, what takes its place, the finding that must be printed)
PLANTS = [
    ("acquire without an edge", "src/two.cpp", "// [word:acquire] pairs with [word:release] in One::give()", "//", "src/two.cpp:5: edge"),
    ("release without an edge", "src/one.hpp", "  // [word:release] pairs with [word:acquire] in take_word()", "", "src/one.hpp:7: edge"),
    ("acq_rel with half its edges", "src/two.cpp", "; [done:release] pairs with [done:acquire] in take_done()", "", "src/two.cpp:16: edge"),
    ("an edge of one end", "src/two.cpp", "[done:acquire] pairs with [done:release]", "[over:acquire]", "src/two.cpp:27: edge"),
    ("a pair in no place", "src/one.hpp", "in take_word()", "in Nowhere::take_word()", "src/one.hpp:7: edge"),
    ("a pair in the wrong file", "src/two.cpp", "in one.hpp;", "in queue.cpp;", "src/two.cpp:15: edge"),
    ("a pair with no edge", "src/one.hpp", "pairs with [word:acquire]", "pairs with [ward:acquire]", "src/one.hpp:7: edge"),
    ("relaxed without a reason", "src/two.cpp", "// [relaxed: statistics] covers the paragraph\n", "", "src/two.cpp:9: relaxed"),
    ("relaxed with an empty reason", "src/two.cpp", "[relaxed: statistics]", "[relaxed: ]", "src/two.cpp:10: relaxed"),
    ("relaxed past its paragraph", "src/two.cpp", "  return first + one", "\n  return first + one", "src/two.cpp:12: relaxed"),
    ("seq_cst", "src/two.cpp", "memory_order_acquire);\n", "memory_order_seq_cst);\n", "src/two.cpp:5: order"),
    ("seq_cst of the other spelling", "src/two.cpp", "memory_order_acquire);\n", "memory_order::seq_cst);\n", "src/two.cpp:5: order"),
    ("load() by default", "src/two.cpp", "load(std::memory_order_acquire)", "load()", "src/two.cpp:5: order"),
    ("store() by default", "src/one.hpp", "value, std::memory_order_release", "value", "src/one.hpp:7: order"),
    ("fetch_add() by default", "src/one.hpp", "word_.store(value, std::memory_order_release)", "word_.fetch_add(1)", "src/one.hpp:7: order"),
    ("++ on an atomic", "src/one.hpp", "  void give(", "  void bump() { ++word_; }\n  void give(", "src/one.hpp:6: order"),
    ("= on an atomic", "src/one.hpp", "  void give(", "  void zero() { word_ = 0; }\n  void give(", "src/one.hpp:6: order"),
    ("a fence", "src/two.cpp", "  return one", "  std::atomic_thread_fence(std::memory_order_acquire);\n  return one", "src/two.cpp:5: order"),
    ("an include against the flow", "include/pepper/a.hpp", "<atomic>", "<pepper/b.hpp>", "include/pepper/a.hpp:2: include"),
    ("a source before its header", "meson.build", "  'src/one.hpp',\n  'src/queue.cpp',\n  'src/two.cpp',\n",
     "  'src/queue.cpp',\n  'src/two.cpp',\n  'src/one.hpp',\n", "src/two.cpp:1: include"),
    ("pepper.hpp out of order", "include/pepper/pepper.hpp", "#include <pepper/a.hpp>\n#include <pepper/b.hpp>",
     "#include <pepper/b.hpp>\n#include <pepper/a.hpp>", "include/pepper/pepper.hpp:3: include"),
    ("a third-party header in public", "include/pepper/a.hpp", "<atomic>", "<xxhash.h>", "include/pepper/a.hpp:2: include"),
    ("the queue in a second file", "src/two.cpp", '"one.hpp"', '"one.hpp"\n#include <concurrentqueue/concurrentqueue.h>', "src/two.cpp:2: include"),
    ("a file in no list", "meson.build", "  'src/two.cpp',\n", "", "src/two.cpp:1: include"),
    ("a listed file that is not", "meson.build", "  'src/two.cpp',\n", "  'src/two.cpp',\n  'src/three.cpp',\n", "meson.build:1: include"),
    ("bad format", "include/pepper/a.hpp", "{ return 1; }", "{return 1;}", "include/pepper/a.hpp:4: format"),
    ("a long file", "include/pepper/a.hpp", "inline", "//\n" * 400 + "inline", "include/pepper/a.hpp:404: length"),
    ("a note to oneself", "src/queue.cpp", "\n", "\n// TO" + "DO: later\n", "src/queue.cpp:2: words"),
    ("a path of one's machine", "src/queue.cpp", "\n", "\n// see /wor" + "k/notes\n", "src/queue.cpp:2: words"),
]


def lint(tree, *arguments):
    run = subprocess.run([sys.executable, HERE / "lint", "--root", tree, *arguments], capture_output=True, text=True)
    return run.returncode, run.stdout + run.stderr


def plant(tree):
    for name, text in TREE.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def tidy_faults(tree):
    """clang-tidy must pass the clean tree and name a member that breaks the house's names."""
    commands = '[{"directory": "%s", "file": "src/two.cpp", "command": "clang++ -std=c++20 -Iinclude -c src/two.cpp"}]' % tree
    (tree / "compile_commands.json").write_text(commands)
    (tree / "src/queue.cpp").unlink()
    if lint(tree, "--tidy", str(tree))[0] != 0:
        yield "tidy refuses the clean tree:\n" + lint(tree, "--tidy", str(tree))[1]
    source = tree / "src/one.hpp"
    source.write_text(source.read_text().replace("give", "Give"))
    status, output = lint(tree, "--tidy", str(tree))
    if status != 1 or "readability-identifier-naming" not in output:
        yield f"a wrong name is not reported by tidy, but:\n{output}"


def main():
    faults = []
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder).resolve()
        for name in (".clang-format", ".clang-tidy"):
            shutil.copy(HERE.parent / name, tree)
        plant(tree)
        status, output = lint(tree)
        if status != 0:
            faults.append("the clean tree is refused:\n" + output)
        for name, path, old, new, expected in PLANTS:
            plant(tree)
            source = tree / path
            text = source.read_text()
            assert old in text, name
            source.write_text(text.replace(old, new, 1))
            status, output = lint(tree)
            if status != 1 or f"{expected}:" not in output:
                faults.append(f"{name}: expected {expected!r}, but:\n{output}")
        plant(tree)
        faults += tidy_faults(tree)
    for fault in faults:
        print(fault)
    print(f"lint --self-test: {len(PLANTS) + 3} checks, {len(faults)} failed")
    return 1 if faults else 0
