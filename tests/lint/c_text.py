"""C as far as the checks need it: tokens, functions, strings.

Relies on the house's style: a function begins in column 0. Where its braces stand is
a rule of its own, so that a function written otherwise does not dodge the others.
"""
import os
import re
from bisect import bisect_right

TOKEN = re.compile(r'''
    (?P<comment>/\*.*?\*/|//[^\n]*)
  | (?P<string>"(?:[^"\\\n]|\\.)*")
  | (?P<char>'(?:[^'\\\n]|\\.)+')
  | (?P<directive>^[ \t]*\#(?:[^\n\\/]|\\.|\\\n|/(?![*/]))*)
  | (?P<word>[A-Za-z_]\w*)
  | (?P<number>\.?\d[\w.]*)
  | (?P<space>\s+)
  | (?P<sign>.)
''', re.X | re.S | re.M)

FUNCTION = re.compile(r'^(?P<type>[A-Za-z_][\w \t*]*[\s*])(?P<name>[A-Za-z_]\w*)\((?P<args>[^;{}]*?)\)\s*\{', re.M)
BRACE = re.compile('[{}]')
# what is said to people: names in it are prose
PROSE_CALL = re.compile(r'err(?:msg|hint|detail|context)\w*|elog|_|gettext_noop|DefineCustom\w+Variable|\w+_hint|ngettext')


class Token:
    __slots__ = ('kind', 'text', 'line', 'start')

    def __init__(self, kind, text, line, start):
        self.kind, self.text, self.line, self.start = kind, text, line, start


class Function:
    def __init__(self, file, name, static, line, end_line, start, end):
        self.file, self.name, self.static = file, name, static
        self.line, self.end_line, self.start, self.end = line, end_line, start, end
        self.in_style = True

    @property
    def lines(self):
        return self.end_line - self.line + 1


class CFile:
    def __init__(self, path, text):
        self.path, self.text = path, text
        self._starts = [0] + [m.end() for m in re.finditer('\n', text)]
        self.tokens = []            # without comments and spaces
        blank = list()              # the text with comments and the inside of strings blanked
        for m in TOKEN.finditer(text):
            kind = m.lastgroup
            if kind == 'comment':
                blank.append(re.sub(r'[^\n]', ' ', m.group()))
                continue
            if kind in ('string', 'char'):
                blank.append(m.group()[0] + ' ' * (len(m.group()) - 2) + m.group()[0])
            else:
                blank.append(m.group())
            if kind != 'space':
                self.tokens.append(Token(kind, m.group(), self.line(m.start()), m.start()))
        self.blank = ''.join(blank)
        self.functions = self._functions()

    def line(self, at):
        return bisect_right(self._starts, at)

    def _functions(self):
        found = []
        for m in FUNCTION.finditer(self.blank):
            if m.group('type').split()[0] in ('typedef', 'struct', 'enum', 'return', 'else'):
                continue
            end = self._closing(m.end() - 1)
            found.append(Function(self.path, m.group('name'), 'static' in m.group('type').split(),
                                  self.line(m.start('name')), self.line(end), m.start(), end))
            found[-1].in_style = (self.blank[m.start('name') - 1] == '\n' and self.blank[m.end() - 2] == '\n'
                                  and self.blank[end - 2:end] == '\n}')
        return found

    def _closing(self, at):
        """Behind the brace that closes the one at this place; a brace in column 0 closes a function for certain."""
        depth = 0
        for m in BRACE.finditer(self.blank, at):
            depth += 1 if m.group() == '{' else -1
            if depth == 0 or m.group() == '}' and self.blank[m.start() - 1] == '\n':
                return m.end()
        return len(self.blank)

    def includes(self):
        """(line, path) of each #include of a header of ours, by the path from src/; other spellings are resolved."""
        for line, written in self.included():
            path = written
            if written.startswith('.'):
                path = os.path.normpath(os.path.join(os.path.dirname(self.path), written))
                path = path[len('src/'):] if path.startswith('src/') else path
            yield line, path

    def included(self):
        """(line, path as it is written) of each #include, whatever the quotes; a macro's name has none."""
        for t in self.tokens:
            if t.kind == 'directive':
                m = re.match(r'\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>|(\w+))', t.text)
                if m:
                    yield t.line, m.group(1) or m.group(2) or m.group(3)

    def words(self):
        """Names the code mentions outside comments and strings; macros' bodies too."""
        return re.findall(r'[A-Za-z_]\w*', self.blank)

    def strings(self):
        """(line, text, tokens before it in the expression) of each literal, adjacent ones joined.

        A formatting macro between two literals (INT64_FORMAT) stands as a number.
        """
        i, t = 0, self.tokens
        while i < len(t):
            if t[i].kind == 'string':
                line, parts = t[i].line, []
                first = i
                while i < len(t) and (t[i].kind == 'string' or (t[i].kind == 'word' and t[i].text.endswith('_FORMAT'))):
                    parts.append(unescape(t[i].text[1:-1]) if t[i].kind == 'string' else '%d')
                    i += 1
                yield line, ''.join(parts), t[max(0, first - 6):first]
            else:
                i += 1

    def said(self):
        """(line, text, words) of each literal as the program has it: macros between two literals stand as a blank,
        those of a #define are taken too. words are the functions whose arguments it stands in."""
        yield from spoken(self.tokens)
        for t in self.tokens:
            m = re.match(r'\s*#\s*define\s+\w+(?:\([^)]*\))?', t.text) if t.kind == 'directive' else None
            if m:
                body = re.sub(r'\\\n', '  ', t.text[m.end():])
                yield from spoken([Token(x.lastgroup, x.group(), t.line, 0) for x in TOKEN.finditer(body)
                                   if x.lastgroup not in ('space', 'comment')])

    def queries(self):
        """(line, text) of each literal that is SQL, or a piece of it, in any case and quoting."""
        for line, text, words in self.said():
            if (WHOLE_SQL.match(text) or SMALL_SQL.search(text) or PIECE_SQL.search(text)) and not any(PROSE_CALL.fullmatch(w) for w in words):
                yield line, text

    def calls(self, name):
        """(line, text of the arguments with strings) of each call of a function or macro."""
        for m in re.finditer(r'\b%s\s*\(' % name, self.blank):
            depth, at = 0, m.end() - 1
            while at < len(self.blank):
                depth += {'(': 1, ')': -1}.get(self.blank[at], 0)
                if depth == 0:
                    break
                at += 1
            yield self.line(m.start()), self.text[m.end():at]


# statements in capitals; in small letters what no sentence looks like; and pieces that are put behind others
WHOLE_SQL = re.compile(r'\s*(?:EXPLAIN|SELECT|INSERT|UPDATE|DELETE|WITH|CREATE|ALTER|DROP|LOCK|CALL|REFRESH|ANALYZE|MERGE|TRUNCATE|COPY'
                       r'|GRANT|REVOKE|COMMENT ON|DECLARE|VACUUM|CLUSTER|REINDEX)\s')
SMALL_SQL = re.compile(r'(?i:^\s*(?:explain(?:\s*\([^)]*\))?\s+)?(?:select\s.*\bfrom\s|select\s+[\w."]+\s*\(|insert\s+into\s+[\w."]+\s*\(|insert\s+into\s.*\b(?:select|values)\b'
                       r'|update\s+(?:only\s+)?[\w."]+\s.*\bset\b|delete\s+from\s+[\w."]+(?:\s+(?:as|where|using)\b|\s*$)|truncate\s+(?:table\s+)?(?:only\s+)?[\w."]+\s*(?:,|;|$|cascade|restart)'
                       r'|lock\s+table\s|with\s+(?:recursive\s+)?\w+\s+as\s*\(|merge\s+into\s))', re.S)
PIECE_SQL = re.compile(r'\b(?:FROM|JOIN|INTO|USING|TRUNCATE|UPDATE|REFERENCES)\s+(?:ONLY\s+)?["\w]|^\s*(?i:(?:(?:left|inner|cross)\s+)?join|from)\s+["\w.]+\s+(?i:as|on|where)\s')


def spoken(tokens):
    stack, i = [], 0
    while i < len(tokens):
        t = tokens[i]
        if t.text == '(':
            stack.append(tokens[i - 1].text if i and tokens[i - 1].kind == 'word' else '')
        elif t.text == ')' and stack:
            stack.pop()
        elif t.text in (';', '{', '}'):
            stack = []
        if t.kind != 'string':
            i += 1
            continue
        parts = []
        while i < len(tokens):
            if tokens[i].kind == 'string':
                parts.append(unescape(tokens[i].text[1:-1]))
            elif tokens[i].kind == 'word' and i + 1 < len(tokens) and tokens[i + 1].kind == 'string':
                parts.append('%d' if tokens[i].text.endswith('_FORMAT') else ' ')
            else:
                break
            i += 1
        yield t.line, ''.join(parts), [w for w in stack if w]


def unescape(s):
    return re.sub(r'\\(.)', lambda m: {'n': '\n', 't': '\t'}.get(m.group(1), m.group(1)), s)
