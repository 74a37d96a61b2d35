"""Rooms: what one may use of another. The order is that of rooms.mk."""
import re

from sql_text import REFERENCE
from tree import Finding

RULES = {
    'include-order': 'a C file includes headers of its own room and of earlier ones only',
    'include-path': 'a header of ours is included as "room/name.h", which is how the other rules see it: no "../", no <>, no macro',
    'include-private': 'of another room only headers whose first line reads "name.h (public)", and those of base',
    'pure-c': 'a file that does not include base/crm.h includes no header of the executor, catalogs or tables',
    'room-order': 'an SQL file names objects of its own room and of earlier ones only (strings count, comments do not)',
    'room-order-c': 'a C file names, in strings, objects that its own or an earlier room makes',
    'member-room': 'the C symbol behind an SQL function stands in the room that declares the function',
}

# what needs a server to be of any use
SERVER_HEADER = re.compile(r'(executor|catalog|access|commands|storage|optimizer|parser|nodes/(exec|plan)\w*|tcop)/.*'
                           r'|utils/(rel|relcache|syscache|lsyscache|catcache|inval|snapmgr|acl)\.h')


def is_public(tree, header):
    # room base is there for the others: all it declares is theirs
    return tree.room(header) == 'base' or re.match(r'/\*\n \* \S+ \(public\)\n', tree.text(header)) is not None


def check(tree):
    yield from includes(tree)
    yield from names(tree)
    yield from members(tree)


def includes(tree):
    ours = {f[len('src/'):]: f for f in tree.matching(r'src/.*\.h')}
    servers = set()  # our headers that bring the server with them
    changed = True
    while changed:
        changed = False
        for short, path in ours.items():
            if short not in servers and (short == 'base/crm.h' or any(i in servers for _, i in tree.c(path).includes())):
                servers.add(short)
                changed = True
    for f in tree.c_files():
        room = tree.room(f.path)
        for t in f.tokens:
            m = re.match(r'\s*#\s*include\s*(.*)', t.text) if t.kind == 'directive' else None
            written = m.group(1).strip() if m else ''
            name = next((path for line, path in f.includes() if line == t.line), None) if m else None
            if m and not re.match('["<]', written) or name and written[1:-1] != name or name in ours and written[0] != '"' \
                    or name and name not in ours and f'{room}/{name}' in ours:
                yield Finding('include-path', f.path, t.line, f'{f.path} {written}', f'{written}: write "room/name.h" with the path from src/')
        included = list(f.includes())
        for line, name in included:
            if name not in ours:
                continue
            other = tree.room(ours[name])
            if room is None or other is None or other == room:
                continue
            if tree.rank(other) > tree.rank(room):
                yield Finding('include-order', f.path, line, f'{f.path} {name}',
                              f'room {room} comes before {other} in rooms.mk: move what both need to {room} or earlier')
            elif not is_public(tree, ours[name]):
                yield Finding('include-private', f.path, line, f'{f.path} {name}',
                              f'{name} is private to room {other}: use a public header of it, or make this one public in its first line')
        if room in (None, 'base') or any(i in servers for _, i in included):
            continue
        for line, name in included:
            # a room may have the name of a folder of the server's
            if SERVER_HEADER.fullmatch(name) and name not in ours:
                yield Finding('pure-c', f.path, line, f'{f.path} {name}',
                              f'{name} needs a server: include base/crm.h if the file is the face to PostgreSQL, else move this part to a face')


def names(tree):
    made_in = {}
    for name, objects in tree.objects().items():
        made_in[name] = min(tree.rank(tree.room(o.file)) for o in objects)

    for f in tree.sql_files():
        room = tree.room(f.path)
        yield from later('room-order', tree, f.path, room, made_in, f.code())
    for f in tree.c_files():
        room = tree.room(f.path)
        if room is None:
            continue
        # prose may name what it likes; a name alone is looked up
        found = list(f.queries()) + [(line, text) for line, text, _ in f.said() if re.fullmatch(r'"?\w+"?\."?\w+"?', text)]
        for line, text in found:
            yield from later('room-order-c', tree, f.path, room, made_in, text, line)


def folded(text):
    """The text with names as the server reads them, of the same length: CRM.Orders and "crm"."orders" are crm.orders."""
    quoted = re.compile(r'"([a-z_][a-z0-9_]*)"(\s*)\.(\s*)(?:"([a-z_][a-z0-9_]*)"|([A-Za-z_]\w*))|\b(crm\w*)(\s*)\.(\s*)"([a-z_][a-z0-9_]*)"', re.I)

    def plain(m):
        a, b = m.group(1) or m.group(6), m.group(4) or m.group(5) or m.group(9)
        said = f'{a}.{b}'.lower()
        return ' ' * (len(m.group()) - len(said)) + said
    return re.sub(r'\b(crm\w*)\.(\w+)', lambda m: m.group().lower(), quoted.sub(plain, text), flags=re.I)


def later(rule, tree, path, room, made_in, text, first_line=1):
    seen = set()
    for m in REFERENCE.finditer(folded(text)):
        name = m.group()
        if name in made_in and made_in[name] > tree.rank(room) and name not in seen:
            seen.add(name)
            other = tree.rooms[made_in[name]]
            line = first_line if rule == 'room-order-c' else text.count('\n', 0, m.start()) + 1
            yield Finding(rule, path, line, f'{path} {name}',
                          f'room {room} names {name}, which the later room {other} makes: move it, or let {other} hang itself in (a registry, a trigger, an event)')


def members(tree):
    stands_in = {}
    for f in tree.c_files():
        for name in re.findall(r'\bPG_FUNCTION_INFO_V1\s*\(\s*(\w+)\s*\)', f.blank):
            stands_in[name] = f.path
        # macros that declare and define several functions name them as arguments
        for name in re.findall(r'^[A-Z_]+\(\s*(crm_\w+)', f.blank, re.M):
            stands_in.setdefault(name, f.path)
    for f in tree.sql_files():
        for o in f.objects:
            if o.kind != 'function' or o.statement is None or 'c' not in following(o.statement, 'language'):
                continue
            symbol = symbol_of(o)
            where = stands_in.get(symbol)
            if where and tree.room(where) not in (None, tree.room(f.path)):
                yield Finding('member-room', f.path, o.line, o.name,
                              f'{o.name} is declared in room {tree.room(f.path)}, its symbol {symbol} stands in {where}')


def following(statement, word):
    tokens = statement.tokens
    return {tokens[i + 1].low for i in range(len(tokens) - 1) if tokens[i].low == word}


def symbol_of(o):
    strings = [t.value for t in o.statement.tokens if t.kind == 'string']
    if 'MODULE_PATHNAME' in strings:
        at = strings.index('MODULE_PATHNAME')
        return strings[at + 1] if at + 1 < len(strings) else o.name.split('.')[1]
    return None
