"""SQL: what each CREATE must say, and queries that are put together."""
import re

from sql_text import arguments, sql_tokens
from tree import Finding

RULES = {
    'search-path': 'functions in SQL and PL/pgSQL pin it: SET search_path = pg_catalog, pg_temp (not those with a parsed body: RETURN, BEGIN ATOMIC)',
    'variable-conflict': 'a body in PL/pgSQL begins with #variable_conflict use_variable: a name without a table is a variable, whatever columns the owner adds',
    'volatility': 'every CREATE FUNCTION says IMMUTABLE, STABLE or VOLATILE (trigger functions need not)',
    'rows': 'a function that returns a set says how many rows are usual (ROWS n): the default of 1,000 makes plans dear enough to be compiled',
    'comment': 'every function, aggregate, view, table and type has a COMMENT in the file that makes it',
    'format-s': 'format(): %s takes a constant, a number, a regclass or what quote_...() made; a name is %I, a value %L or USING',
    'hint-sql': 'RAISE EXCEPTION with a code of class CR has a HINT',
    'advisory-lock': 'locks are those of crm.lock() and crm.lock_own(): keys of pg_advisory_...() can be held by anybody',
    'closed-list': 'which tables something is for is said of each beside its CREATE TABLE (crm.declare_table), not in a list of their names',
    'known-code': 'codes of class CR in SQL stand in src/base/errors.h',
}
PINNED = re.compile(r'set search_path = pg_catalog , pg_temp(?! ,)')
VARIABLES = re.compile(r'\$\w*\$\s*#variable_conflict use_variable\n')
LIST = re.compile(r"(?:\b(?:IN|VALUES)\s*\(|\bARRAY\s*\[|'\{)([^()\[\]{}]*)[)\]}]")
COMMENTED = {'function', 'aggregate', 'view', 'table', 'type', 'procedure'}


def check(tree):
    codes = error_codes(tree)
    makers = query_makers(tree)
    tables = {o.name.split('.')[1] for f in tree.sql_files() for o in f.objects if o.kind == 'table' and o.name.startswith('crm.')}
    for f in tree.sql_files():
        names = {n for _, n in f.comments()} | set(commented_in_blocks(f))
        for o in f.objects:
            if o.kind in COMMENTED and o.name not in names:
                yield Finding('comment', f.path, o.line, o.name, f'{o.kind} {o.name} has no COMMENT in this file: say what it means')
            if o.kind == 'function' and o.statement is not None:
                yield from function(f, o)
        yield from formats(f, makers)
        yield from raises(f, codes)
        yield from advisory(f)
        yield from closed_lists(f, tables)


def closed_lists(f, tables):
    for m in LIST.finditer(f.text):
        if m.group().startswith("'{"):
            names = [n.strip() for n in m.group(1).split(',')]
        else:
            names = [n.strip().strip("'") for n in m.group(1).split(',') if n.strip().startswith("'")]
        names = [n.removeprefix('crm.') for n in names]
        if len(names) > 1 and set(names) <= tables:
            line = f.text.count('\n', 0, m.start()) + 1
            yield Finding('closed-list', f.path, line, f'{f.path} {" ".join(names)}', f'a list of tables ({", ".join(names)}): ask the registry')


def advisory(f):
    for line, text in enumerate(f.text.split('\n'), 1):
        if re.search(r'\bpg_(try_)?advisory', text) and not text.lstrip().startswith('--') and not text.startswith("'"):
            yield Finding('advisory-lock', f.path, line, str(line), 'take crm.lock(), crm.try_lock() or crm.lock_own()')


def commented_in_blocks(f):
    for s in f.statements:
        if s.words(1) == ['do'] and s.body() is not None:
            yield from re.findall(r'COMMENT ON \w+ ((?:crm|crm_analytics|crm_internal)\.\w+)', s.body().value)


def function(f, o):
    header = o.statement.header()
    language = header[header.index('language') + 1] if 'language' in header else 'sql'
    body = o.statement.body()
    # AS 'SELECT ...' is no parsed body either
    parsed = 'atomic' in header or body is None and 'as' not in header
    pinned = PINNED.search(' '.join(t.low for t in o.statement.tokens))
    if language in ('sql', 'plpgsql') and not parsed and not pinned:
        yield Finding('search-path', f.path, o.line, o.name, f'{o.name} looks where its caller says: add SET search_path = pg_catalog, pg_temp')
    elif 'security' in header and 'definer' in header and not pinned:
        yield Finding('search-path', f.path, o.line, o.name, f'{o.name} is SECURITY DEFINER without a pinned search_path')
    if language == 'plpgsql' and body is not None and not VARIABLES.match(body.text):
        yield Finding('variable-conflict', f.path, o.line, o.name, f'{o.name} begins its body without #variable_conflict use_variable')
    returns = next((o.statement.tokens[i + 1].low for i, t in enumerate(o.statement.tokens[:-1]) if t.low == 'returns'), '')
    if returns not in ('trigger', 'event_trigger') and not {'immutable', 'stable', 'volatile'} & set(header):
        yield Finding('volatility', f.path, o.line, o.name, f'{o.name} does not say IMMUTABLE, STABLE or VOLATILE')
    if returns in ('table', 'setof') and 'rows' not in header[header.index('language'):]:
        yield Finding('rows', f.path, o.line, o.name, f'{o.name} returns a set: say how many rows are usual, ROWS n beside the volatility')


# ---- queries put together ----

NUMBERS = {'int', 'integer', 'bigint', 'smallint', 'oid', 'numeric', 'regclass', 'regproc', 'regprocedure', 'regtype', 'regnamespace', 'float8', 'boolean'}
QUOTING = {'quote_ident', 'quote_literal', 'quote_nullable', 'format_type', 'pg_get_expr', 'pg_get_viewdef', 'pg_get_constraintdef',
           'pg_get_functiondef', 'pg_get_indexdef', 'pg_get_triggerdef', 'repeat', 'count', 'length', 'cardinality', 'array_length'}


PROSE = re.compile(r'[a-z]{3,}')
CODE = re.compile(r'\b(SELECT|INSERT|UPDATE|DELETE|FROM|WHERE|CREATE|ALTER|DROP|GRANT|REVOKE|SET|VALUES|CASE|WHEN|JOIN|EXECUTE|BY|IS|AND|OR|NOT|NULL|AS|IN|ON|TO|USING)\b'
                  r'|%I|%L|=|::|\(|\$')


def query_makers(tree):
    """Our functions that return text put together by format(): what they return has been looked at there."""
    found = set()
    for f in tree.sql_files():
        for o in f.objects:
            if o.kind == 'function' and o.statement is not None and o.statement.body() is not None:
                t = o.statement.tokens
                returns = next((t[i + 1].low for i in range(len(t) - 1) if t[i].low == 'returns'), '')
                if returns == 'text' and 'format(' in o.statement.body().value:
                    found.add(o.name.split('.')[1])
    return found


def formats(f, makers):
    """Each format() of the file, in bodies and DO blocks as well."""
    for tokens, names in blocks(f):
        known = names | {f'{m}()' for m in makers}
        for i, t in enumerate(tokens[:-1]):
            if t.low != 'format' or tokens[i + 1].text != '(' or (i > 1 and tokens[i - 1].text == '.' and tokens[i - 2].low != 'pg_catalog'):
                continue
            given, _ = arguments(tokens, i + 1)
            if not given or given[0][0].kind not in ('string', 'dollar'):
                continue
            text = ''.join(x.value for x in given[0] if x.kind in ('string', 'dollar'))
            if PROSE.search(re.sub(r'%\d*\$?s', '', text)) and ' ' in text and not CODE.search(text):
                continue        # a message, no query
            at = 0
            for m in re.finditer(r'%(?:(\d+)\$)?-?\d*([sIL%])', text):
                if m.group(2) == '%':
                    continue
                at = int(m.group(1)) if m.group(1) else at + 1
                if m.group(2) == 's' and at < len(given) and not harmless(given[at], known):
                    said = re.sub(r'\s+', ' ', ' '.join(x.text for x in given[at]))[:60].strip()
                    yield Finding('format-s', f.path, given[at][0].line, f'{f.path} {said}',
                                  f'%s of "{said}": a name is %I, a value %L or a parameter (USING); an allowed entry says why this text is safe')


def blocks(f):
    """(tokens, harmless names) of each statement and of the inside of each dollar-quoted string, which sees the names around it."""
    todo = [(s.tokens, frozenset()) for s in f.statements]
    while todo:
        tokens, around = todo.pop()
        known = around | variables(tokens)
        yield tokens, known
        for t in tokens:
            if t.kind == 'dollar' and '\n' in t.value:
                todo.append((list(sql_tokens(t.value, t.line)), known))


def variables(tokens):
    """Variables that cannot hold text a user wrote: by their type, or as every value they are given is harmless."""
    found, given, filled = set(), {}, set()
    for i in range(len(tokens) - 1):
        a, b = tokens[i], tokens[i + 1]
        if a.low == 'constant' and i:
            a = tokens[i - 1]
        if a.kind == 'word' and b.low in NUMBERS:
            found.add(a.low)
        if a.kind == 'word' and b.low == 'pg_catalog' and i + 3 < len(tokens) and tokens[i + 3].low in NUMBERS:
            found.add(a.low)
        if b.text == ':=' and a.kind == 'word':
            j, depth = i + 2, 0
            while j < len(tokens) and not (depth == 0 and tokens[j].text == ';'):
                depth += {'(': 1, ')': -1}.get(tokens[j].text, 0)
                j += 1
            # name text := value, name CONSTANT text := value
            name = tokens[i - 2] if a.low in ('text', 'name') and i > 1 and tokens[i - 1].low == 'constant' else \
                tokens[i - 1] if a.low in ('text', 'name') and i else a
            given.setdefault(name.low, []).append(tokens[i + 2:j])
        if a.low == 'into' and b.kind == 'word':
            targets = names_after(tokens, i + 1)
            values = selected(tokens, i)
            if len(targets) == len(values):
                for name, value in zip(targets, values):
                    given.setdefault(name, []).append(value)
            else:
                filled |= set(targets)
        if a.low == 'foreach' and b.kind == 'word' and tokens[i + 2].low == 'in' and tokens[i + 3].low == 'array':
            given.setdefault(b.low, []).append(tokens[i + 4:i + 5])
        elif a.low in ('for', 'foreach') and b.kind == 'word':
            filled |= set(names_after(tokens, i + 1))
        if a.low == 'unnest' and b.text == '(' and i + 5 < len(tokens) and tokens[i + 3].text == ')' and tokens[i + 4].low == 'as':
            given.setdefault(tokens[i + 5].low, []).append(tokens[i + 2:i + 3])
    more = True
    while more:
        more = False
        for name, values in given.items():
            if name not in found and name not in filled and all(harmless(v, found | {name}) for v in values):
                found.add(name)
                more = True
    return found


def names_after(tokens, at):
    """The names of a list: a, b, c."""
    found = []
    while at < len(tokens) and tokens[at].kind == 'word':
        found.append(tokens[at].low)
        if at + 1 >= len(tokens) or tokens[at + 1].text != ',':
            break
        at += 2
    return found


def selected(tokens, at):
    """What a SELECT gives to the INTO at this place, expression by expression."""
    depth, begin = 0, at - 1
    while begin >= 0 and not (depth == 0 and tokens[begin].low in ('select', ';')):
        depth += {')': 1, '(': -1}.get(tokens[begin].text, 0)
        begin -= 1
    if begin < 0 or tokens[begin].low != 'select':
        return []
    found, current, depth = [], [], 0
    for t in tokens[begin + 1:at]:
        depth += {'(': 1, ')': -1, '[': 1, ']': -1}.get(t.text, 0)
        if t.text == ',' and depth == 0:
            found.append(current)
            current = []
        else:
            current.append(t)
    return found + [current]


def harmless(words, known):
    """Whether the expression cannot bring in text that a user wrote, and is quoted where it does."""
    if not words:
        return False
    if words[0].text == '(' and closing(words, 0) == len(words) - 1:
        words = words[1:-1]
    if words and words[0].low == 'select':
        words = words[1:top_level(words, 'from')]
    parts, rest = [], words
    while True:
        at = top_level(rest, '||')
        parts.append(rest[:at])
        if at == len(rest):
            break
        rest = rest[at + 1:]
    if len(parts) > 1:
        return all(harmless(p, known) for p in parts)
    if not words:
        return False
    if all(t.kind in ('string', 'number') for t in words):
        return True
    if len(words) >= 2 and words[-1].low in NUMBERS and words[-2].text in ('::', '.'):
        return True
    if len(words) == 1 and words[0].low in known | {'null'}:
        return True
    if len(words) == 3 and words[1].text == '.' and words[2].low in ('id', 'tenant_id'):
        return True             # bigint in every table
    first = 2 if len(words) > 2 and words[0].low in ('pg_catalog', 'crm', 'crm_internal', 'crm_analytics') else 0
    if len(words) > first + 1 and words[first + 1].text == '(':
        name = words[first].low
        inner, end = arguments(words, first + 1)
        if end == len(words) - 1:
            if name in QUOTING or name == 'format' or f'{name}()' in known:     # a format within is looked at for itself
                return True
            if name == 'string_agg':
                return harmless(inner[0], known)
            if name in ('coalesce', 'nullif', 'concat', 'concat_ws', 'array_to_string', 'greatest', 'least', 'array_append'):
                return all(harmless(a, known) for a in inner)
    if words[0].low == 'case' and words[-1].low == 'end':
        at, depth = 0, 0
        for i, t in enumerate(words):
            if depth == 1 and at and t.low in ('when', 'else', 'end'):
                if not harmless(words[at:i], known):
                    return False
                at = 0
            depth += {'case': 1, '(': 1, 'end': -1, ')': -1}.get(t.low, 0)
            if depth == 1 and t.low in ('then', 'else'):
                at = i + 1
        return True
    return False


def closing(words, at):
    depth = 0
    for i in range(at, len(words)):
        depth += {'(': 1, ')': -1}.get(words[i].text, 0)
        if depth == 0:
            return i
    return -1


def top_level(words, what):
    depth = 0
    for i, t in enumerate(words):
        depth += {'(': 1, ')': -1, '[': 1, ']': -1, 'case': 1, 'end': -1}.get(t.low, 0)
        if depth == 0 and t.low == what:
            return i
    return len(words)


# ---- errors ----

def error_codes(tree):
    text = tree.text('src/base/errors.h')
    return {'CR' + ''.join(m) for m in re.findall(r"CRM_ERRCODE\('(.)', '(.)', '(.)'\)", text)}


def raises(f, codes):
    for m in re.finditer(r"\bERRCODE\s*=\s*'(CR\w{3})'", f.bare):
        line = f.bare.count('\n', 0, m.start()) + 1
        if m.group(1) not in codes:
            yield Finding('known-code', f.path, line, f'{f.path} {m.group(1)}', f'{m.group(1)} does not stand in src/base/errors.h')
        start = f.bare.rfind('RAISE', 0, m.start())
        end = f.bare.find(';', m.end())
        while end > 0 and f.bare.count("'", m.end(), end) % 2:
            end = f.bare.find(';', end + 1)
        if start >= 0 and not re.search(r'\bHINT\b', f.bare[start:end]):
            yield Finding('hint-sql', f.path, line, f'{f.path} {m.group(1)}', f'the error {m.group(1)} does not say what to do: add HINT')
