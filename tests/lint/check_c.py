"""C: SQL from one place, qualified names, names of symbols, errors with a hint."""
import re

from sql_text import sql_tokens
from tree import Finding

RULES = {
    'spi': 'SQL is run through src/base/plan.c, which pins the search path, so operators need no schema: no other file calls SPI, but to read what it brought, or parses SQL',
    'sql-in-c': 'relations, functions, types and operators of crm are written with their schema in SQL strings of C, and functions made there pin their search_path',
    'brace': 'a function has its result on a line, its name in column 0 of the next, and its braces in column 0',
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
# what reads SQL, or finds an operator by its name, in whatever path is set
SPI_LIKE = {'raw_parser', 'pg_parse_query', 'pg_analyze_and_rewrite_fixedparams', 'parse_analyze_fixedparams', 'transformExpr',
            'transformWhereClause', 'make_op', 'oper', 'compatible_oper', 'LookupOperName', 'ProcessUtility'}
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
            if f.path == 'src/base/plan.c' or t.kind != 'word' or t.text in seen:
                continue
            if t.text in SPI_LIKE:
                seen.add(t.text)
                yield Finding('spi', f.path, t.line, f'{f.path} {t.text}', f'{t.text} outside src/base/plan.c takes operators and functions from the path of the caller')
            if not t.text.startswith('SPI_'):
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

BEFORE_RELATION = {'from', 'join', 'into', 'update', 'table', 'using', 'only', 'truncate', 'copy', 'analyze', 'references', 'view', 'vacuum', 'cluster'}
NOT_A_RELATION = {'select', 'lateral', 'only', 'set', 'distinct', 'unnest', 'generate_series', 'values', 'rows', 'skip', 'of', 'nowait', 'table',
                  'if', 'all', 'insert', 'update', 'delete', 'with', 'materialized', 'concurrently', 'or'}
# behind ON stands a relation in these, a condition elsewhere
ON_RELATION = re.compile(r'\s*(?:CREATE\s+(?:OR\s+REPLACE\s+)?(?:UNIQUE\s+INDEX|INDEX|CONSTRAINT\s+TRIGGER|TRIGGER|POLICY)|DROP\s+(?:TRIGGER|POLICY)|GRANT|REVOKE|COMMENT)\b', re.I)
NOT_ON = {'conflict', 'delete', 'update', 'commit', 'function', 'schema', 'all', 'table', 'column', 'view', 'sequence', 'type', 'trigger', 'constraint',
          'index', 'policy', 'only', 'extension', 'true', 'domain', 'aggregate'}
ENDS_FROM = {'where', 'group', 'order', 'having', 'limit', 'union', 'returning', 'set', 'for', 'window', 'except', 'intersect', 'on', 'select', 'when'}


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
        for line, text in f.queries():
            for key, what in unqualified(text, ours, local):
                yield Finding('sql-in-c', f.path, line, f'{f.path} {key}', what)


def unqualified(text, ours, given):
    tokens = list(sql_tokens(re.sub(r'%(?:\d+\$)?[-\d*.]*(?:l|ll|z)?[sdIuL]', ' "%" ', text)))
    named = {tokens[i].low for i in range(len(tokens) - 1) if tokens[i].kind == 'word' and tokens[i + 1].low == 'as'
             and i + 2 < len(tokens) and tokens[i + 2].low in ('(', 'materialized', 'not')}
    # WITH name (columns) AS ( ... )
    named |= set(re.findall(r'(?:\bWITH(?:\s+RECURSIVE)?|,)\s+(\w+)\s*\([\w\s,]+\)\s+AS\b', text))
    on_relation = ON_RELATION.match(text)
    operators = {name for name, kinds in ours.items() if 'operator' in kinds}
    for i, t in enumerate(tokens[:-1]):
        follows = tokens[i + 1]
        name = plain_name(follows)
        if name and (t.low in BEFORE_RELATION and name not in NOT_A_RELATION or t.low == 'on' and on_relation and name not in NOT_ON
                     or t.text == ',' and in_from(tokens, i)):
            after = tokens[i + 2].text if i + 2 < len(tokens) else ''
            if t.low == 'from' and i >= 1 and (tokens[i - 1].low == 'distinct' or inside_call(tokens, i)):
                continue        # IS DISTINCT FROM, extract(... FROM ...)
            if t.low == 'using' and (tokens[i - 1].low in ('on',) or on_relation or not any(x.low in ('delete', 'merge') for x in tokens[:i])):
                continue        # an index's method
            if t.low == 'update' and i and tokens[i - 1].low in ('for', 'do', 'on', 'before', 'after', 'or'):
                continue
            if t.low in ('from', 'on') and on_relation and text.lstrip()[:6].upper() == 'REVOKE' and t.low == 'from':
                continue        # a role
            takes_columns = t.low in ('into', 'on', 'references', 'copy', 'truncate', 'analyze')
            if after != '.' and (after != '(' or takes_columns) and name not in named and name not in given:
                yield name, f'"{t.text} {follows.text}": write the schema before the relation'
        mine = plain_name(t)
        if mine and follows.text == '(' and 'function' in ours.get(mine, ()) and (i == 0 or tokens[i - 1].text != '.'):
            if i and tokens[i - 1].low in ('into', 'as', 'with', 'join') or mine in named:
                continue
            yield mine, f'"{t.text}(": write the schema before the function of crm'
        if t.text == '::' and name and 'type' in ours.get(name, ()):
            yield name, f'"::{follows.text}": write the schema before the type of crm'
    for sign in operators:
        if re.search(rf'(?<![-+*/<>=~!@#%^&|`?.]){re.escape(sign)}(?![-+*/<>=~!@#%^&|`?])', text):
            yield sign, f'"{sign}" is an operator of crm, which the pinned path does not hold: OPERATOR(crm.{sign})'
    if re.match(r'\s*CREATE\s+(OR\s+REPLACE\s+)?(FUNCTION|PROCEDURE)\b', text, re.I) and not re.search(r'SET\s+search_path\s*=\s*pg_catalog,\s*pg_temp', text, re.I):
        yield 'search_path', 'a function made here looks where its caller says: SET search_path = pg_catalog, pg_temp'


def plain_name(token):
    """The name a word or a quoted word stands for; None for signs and what a format puts in."""
    if token.kind == 'word':
        return token.low
    return token.text[1:-1] if token.kind == 'quoted' and '%' not in token.text else None


def in_from(tokens, at):
    """Whether the comma at this place separates relations of a FROM."""
    depth = 0
    for i in range(at - 1, -1, -1):
        if tokens[i].text == ')':
            depth += 1
        elif tokens[i].text == '(':
            if depth == 0:
                return False
            depth -= 1
        elif depth == 0 and tokens[i].low in ENDS_FROM:
            return False
        elif depth == 0 and tokens[i].low == 'from':
            return not (i and tokens[i - 1].low == 'distinct')
    return False


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
            if not function.in_style:
                yield Finding('brace', f.path, function.line, f'{f.path} {function.name}',
                              f'{function.name}: put its result on a line, its name in column 0 of the next, its braces in column 0')
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
