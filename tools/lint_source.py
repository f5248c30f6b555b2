"""C++ as tools/lint reads it: code and comments apart, line by line, and the statements that lines belong to."""
import re

_TOKEN = re.compile(
    r"""//[^\n]*|/\*.*?\*/|R"(?P<mark>[^(\s]*)\(.*?\)(?P=mark)"|"(?:\\.|[^"\\\n])*"|(?<![0-9A-Fa-f])'(?:\\.|[^'\\\n])+'""", re.S
)


class Source:
    """One file. `code[i]` is line i without comments and with empty string literals, `comment[i]` its comment's text."""

    def __init__(self, root, path):
        self.path = path
        text = (root / path).read_text()
        self.text = text.splitlines()
        code, comments = [], [""] * (text.count("\n") + 1)
        at = 0
        for token in _TOKEN.finditer(text):
            code.append(text[at : token.start()])
            at = token.end()
            if token.group().startswith(("//", "/*")):
                first = text.count("\n", 0, token.start())
                for i, line in enumerate(token.group().split("\n")):
                    comments[first + i] += line.strip("/*! \t")
                code.append("\n" * token.group().count("\n"))
            else:
                code.append('""' + "\n" * token.group().count("\n"))
        code.append(text[at:])
        self.code = "".join(code).split("\n")
        self.comment = comments

    def includes(self):
        """(line, name, quoted) of every #include; from the raw text, for names in quotes look like strings."""
        for number, line in enumerate(self.text, 1):
            match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
            if match:
                yield number, match.group(2), match.group(1) == '"'

    def is_comment(self, i):
        return 0 <= i < len(self.code) and not self.code[i].strip() and bool(self.comment[i])

    def statement(self, i):
        """First and last line of the statement that line i belongs to."""

        def ends(line):
            code = self.code[line].strip()
            return not code or code.startswith("#") or code[-1] in ";{}" or re.fullmatch(r"(?:case .*|\w+)\s*:", code) is not None

        first = last = i
        while first > 0 and not ends(first - 1):
            first -= 1
        while last + 1 < len(self.code) and not ends(last):
            last += 1
        return first, last

    def comments_of(self, i):
        """All that is said of line i: beside its statement, right above it, and where such a comment runs on below."""
        first, last = self.statement(i)
        above = first
        while self.is_comment(above - 1) and not self._runs_on(above - 1):
            above -= 1
        said = [self.comment[line] for line in range(above, last + 1)]
        below = last + 1
        while self._runs_on(below):
            said.append(self.comment[below])
            below += 1
        return self._closed(" ".join(said), above, below)

    def _closed(self, said, first, end):
        """A tag that begins beside one line and ends beside the next belongs to both."""
        if said.count("[") > said.count("]") and end < len(self.comment):
            said += " " + self.comment[end]
        if said.count("]") > said.count("[") and first > 0:
            said = self.comment[first - 1] + " " + said
        return said

    def _runs_on(self, i):
        """Whether comment line i continues one that stands beside code: it starts in the same column."""
        if not self.is_comment(i):
            return False
        column = self.text[i].index("//") if "//" in self.text[i] else -1
        while self.is_comment(i):
            i -= 1
        return i >= 0 and bool(self.comment[i]) and column > 0 and self.text[i].rfind("//") == column

    def comments_above_in_paragraph(self, i):
        """Comment lines above line i, with no empty line between."""
        said = []
        while i > 0 and self.text[i - 1].strip():
            i -= 1
            if self.is_comment(i):
                said.append(self.comment[i])
        return " ".join(reversed(said))
