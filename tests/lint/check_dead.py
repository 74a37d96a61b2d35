"""Names with nothing behind them: functions nobody calls, columns nobody reads, settings, codes and tasks without effect."""
import re
from collections import Counter

from check_rooms import symbol_of
from sql_text import columns
from tree import Finding

RULES = {
    'unused-c': 'an exported C function is called by another file (else it is static), or is declared in SQL',
    'declared': 'a prototype in a header has a function behind it',
    'symbol': 'the C symbol of an SQL function exists, and a C function for SQL is declared in SQL',
    'unused-sql': 'a function of crm_internal is named by something else than itself',
    'unused-column': 'a column is named as one of its table (by its alias, in its INSERT, or where no other table is) in SQL, C or docs, COMMENTs apart',
    'setting': 'a setting is read by C, documented in docs/, and a setting that SQL reads is defined',
    'unused-code': 'an error code of src/base/errors.h is one error\'s alone, is raised, and is documented in docs/errors.md',
    'task': 'the functions of a seeded maintenance task exist',
}
# columns whose meaning is the same in every table, served for all of them from the catalog
COMMON = {'tenant_id', 'id', 'created_at', 'updated_at', 'version', 'custom', 'source_system', 'source_id',
          'owner_id', 'team_id', 'shared_user_ids', 'shared_team_ids', 'stage_entered_at', 'closed_at'}


def check(tree):
    yield from c_functions(tree)
    yield from sql_functions(tree)
    yield from table_columns(tree)
    yield from settings(tree)
    yield from codes(tree)
    yield from tasks(tree)


def documents(tree):
    """Every page but the reference that is made from COMMENTs, which names everything."""
    return [f for f in tree.matching(r'README\.md|docs/.*\.md') if not f.startswith('docs/reference/')]


def c_functions(tree):
    files = [f for f in tree.c_files()]
    words = {f.path: Counter(f.words()) for f in files}
    declared = {}
    for f in tree.sql_files():
        for o in f.objects:
            if o.kind == 'function' and o.statement is not None and symbol_of(o):
                declared[symbol_of(o)] = (f.path, o)
    made = {}
    for f in files:
        for name in re.findall(r'\bPG_FUNCTION_INFO_V1\s*\(\s*(\w+)\s*\)', f.blank):
            if not any(name == m for m in ('name', 'funcname')):
                made[name] = f
        # macros that make one function for SQL each: NAME(crm_..., ...)
        for name in re.findall(r'^[A-Z][A-Z_0-9]+\(\s*(crm_\w+)', f.blank, re.M):
            made.setdefault(name, f)
    for name, f in made.items():
        if name not in declared and not made_by_pasting(f, name):
            yield Finding('symbol', f.path, 1, name, f'{name} is made for SQL, but no CREATE FUNCTION names it')
    pasted = {n for f in files for n in re.findall(r'##\s*(\w+)|(\w+)\s*##', f.text) for n in n if n}
    for name, (path, o) in declared.items():
        if name not in made and not any(name.startswith(p) or name.endswith(p) for p in pasted if len(p) > 3):
            yield Finding('symbol', path, o.line, o.name, f'{o.name} names the C symbol {name}, which no file makes')
    defined = set()
    outside = '\n'.join(tree.text(f) for f in tree.matching(r'tests/.*\.c'))     # programs that test mathematics
    for f in files:
        for function in f.functions:
            defined.add(function.name)
            if function.static or function.name in made or function.name in ('_PG_init', 'Pg_magic_func'):
                continue
            others = [g for g in files if g.path.endswith('.c') and g is not f and words[g.path][function.name]]
            string = any(f'"{function.name}"' in g.text for g in files)       # a worker's entry
            macro = any(g.path.endswith('.h') and re.search(rf'^\s*#\s*define\b.*\b{function.name}\b', g.text, re.M) for g in files)
            if not (others or string or macro or re.search(rf'\b{function.name}\b', outside)):
                what = 'make it static' if words[f.path][function.name] > 1 else 'nobody calls it: take it out'
                yield Finding('unused-c', f.path, function.line, function.name, f'no other file calls {function.name}: {what}')
    for f in files:
        if f.path.endswith('.h'):
            for m in re.finditer(r'^extern\s[^;{]*?\b(\w+)\s*\(', f.blank, re.M):
                name = m.group(1)
                if name not in defined and name.startswith('crm_') and name not in made:
                    yield Finding('declared', f.path, f.line(m.start()), name, f'{name} is declared here, but no file defines it')


def made_by_pasting(f, name):
    return f'define {name}' in f.text


def sql_functions(tree):
    files = list(tree.sql_files())
    mentions = Counter()
    for f in files:
        lines = f.bare.split('\n')
        for s in f.statements:
            if s.words(2) != ['comment', 'on']:
                mentions.update(re.findall(r'[a-z_][a-z0-9_]*', '\n'.join(lines[s.line - 1:s.end_line])))
    for f in tree.c_files():
        mentions.update(re.findall(r'[a-z_][a-z0-9_]*', f.text))
    for f in files:
        for o in f.objects:
            if o.kind != 'function' or not o.name.startswith('crm_internal.') or o.statement is None:
                continue
            name = o.name.split('.')[1]
            own = f.bare.split('\n')[o.line - 1:o.end_line]
            inside = Counter(re.findall(r'[a-z_][a-z0-9_]*', '\n'.join(own)))[name]
            if mentions[name] <= inside:
                yield Finding('unused-sql', f.path, o.line, o.name, f'nothing calls {o.name}: take it out')


# ---- columns ----

NAME = r'(?:"?crm(?:_internal)?"?\s*\.\s*)?"?([a-z_][a-z0-9_]*)"?'
# a relation and what it is called in the rest of the statement
ALIAS = re.compile(rf'\b(?:FROM|JOIN|UPDATE|INTO|USING|ONLY|,)\s+(?:ONLY\s+)?{NAME}(?:\s+(?:AS\s+)?(?!(?:WHERE|ON|SET|JOIN|LEFT|INNER|CROSS|USING|GROUP|ORDER|VALUES'
                   r'|SELECT|DEFAULT|OVERRIDING|RETURNING|LIMIT|FOR|UNION|AND|LOOP|THEN)\b)([a-z_]\w*))?', re.I)
COLUMN_LIST = re.compile(rf'\bINTO\s+{NAME}\s*(?:AS\s+\w+\s*)?\(([^()]*)\)', re.I)
WORD = re.compile(r'(?:\b([a-z_]\w*)\s*\.\s*)?"?\b([a-z_][a-z0-9_]*)\b', re.I)


class Place:
    """A statement, a string of C or a part of a page: the tables it names, and for each word the tables it can be a column of."""

    def __init__(self, text, tables, more=()):
        self.words = set(re.findall(r'[a-z_][a-z0-9_]*', text)) | set(more)
        here = self.words & tables
        self.near, self.columns = here, {}
        if len(here) < 2:       # whatever is named belongs to the one
            self.columns = {w: here for w in self.words}
            return
        alias = {}
        for m in ALIAS.finditer(text):
            name, called = m.group(1).lower(), (m.group(2) or m.group(1)).lower()
            for word in {called, name} if name in tables else {called}:
                alias.setdefault(word, set()).add(name)
        listed = {m.span(2): m.group(1).lower() for m in COLUMN_LIST.finditer(text)}
        for m in WORD.finditer(text):
            before, word = (m.group(1) or '').lower(), m.group(2)
            if before in alias and not alias[before] - tables:
                of = alias[before] & here or here
            else:
                of = next(({listed[span]} & here or here for span in listed if span[0] <= m.start() < span[1]), here)
            self.columns.setdefault(word, set()).update(of)

    def names(self, table, column):
        return table in self.columns.get(column, ())


def sections(text):
    """Parts of a page between headings."""
    return re.split(r'^#+ ', text, flags=re.M)


def table_columns(tree):
    """A column counts as used where a statement, a C file's string or a section of docs/ names it as one of its table."""
    tables = {o.name.split('.')[1]: o for f in tree.sql_files() for o in f.objects if o.kind == 'table' and o.statement is not None}
    known = set(tables)
    places = []
    # a trigger function speaks of NEW and OLD: its tables are those of the triggers
    triggers = {}
    for f in tree.sql_files():
        for m in re.finditer(r'\bTRIGGER\b[^;]*?\bON\s+crm\.(\w+)[^;]*?\bEXECUTE FUNCTION\s+([\w.]+)', f.bare, re.S):
            triggers.setdefault(m.group(2), set()).add(m.group(1))
    for f in tree.sql_files():
        lines = f.bare.split('\n')
        for s in f.statements:
            w = s.words(2)
            if w == ['comment', 'on'] or w == ['create', 'table'] and f.path.split('/')[2] == 'tables':
                continue
            made = {o.name for o in f.objects if o.statement is s}
            places.append(Place('\n'.join(lines[s.line - 1:s.end_line]), known, set().union(*[triggers.get(n, ()) for n in made])))
    for f in tree.c_files():
        strings = [text for _, text, _ in f.said()]
        # queries say whose their columns are; names alone go with any table of the file
        queries = {text for _, text in f.queries()}
        places += [Place(text, known) for text in queries]
        places.append(Place(' ; '.join(t for t in strings if t not in queries), known,
                            {w for t in queries for w in re.findall(r'[a-z_][a-z0-9_]*', t)} & known))
    for f in documents(tree):
        places += [Place(part, known) for part in sections(tree.text(f))]
    for name, o in tables.items():
        near = [p for p in places if name in p.near]
        # what a generated column of the same table is made of
        made_of = {w for m in generated(o) for w in m.split()}
        for line, column in columns(o.statement):
            if column not in COMMON and column not in made_of and not any(p.names(name, column) for p in near):
                yield Finding('unused-column', o.file, line, f'{o.name}.{column}',
                              f'nothing reads or documents {o.name}.{column}: give it a reader or take it out')


def generated(o):
    """Words of each GENERATED ALWAYS AS (...) of a CREATE TABLE."""
    t = o.statement.tokens
    for i in range(len(t) - 3):
        if [x.low for x in t[i:i + 3]] == ['generated', 'always', 'as'] and t[i + 3].text == '(':
            words, depth = [], 0
            for x in t[i + 3:]:
                depth += {'(': 1, ')': -1}.get(x.text, 0)
                if depth == 0:
                    break
                words.append(x.low)
            yield ' '.join(words)


# ---- settings, codes, tasks ----

def settings(tree):
    files = [f for f in tree.c_files()]
    pages = '\n'.join(tree.text(f) for f in documents(tree))
    defined = set()
    for f in files:
        for line, text in ((line, text) for kind in ('Bool', 'Int', 'Real', 'String', 'Enum')
                           for line, text in f.calls(f'DefineCustom{kind}Variable')):
            m = re.match(r'\s*"([\w.]+)"', text)
            variable = re.search(r'&(\w+)', text)
            if not m:
                continue
            name = m.group(1)
            defined.add(name)
            if variable:
                reads = sum(Counter(g.words())[variable.group(1)] for g in files if g.path.endswith('.c'))
                assigned = re.search(r'\b(assign|check)_\w+', text)     # kept by its hook
                if reads <= 2 and not assigned:
                    yield Finding('setting', f.path, line, name, f'nothing reads {variable.group(1)}, so {name} has no effect')
            if name not in pages:
                yield Finding('setting', f.path, line, name, f'no page of docs/ says what {name} does')
    for f in tree.sql_files():
        for m in re.finditer(r"current_setting\('(crm\.\w+)'", f.bare):
            if m.group(1) not in defined:
                yield Finding('setting', f.path, f.bare.count('\n', 0, m.start()) + 1, m.group(1),
                              f'{m.group(1)} is read here, but no DefineCustom...Variable makes it')


def codes(tree):
    header = 'src/base/errors.h'
    text = tree.text(header)
    raised = '\n'.join(f.text for f in tree.c_files() if f.path != header) + '\n'.join(f.bare for f in tree.sql_files())
    page = next((f for f in documents(tree) if f.endswith('errors.md')), None)
    for m in re.finditer(r"#define\s+(\w+)\s+CRM_ERRCODE\('(.)', '(.)', '(.)'\)", text):
        code = 'CR' + ''.join(m.groups()[1:])
        line = text.count('\n', 0, m.start()) + 1
        if text.count(m.group()[m.group().index('CRM_ERRCODE'):]) > 1:
            yield Finding('unused-code', header, line, f'{m.group(1)} {code}', f'another error has the code {code} as well: give one of them the next that is free')
        if not re.search(rf'\b{m.group(1)}\b|\b{code}\b', raised):
            yield Finding('unused-code', header, line, code, f'nothing raises {m.group(1)} ({code}): take it out until something does')
        if page and code not in tree.text(page):
            yield Finding('unused-code', header, line, f'{code} {page}', f'{page} does not explain {code}')
    for m in re.finditer(r'\bCR\d\w{2}\b', tree.text(page) if page else ''):
        if not re.search("'{}', '{}', '{}'".format(*m.group()[2:]), text):
            yield Finding('unused-code', page, tree.text(page).count('\n', 0, m.start()) + 1, m.group(), f'{m.group()} does not stand in {header}')


def tasks(tree):
    made = {name for name, objects in tree.objects().items() if any(o.kind == 'function' for o in objects)}
    for f in tree.sql_files():
        for s in f.statements:
            if s.words(5)[:2] != ['insert', 'into'] or 'maintenance_tasks' not in s.words(6):
                continue
            for t in s.tokens:
                if t.kind == 'string' and re.fullmatch(r"'crm(_\w+)?\.\w+'", t.text) and t.value not in made:
                    yield Finding('task', f.path, t.line, t.value, f'a seeded task calls {t.value}, which nothing makes')
