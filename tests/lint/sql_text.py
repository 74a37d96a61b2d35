"""SQL as far as the checks need it: tokens, statements, the objects they make.

A dollar-quoted string is one token; sql_tokens() of its inside gives those of a
function's body.
"""
import re
from bisect import bisect_right

TOKEN = re.compile(r'''
    (?P<comment>--[^\n]*|/\*.*?\*/|^\\[^\n]*)
  | (?P<dollar>\$(?P<tag>[A-Za-z_]\w*)?\$.*?\$(?P=tag)\$|\$\$.*?\$\$)
  | (?P<string>[eE]'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*')
  | (?P<quoted>"(?:[^"]|"")*")
  | (?P<number>\.?\d[\w.]*)
  | (?P<word>[^\W\d][\w$]*)
  | (?P<space>\s+)
  | (?P<sign>::|:=|=>|<>|<=|>=|!=|\|\||->>|->|[-+*/<>=~!@\#%^&|`?]|.)
''', re.X | re.S | re.M)

SCHEMAS = ('crm', 'crm_analytics', 'crm_internal')
REFERENCE = re.compile(r'\b(crm|crm_analytics|crm_internal)\.([a-z_][a-z0-9_]*)')
MADE_IN_STRING = re.compile(r'\bCREATE\s+(?:OR\s+REPLACE\s+)?(TABLE|VIEW|FUNCTION)\s+((?:crm|crm_analytics|crm_internal)\.[a-z_][a-z0-9_]*)(?![%.\w])', re.I)
OBJECT_KINDS = {'table', 'view', 'function', 'procedure', 'aggregate', 'type', 'sequence', 'domain', 'cast', 'operator'}


class Token:
    __slots__ = ('kind', 'text', 'line', 'start')

    def __init__(self, kind, text, line, start):
        self.kind, self.text, self.line, self.start = kind, text, line, start

    @property
    def low(self):
        return self.text.lower() if self.kind == 'word' else self.text

    @property
    def value(self):
        """What a string constant holds."""
        if self.kind == 'dollar':
            tag = self.text[:self.text.index('$', 1) + 1]
            return self.text[len(tag):-len(tag)]
        s = self.text[self.text.index("'") + 1:-1]
        return s.replace("''", "'")


def sql_tokens(text, first_line=1):
    line_at = [0] + [m.end() for m in re.finditer('\n', text)]
    for m in TOKEN.finditer(text):
        kind = 'dollar' if m.lastgroup == 'tag' else m.lastgroup
        if kind in ('comment', 'space'):
            continue
        yield Token(kind, m.group(), first_line - 1 + bisect_right(line_at, m.start()), m.start())


def without_comments(text):
    """The text with comments blanked, line by line; those inside dollar quotes too."""
    out = []
    for m in TOKEN.finditer(text):
        kind = 'dollar' if m.lastgroup == 'tag' else m.lastgroup
        s = m.group()
        if kind == 'comment':
            s = re.sub(r'[^\n]', ' ', s)
        elif kind == 'dollar':
            tag = s[:s.index('$', 1) + 1]
            s = tag + without_comments(s[len(tag):-len(tag)]) + tag
        out.append(s)
    return ''.join(out)


class SqlObject:
    """What one CREATE statement makes; statement is None where it stands in a string that is executed."""

    def __init__(self, file, kind, name, statement, line=None):
        self.file, self.kind, self.name, self.statement = file, kind, name, statement
        self.line, self.end_line = (line, line) if statement is None else (statement.line, statement.end_line)

    @property
    def lines(self):
        return self.end_line - self.line + 1


class Statement:
    def __init__(self, tokens, end_line):
        self.tokens = tokens
        self.line, self.end_line = tokens[0].line, end_line

    def words(self, n):
        return [t.low for t in self.tokens[:n]]

    def header(self):
        """Words of a CREATE FUNCTION outside its arguments, result and body, in small letters."""
        depth, words = 0, []
        for t in self.tokens:
            if t.low in ('return', 'begin') and depth == 0 and words:
                break
            depth += {'(': 1, ')': -1}.get(t.text, 0)
            if depth == 0 and t.kind in ('word', 'string'):
                words.append(t.low)
        return words

    def body(self):
        """The dollar-quoted body of a function or DO block, or None."""
        for t in self.tokens:
            if t.kind == 'dollar':
                return t
        return None


class SqlFile:
    def __init__(self, path, text):
        self.path, self.text = path, text
        self.bare = without_comments(text)
        self.statements = list(self._statements())
        self.objects = [o for s in self.statements for o in self._made_by(s)]

    def _statements(self):
        # a semicolon ends a statement outside parentheses and outside BEGIN ATOMIC ... END
        current, depth, blocks = [], 0, 0
        for t in sql_tokens(self.text):
            current.append(t)
            if t.text == '(':
                depth += 1
            elif t.text == ')':
                depth -= 1
            elif t.low == 'atomic' or (blocks and t.low == 'case'):
                blocks += 1
            elif blocks and t.low == 'end':
                blocks -= 1
            elif t.text == ';' and depth == 0 and blocks == 0:
                if len(current) > 1:
                    yield Statement(current[:-1], t.line)
                current = []
        if current:
            yield Statement(current, current[-1].line + current[-1].text.count('\n'))

    def _made_by(self, s):
        w = s.words(8)
        if w[0] == 'do' and s.body() is not None:
            body = s.body()
            for m in MADE_IN_STRING.finditer(without_comments(body.value)):
                line = body.line + body.value.count('\n', 0, m.start())
                yield SqlObject(self.path, m.group(1).lower(), m.group(2).lower(), None, line)
        if w[0] != 'create':
            return
        at = 1
        while at < len(w) and w[at] in ('or', 'replace', 'temporary', 'temp', 'unlogged', 'materialized', 'recursive'):
            at += 1
        if at >= len(w) or w[at] not in OBJECT_KINDS:
            return
        kind = w[at]
        at += 1
        if w[at:at + 3] == ['if', 'not', 'exists']:
            at += 3
        if len(s.tokens) > at + 2 and w[at] in SCHEMAS and s.tokens[at + 1].text == '.':
            if kind == 'operator':      # its name is as many signs as there are
                signs = []
                for t in s.tokens[at + 2:]:
                    if t.text == '(':
                        break
                    signs.append(t.text)
                yield SqlObject(self.path, kind, f'{w[at]}.{"".join(signs)}', s)
                return
            yield SqlObject(self.path, kind, f'{w[at]}.{s.tokens[at + 2].low.strip(chr(34))}', s)

    def comments(self):
        """(kind, name) of each COMMENT ON; a column's name is table.column."""
        for s in self.statements:
            w = s.words(3)
            if w[:2] == ['comment', 'on']:
                name = []
                for t in s.tokens[3:]:
                    if t.low == 'is' or t.text == '(':
                        break
                    name.append(t.low)
                yield w[2], ''.join(name)

    def prose(self):
        """Tokens that are text for people: what COMMENT ON says."""
        for s in self.statements:
            if s.words(2) == ['comment', 'on']:
                for t in s.tokens[3:]:
                    if t.kind == 'string':
                        yield t

    def code(self):
        """The text without comments of either kind: -- and COMMENT ON."""
        out = self.bare
        for t in self.prose():
            out = out[:t.start] + re.sub(r'[^\n]', ' ', t.text) + out[t.start + len(t.text):]
        return out


def columns(statement):
    """(line, name) of the columns a CREATE TABLE declares."""
    depth, fresh = 0, False
    for t in statement.tokens:
        if t.text == '(':
            depth += 1
            fresh = depth == 1
        elif t.text == ')':
            depth -= 1
        elif depth == 1 and t.text == ',':
            fresh = True
        elif fresh:
            fresh = False
            if t.low not in ('constraint', 'primary', 'unique', 'check', 'foreign', 'exclude', 'like'):
                yield t.line, t.low.strip('"')
        if depth == 0 and t.low in ('partition', 'inherits', 'with', 'using'):
            return


def arguments(tokens, at):
    """Lists of tokens of each argument of a call whose "(" is tokens[at]; and where its ")" is."""
    found, current, depth = [], [], 0
    while at < len(tokens):
        t = tokens[at]
        if t.text in ('(', '['):
            depth += 1
        elif t.text in (')', ']'):
            depth -= 1
        if depth == 0:
            break
        if t.text == ',' and depth == 1:
            found.append(current)
            current = []
        elif not (depth == 1 and t.text == '('):
            current.append(t)
        at += 1
    if current:
        found.append(current)
    return found, at
