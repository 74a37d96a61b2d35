"""C as far as the checks need it: tokens, functions, strings.

Relies on the house's style: the name of a function stands in column 0, and so do
the braces of its body.
"""
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

FUNCTION = re.compile(r'^(?P<type>[A-Za-z_][\w \t*]*[\s*])(?P<name>[A-Za-z_]\w*)\((?P<args>[^;{}]*?)\)\s*\n\{', re.M)


class Token:
    __slots__ = ('kind', 'text', 'line', 'start')

    def __init__(self, kind, text, line, start):
        self.kind, self.text, self.line, self.start = kind, text, line, start


class Function:
    def __init__(self, file, name, static, line, end_line, start, end):
        self.file, self.name, self.static = file, name, static
        self.line, self.end_line, self.start, self.end = line, end_line, start, end

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
            end = self.blank.find('\n}', m.end())
            end = len(self.blank) if end < 0 else end + 2
            found.append(Function(self.path, m.group('name'), 'static' in m.group('type').split(),
                                  self.line(m.start('name')), self.line(end), m.start(), end))
        return found

    def includes(self):
        """(line, path) of each #include "..."."""
        for t in self.tokens:
            if t.kind == 'directive':
                m = re.match(r'\s*#\s*include\s+"([^"]+)"', t.text)
                if m:
                    yield t.line, m.group(1)

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


def unescape(s):
    return re.sub(r'\\(.)', lambda m: {'n': '\n', 't': '\t'}.get(m.group(1), m.group(1)), s)
