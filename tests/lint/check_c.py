"""C: SQL from one place, qualified names, names of symbols, errors with a hint."""
import re

from sql_text import sql_tokens
from tree import Finding

RULES = {
    'spi': 'SQL is run through src/base/plan.c: no other file calls SPI, but to read what it brought',
    'sql-in-c': 'relations and functions of crm are written with their schema in SQL strings of C',
    'exported': 'functions and variables that are not static are called crm_...',
    'static-unique': 'no two static functions of the tree have one name',
    'version-test': 'PG_VERSION_NUM is looked at in src/base/compat.h alone',
    'varlena': 'a file that reads variable-length values, or makes functions for SQL, includes base/compat.h, itself or by its headers: servers differ',
    'json-value': 'values are taken out of JSON by src/base/json.c alone: the server takes what it is given for an object or an array, and reads on',
    'result-row': 'the row type of a result comes from crm_result_row() in src/base/row.c',
    'hint-c': 'an error of class CR has an errhint',
}

# reading a result, and what trigger functions look up in a tuple
SPI_READS = {'SPI_processed', 'SPI_tuptable', 'SPI_getbinval', 'SPI_getvalue', 'SPI_fnumber', 'SPI_freetuptable', 'SPI_fname',
             'SPI_gettypeid', 'SPI_getargcount', 'SPI_getargtypeid', 'SPI_copytuple', 'SPI_palloc', 'SPI_result_code_string'}
ENTRY = {'_PG_init', 'Pg_magic_func'}


def check(tree):
    yield from spi(tree)
    yield from varlena(tree)
    yield from strings(tree)
    yield from symbols(tree)
    yield from errors(tree)


# functions of the server with one caller in the tree: rule, file, what to use
ONE_CALLER = {
    'getKeyJsonValueFromContainer': ('json-value', 'src/base/json.c', 'crm_json_member()'),
    'getIthJsonbValueFromContainer': ('json-value', 'src/base/json.c', 'crm_json_element()'),
    'get_call_result_type': ('result-row', 'src/base/row.c', 'crm_result_row()'),
}


def spi(tree):
    for f in tree.c_files():
        seen = set()
        for t in f.tokens:
            if t.kind == 'word' and t.text in ONE_CALLER:
                rule, home, use = ONE_CALLER[t.text]
                if f.path != home:
                    yield Finding(rule, f.path, t.line, f'{f.path} {t.text}', f'{t.text} outside {home}: use {use}')
            if t.kind == 'word' and t.text == 'PG_VERSION_NUM' or t.kind == 'directive' and 'PG_VERSION_NUM' in t.text:
                if f.path != 'src/base/compat.h':
                    yield Finding('version-test', f.path, t.line, f.path, 'put the difference between servers into src/base/compat.h')
            if f.path == 'src/base/plan.c' or t.kind != 'word' or not t.text.startswith('SPI_') or t.text in seen:
                continue
            if t.text in SPI_READS or t.text.startswith('SPI_OK_') or t.text.startswith('SPI_ERROR_'):
                continue
            seen.add(t.text)
            yield Finding('spi', f.path, t.line, f'{f.path} {t.text}',
                          f'{t.text} outside src/base/plan.c, which alone pins the search path and keeps plans: use what it offers')


VARLENA = re.compile(r'(?:SET_)?VAR(?:DATA|SIZE|ATT)\w*|PG_FUNCTION_INFO_V1')


def varlena(tree):
    included = {f.path: [f'src/{name}' for _, name in f.includes()] for f in tree.c_files()}
    for f in tree.c_files():
        use = next((t for t in f.tokens if t.kind == 'word' and VARLENA.fullmatch(t.text)), None)
        reached, new = set(), [f.path]
        while new:
            path = new.pop()
            reached.add(path)
            new += [p for p in included.get(path, []) if p not in reached]
        if use and 'src/base/compat.h' not in reached:
            yield Finding('varlena', f.path, use.line, f.path, f'{use.text} without base/compat.h: it is not built, or not found, on some server')


# ---- SQL in strings ----

SQL = re.compile(r'\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH|CREATE|ALTER|DROP|LOCK|CALL|REFRESH|ANALYZE|MERGE)\s')
BEFORE_RELATION = {'from', 'join', 'into', 'update', 'table', 'using', 'only'}
NOT_A_RELATION = {'select', 'lateral', 'only', 'set', 'distinct', 'unnest', 'generate_series', 'values', 'rows', 'skip', 'of', 'nowait'}


def strings(tree):
    ours = {}
    for name, objects in tree.objects().items():
        ours.setdefault(name.split('.')[1], set()).update(o.kind for o in objects)
    # transition tables, and names that C gives to a tuplestore
    given = set()
    for f in tree.sql_files():
        given |= {m.lower() for m in re.findall(r'\b(?:NEW|OLD)\s+TABLE\s+AS\s+(\w+)', f.bare, re.I)}
    for f in tree.c_files():
        given |= {m.lower() for _, text, _ in f.strings() for m in re.findall(r'\b(?:NEW|OLD)\s+TABLE\s+AS\s+(\w+)', text, re.I)}
        given |= set(re.findall(r'->name\s*=\s*(?:pstrdup\()?"(\w+)"', f.text))
    for f in tree.c_files():
        # a word alone in a string names a tuplestore that the query reads
        local = given | {text for _, text, _ in f.strings() if re.fullmatch('[a-z_]+', text)}
        for line, text, before in f.strings():
            if SQL.match(text) and not (before and before[-2:-1] and before[-2].text in ('errmsg', 'errhint', 'errdetail')):
                for key, what in unqualified(text, ours, local):
                    yield Finding('sql-in-c', f.path, line, f'{f.path} {key}', what)


def unqualified(text, ours, given):
    tokens = list(sql_tokens(re.sub(r'%(?:\d+\$)?[-\d*.]*(?:l|ll|z)?[sdIuL]', ' "%" ', text)))
    named = {tokens[i].low for i in range(len(tokens) - 1) if tokens[i].kind == 'word' and tokens[i + 1].low == 'as'
             and i + 2 < len(tokens) and tokens[i + 2].low in ('(', 'materialized', 'not')}
    # WITH name (columns) AS ( ... )
    named |= set(re.findall(r'(?:\bWITH(?:\s+RECURSIVE)?|,)\s+(\w+)\s*\([\w\s,]+\)\s+AS\b', text))
    for i, t in enumerate(tokens[:-1]):
        follows = tokens[i + 1]
        if t.low in BEFORE_RELATION and follows.kind == 'word' and follows.low not in NOT_A_RELATION:
            after = tokens[i + 2].text if i + 2 < len(tokens) else ''
            if t.low == 'from' and i >= 1 and (tokens[i - 1].low == 'distinct' or inside_call(tokens, i)):
                continue        # IS DISTINCT FROM, extract(... FROM ...)
            if t.low == 'update' and i and tokens[i - 1].low in ('for', 'do', 'on', 'before', 'after', 'or'):
                continue
            if after not in ('.', '(') and follows.low not in named and follows.low not in given:
                yield follows.low, f'"{t.text} {follows.text}": write the schema before the relation'
        if t.kind == 'word' and follows.text == '(' and 'function' in ours.get(t.low, ()) and (i == 0 or tokens[i - 1].text != '.'):
            if i and tokens[i - 1].low in ('into', 'as', 'with', ',', 'join') or t.low in named:
                continue
            yield t.low, f'"{t.text}(": write the schema before the function of crm'


def inside_call(tokens, at):
    """FROM within extract(), substring(), trim(), overlay() is not that of a query."""
    depth = 0
    for i in range(at - 1, -1, -1):
        if tokens[i].text == ')':
            depth += 1
        elif tokens[i].text == '(':
            if depth == 0:
                return i > 0 and tokens[i - 1].low in ('extract', 'substring', 'trim', 'overlay')
            depth -= 1
        elif tokens[i].low == 'select' and depth == 0:
            return False
    return False


# ---- symbols ----

def symbols(tree):
    statics = {}
    for f in tree.c_files():
        for function in f.functions:
            if function.static:
                first = statics.setdefault(function.name, f.path)
                if first != f.path:
                    yield Finding('static-unique', f.path, function.line, f'{function.name} {f.path}',
                                  f'{function.name} is also a function of {first}: a debugger and a reader want one, name it by what it is about')
            elif not function.name.startswith('crm_') and function.name not in ENTRY:
                yield Finding('exported', f.path, function.line, function.name,
                              f'{function.name} is not static: make it static, or call it crm_{function.name}')
        for line, name in variables(f):
            yield Finding('exported', f.path, line, name, f'{name} is not static: make it static, or call it crm_{name}')


def variables(f):
    if not f.path.endswith('.c'):
        return
    for m in re.finditer(r'^(?!static|typedef|extern|struct \w+;|return|#)(?:const\s+)?[A-Za-z_]\w*(?:\s+[A-Za-z_]\w*)*[\s*]+(?:const\s+)?(\w+)\s*(?:\[[^\]]*\])?\s*(?:=|;)',
                         f.blank, re.M):
        name = m.group(1)
        if not name.startswith('crm_') and not m.group().startswith(('struct', 'enum', 'union')):
            yield f.line(m.start()), name


# ---- errors ----

def errors(tree):
    for f in tree.c_files():
        for line, text in f.calls('ereport'):
            code = re.search(r'ERRCODE_CRM_\w+', text)
            if code and not re.search(r'\berrhint\b|\w+_hint\b', text):
                yield Finding('hint-c', f.path, line, f'{f.path} {code.group()}',
                              f'the error {code.group()} does not say what to do: add errhint()')
