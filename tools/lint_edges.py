"""The memory-order rules of tools/lint: edge, relaxed, order."""
import re
from collections import defaultdict

_ORDER = re.compile(r"\bmemory_order(?:_|::)(\w+)")
_TAG = re.compile(r"\[([a-z][\w -]*):(acquire|release)\]")
_PAIRS = re.compile(rf"pairs with ((?:{_TAG.pattern}(?:, | and )?)+)(?: in ((?:(?:, | and )?[\w:~./-]+(?:\(\))?)+))?")
_REASON = re.compile(r"\[relaxed: *[^\s\]][^\]]+\]")
_ATOMIC_CALL = re.compile(r"(?:\.|->)\s*(load|store|exchange|fetch_\w+|compare_exchange_\w+|test_and_set)\s*\(")
_ATOMIC_NAME = re.compile(r"\batomic(?:<[^;()]*>|_\w+)\s+(\w+_)\b")
_FENCE = re.compile(r"\b(?:atomic_thread_fence|atomic_signal_fence|__sync_\w+|__atomic_\w+)\b")
_NEEDS = {"acquire": {"acquire"}, "release": {"release"}, "acq_rel": {"acquire", "release"}, "relaxed": set()}


def check(sources):
    ends = defaultdict(list)  # (edge, end) -> [(source, line)]
    references = []  # (path, line, edge, end, place)
    for source in sources:
        yield from _check_file(source, ends, references)
    yield from _check_pairs(sources, ends, references)


def _check_file(source, ends, references):
    for i, code in enumerate(source.code):
        orders = set(_ORDER.findall(code))
        for order in orders - set(_NEEDS):
            yield source.path, i + 1, "order", f"memory_order_{order}"
        needed = set().union(*(_NEEDS.get(order, set()) for order in orders))
        if needed:
            own = set(_TAG.findall(_PAIRS.sub("", source.comments_of(i))))
            for end in needed - {end for _, end in own}:
                yield source.path, i + 1, "edge", f"this {end} names no edge: [name:{end}]"
            for edge, end in own:
                if end in needed:
                    ends[edge, end].append((source, i + 1))
        if "relaxed" in orders and not _REASON.search(source.comments_of(i) + source.comments_above_in_paragraph(source.statement(i)[0])):
            yield source.path, i + 1, "relaxed", "says not why that is enough: [relaxed: reason]"
        if _FENCE.search(code):
            yield source.path, i + 1, "order", f"{_FENCE.search(code).group()}: no free-standing fences"
    yield from _check_defaults(source)
    for first, said in _comment_blocks(source):
        for match in _PAIRS.finditer(said):
            references += [(source.path, first, edge, end, match.group(4)) for edge, end in _TAG.findall(match.group(1))]
        references += [(source.path, first, edge, end, None) for edge, end in _TAG.findall(_PAIRS.sub("", said))]


def _comment_blocks(source):
    i = 0
    while i < len(source.comment):
        first = i
        while i < len(source.comment) and source.comment[i] and (i == first or source.is_comment(i)):
            i += 1
        if i > first:
            yield first + 1, " ".join(source.comment[first:i])
        i = max(i, first + 1)


def _check_defaults(source):
    """A heuristic: calls by the names of std::atomic's members, and operators on members declared atomic in this file."""
    code = "\n".join(source.code)
    for call in _ATOMIC_CALL.finditer(code):
        depth, at = 1, call.end()
        while depth and at < len(code):
            depth += {"(": 1, ")": -1}.get(code[at], 0)
            at += 1
        if "memory_order" not in code[call.end() : at]:
            yield source.path, code.count("\n", 0, call.start(1)) + 1, "order", f"{call.group(1)}() by default is seq_cst: name its order"
    for name in set(_ATOMIC_NAME.findall(code)):
        for use in re.finditer(rf"(?:\+\+|--)\s*{name}\b|\b{name}\s*(?:\+\+|--|[-+|&^]?=(?!=))", code):
            line_start = code.rfind("\n", 0, use.start()) + 1
            if not _ATOMIC_NAME.search(code[line_start : use.end()]):
                yield source.path, code.count("\n", 0, use.start()) + 1, "order", f"an operator on the atomic {name} is seq_cst"


def _check_pairs(sources, ends, references):
    for (edge, end), places in ends.items():
        other = "release" if end == "acquire" else "acquire"
        if (edge, other) not in ends:
            for source, line in places:
                yield source.path, line, "edge", f"[{edge}:{end}] has no other end: no [{edge}:{other}] beside any access"
    names = {source.path: set(re.findall(r"\w+", " ".join(source.code))) for source in sources}
    for path, line, edge, end, place in references:
        if (edge, end) not in ends:
            yield path, line, "edge", f"[{edge}:{end}] stands beside no {end}"
            continue
        for one in re.split(r", | and ", place) if place else []:
            if not any(_is_place(one, source.path, names[source.path]) for source, _ in ends[edge, end]):
                yield path, line, "edge", f"[{edge}:{end}] is not in {one}"


def _is_place(place, path, names):
    place = place.rstrip(".,")
    if re.search(r"\.[ch]pp$", place):
        return path.endswith(place)
    return set(re.findall(r"\w+", place)) <= names | {"pepper", "detail"}
