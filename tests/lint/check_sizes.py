"""Sizes: lines, functions and files that one can take in. What is larger today stands in baseline/ and may only shrink."""
import re

from tree import Finding

C_WIDTH = 100           # with tabs of 4; pgindent's 78 is where code is easy to read
C_TEXT_WIDTH = 140      # of lines with a longer string constant: SQL, messages
SQL_WIDTH = 160
FUNCTION_LINES = 80
FILE_LINES = 800        # past this a file is split by phase
FILE_WARNING = 600      # past this it may not grow
DIRECTIVE = '#variable_conflict use_variable\n'
# what is said to a user stays on one line, so that it can be found by searching for it
MESSAGE = re.compile(r'\s*\(?(?:errmsg|errdetail|errhint|gettext_noop)\w*\("')
TEXT = re.compile(r'"(?:[^"\\]|\\.){16,}"')

RULES = {
    'line-length': f'lines of C have at most {C_WIDTH} columns ({C_TEXT_WIDTH} with a string), lines of SQL {SQL_WIDTH} (baseline: how many of a file have more)',
    'function-size': f'functions of C and SQL have at most {FUNCTION_LINES} lines',
    'file-size': f'files of C and SQL have at most {FILE_LINES} lines; past {FILE_WARNING} they stand in the baseline and may not grow',
}


def check(tree):
    yield from lines(tree)
    yield from functions(tree)
    yield from files(tree)


def lines(tree):
    for f in tree.matching(r'src/.*\.[ch]|sql/[^/]+/.*\.sql'):
        long = [n for n, line in enumerate(tree.text(f).split('\n'), 1) if len(line.expandtabs(4)) > width(f, line)]
        if long:
            yield Finding('line-length', f, long[0], f, f'{len(long)} lines have more than {width(f, "")} columns: {some(long)}', len(long))


def width(path, line):
    if path.endswith('.sql'):
        return SQL_WIDTH
    if MESSAGE.match(line):
        return 10000
    return C_TEXT_WIDTH if TEXT.search(line) else C_WIDTH


def some(numbers):
    return ', '.join(map(str, numbers[:12])) + (', ...' if len(numbers) > 12 else '')


def functions(tree):
    for f in tree.c_files():
        for function in f.functions:
            if function.lines > FUNCTION_LINES:
                yield too_long(f.path, function.line, function.name, function.lines)
    for f in tree.sql_files():
        for o in f.objects:
            # the line that every body in PL/pgSQL begins with is not the author's
            body = o.statement.body() if o.statement else None
            size = o.lines - (body is not None and DIRECTIVE in body.text)
            if o.kind == 'function' and size > FUNCTION_LINES:
                yield too_long(f.path, o.line, o.name, size)


def too_long(path, line, name, size):
    return Finding('function-size', path, line, name, f'{name} has {size} lines, more than {FUNCTION_LINES}: split it by phase', size)


def files(tree):
    for f in tree.matching(r'src/.*\.[ch]|sql/[^/]+/.*\.sql'):
        size = tree.text(f).count('\n') - tree.text(f).count(DIRECTIVE)
        if size > FILE_WARNING:
            what = 'split it by phase' if size > FILE_LINES else f'it may not grow from here (past {FILE_LINES} it must be split)'
            yield Finding('file-size', f, 1, f, f'{size} lines, more than {FILE_LINES if size > FILE_LINES else FILE_WARNING}: {what}', size)
