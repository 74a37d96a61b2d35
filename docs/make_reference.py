#!/usr/bin/env python3
"""Writes docs/reference/ from the COMMENTs of a database in which the CRM is installed, and the index of decisions.

    make docs                                   starts a private cluster and runs this
    docs/make_reference.py FOLDER               writes into FOLDER (docs), with psql's usual environment
    docs/make_reference.py FOLDER --check       also ends with 1 if anything public has no comment

What a page says comes from the catalogue; in which room a thing stands, from the file that makes it.
Pages written by people (errors.md) are left alone.
"""
import json
import os
import re
import subprocess
import sys

REPO = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HEAD = '<!-- Made by docs/make_reference.py from the catalogue: change the COMMENT and run make docs. -->'

QUERY = r"""
WITH
rels AS (
    SELECT c.oid, n.nspname, c.relname, c.relkind, obj_description(c.oid, 'pg_class') AS comment
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname IN ('crm', 'crm_analytics') AND c.relkind IN ('r', 'p', 'v', 'c')
),
cols AS (
    SELECT a.attrelid, json_agg(json_build_object(
               'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), 'null', NOT a.attnotnull,
               'default', CASE WHEN a.attidentity <> '' THEN 'identity' WHEN a.attgenerated <> '' THEN 'generated'
                               ELSE pg_get_expr(d.adbin, d.adrelid) END,
               'comment', col_description(a.attrelid, a.attnum),
               'refers', (SELECT array_agg(DISTINCT f.confrelid::regclass::text ORDER BY f.confrelid::regclass::text)
                          FROM pg_constraint AS f
                          WHERE f.conrelid = a.attrelid AND f.contype = 'f' AND a.attnum = ANY (f.conkey)
                            AND (a.attname <> 'tenant_id' OR array_length(f.conkey, 1) = 1))
           ) ORDER BY a.attnum) AS columns
    FROM pg_attribute AS a
    LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attnum > 0 AND NOT a.attisdropped
    GROUP BY a.attrelid
),
support AS (
    SELECT f FROM pg_aggregate AS g CROSS JOIN LATERAL
        unnest(ARRAY[g.aggtransfn, g.aggfinalfn, g.aggcombinefn, g.aggserialfn, g.aggdeserialfn]::oid[]) AS f WHERE f <> 0
)
SELECT json_build_object(
    'relations', (SELECT json_agg(json_build_object(
            'schema', r.nspname, 'name', r.relname, 'kind', r.relkind, 'comment', r.comment, 'columns', k.columns,
            'class', (SELECT x.class FROM crm_internal.table_rules() AS x WHERE x.relation = r.oid::regclass),
            'unique', (SELECT json_agg(pg_get_constraintdef(u.oid) ORDER BY u.contype, u.conname)
                       FROM pg_constraint AS u WHERE u.conrelid = r.oid AND u.contype IN ('p', 'u')))
        ORDER BY r.nspname, r.relname)
        FROM rels AS r LEFT JOIN cols AS k ON k.attrelid = r.oid),
    'functions', (SELECT json_agg(json_build_object(
            'schema', n.nspname, 'name', p.proname, 'kind', p.prokind, 'arguments', pg_get_function_arguments(p.oid),
            'result', pg_get_function_result(p.oid), 'volatile', p.provolatile,
            'trigger', p.prorettype IN ('trigger'::regtype, 'event_trigger'::regtype),
            'support', p.oid IN (SELECT f FROM support),
            'level', (SELECT x.class FROM crm_internal.function_rules() AS x WHERE x.function::oid = p.oid),
            'comment', obj_description(p.oid, 'pg_proc'))
        ORDER BY n.nspname, p.proname, p.oid)
        FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
        WHERE n.nspname IN ('crm', 'crm_analytics')),
    'api', (SELECT json_agg(json_build_object('name', a.name, 'function', a.function::regproc::text, 'describe', crm.describe_function(a.function::regproc::text))
            ORDER BY a.name) FROM crm.api_functions() AS a),
    'events', (SELECT json_agg(json_build_object('kind', e.kind, 'subject', e.subject, 'meaning', e.meaning, 'schema', e.schema - '{$schema,title}'::text[])
               ORDER BY e.kind COLLATE "C") FROM crm.event_kinds() AS e),
    'settings', (SELECT json_agg(json_build_object(
            'name', s.name, 'type', s.vartype, 'default', s.boot_val, 'unit', s.unit, 'context', s.context,
            'comment', concat_ws(' ', s.short_desc, s.extra_desc)) ORDER BY s.name)
        FROM pg_settings AS s WHERE s.name LIKE 'crm.%'));
"""

CLASSES = {
    'owner': 'the owner of the CRM alone',
    'lookup': 'everybody reads; the owner of the CRM writes',
    'configuration': 'everybody of the tenant reads; admins write',
    'catalogue': 'everybody of the tenant reads; managers write',
    'log': 'read like the record it belongs to; written by triggers and functions alone',
    'owned': 'agents see and write what is theirs, as [access](../howto/access.md) says',
    'work': 'everybody of the tenant reads; agents write',
    'child': 'seen and written by agents like the record it belongs to',
}
CONTEXTS = {
    'user': 'every session', 'superuser': 'superusers', 'sighup': '`postgresql.conf`, with a reload',
    'postmaster': '`postgresql.conf`, with a restart', 'backend': 'at connection', 'superuser-backend': 'at connection',
}
VOLATILE = {'i': 'immutable', 's': 'stable', 'v': 'volatile'}


def rooms():
    with open(os.path.join(REPO, 'rooms.mk'), encoding='utf-8') as f:
        return re.search(r'^ROOMS\s*=\s*(.*)$', f.read(), re.M).group(1).split()


def makers():
    """{(kind, qualified name): (room, file)} of everything the SQL files make."""
    found, texts = {}, []
    made = re.compile(r'^\s*CREATE (?:OR REPLACE )?(?:UNLOGGED )?(TABLE|VIEW|FUNCTION|PROCEDURE|AGGREGATE|TYPE) '
                      r'(?:IF NOT EXISTS )?((?:crm|crm_analytics)\.\w+)', re.M)
    for room in rooms():
        folder = os.path.join(REPO, 'sql', room)
        for kind in ('members', 'tables', 'code', 'views', 'last', 'last_members'):
            path = os.path.join(folder, kind)
            for name in sorted(os.listdir(path)) if os.path.isdir(path) else []:
                if not name.endswith('.sql'):
                    continue
                rel = f'sql/{room}/{kind}/{name}'
                with open(os.path.join(path, name), encoding='utf-8') as f:
                    text = f.read()
                texts.append((room, rel, text))
                for m in made.finditer(text):
                    what = {'TABLE': 'r', 'VIEW': 'v', 'TYPE': 'c'}.get(m.group(1), 'f')
                    found.setdefault((what, m.group(2)), (room, rel))
    return found, texts


def maker_of(found, texts, what, schema, name):
    at = found.get((what, f'{schema}.{name}'))
    if at:
        return at
    # made by a call, as the views of rollups are: the file that names it in quotation marks or qualified
    for pattern in (rf"'{name}'|'{schema}\.{name}'", rf'\b{schema}\.{name}\b', rf'\b{name}\b'):
        for room, rel, text in texts:
            if re.search(pattern, text):
                return room, rel
    return rooms()[-1], None


def cell(text):
    return ' '.join((text or '').split()).replace('|', '\\|')


def paragraphs(comment):
    """A COMMENT as paragraphs: what it says of errors and of sources begins a new one."""
    return re.sub(r'\s+(?=(?:Errors?|Source|Sources): )', '\n\n', ' '.join((comment or '').split()))


def columns(r, table):
    lines = ['| column | type | meaning |', '|---|---|---|']
    for c in r['columns'] or []:
        kind = c['type'].replace('timestamp with time zone', 'timestamptz').replace('character varying', 'varchar')
        if table and not c['null']:
            kind += ' NOT NULL'
        words = cell(c['comment'])
        if c['refers']:
            words += ' → ' + ', '.join(f'`{x}`' for x in c['refers'])
        if table and c['default'] and c['name'] != 'tenant_id':
            words += f" Default: {'`' + cell(c['default']) + '`' if c['default'] not in ('identity', 'generated') else c['default']}."
        lines.append(f"| `{c['name']}` | {cell(kind)} | {words} |")
    return lines


def write(path, lines):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w', encoding='utf-8') as f:
        f.write('\n'.join(line.rstrip() for line in lines).rstrip() + '\n')


def first_sentence(words):
    return re.split(r'(?<=[.;:])\s', words or '')[0]


def api_page(functions):
    """What crm.create_api() offers, on one page."""
    lines = ['# Reference: functions for programs', '', HEAD, '',
             f'The {len(functions)} functions that `crm.create_api()` puts into a schema of the application\'s. All return jsonb; '
             '[programs and agents](../howto/api.md) says how they are used.', '',
             '| function | level | writes | what it does |', '|---|---|---|---|']
    for f in functions:
        d = f['describe']
        lines.append(f"| [`{f['name']}`](#{f['name']}) | {d['level']} | {'yes' if d['effects']['writes'] else ''} | {cell(first_sentence(d['meaning']))} |")
    for f in functions:
        d = f['describe']
        lines += ['', f"## {f['name']}", '', paragraphs(d['meaning']), '']
        if d['arguments']:
            lines += ['| argument | type | default |', '|---|---|---|']
            for a in d['arguments']:
                default = 'required' if a['required'] else f"`{cell(a['default'])}`"
                lines.append(f"| `{a['name']}` | {cell(a['type'].replace('timestamp with time zone', 'timestamptz'))} | {default} |")
            lines.append('')
        lines += ['Example: `' + json.dumps(d['example'], ensure_ascii=False) + '`']
    return lines


def events_page(kinds):
    """Every kind of event, with the JSON Schema of its payload."""
    lines = ['# Reference: events', '', HEAD.replace('change the COMMENT', 'change what is declared'), '',
             f'The {len(kinds)} kinds of `crm.events`; [following events](../howto/events.md) says how they are read. Schemas are JSON Schema 2020-12, of `payload`.', '',
             '| kind | about | what happened |', '|---|---|---|']
    for k in kinds:
        anchor = k['kind'].replace('.', '')
        lines.append(f"| [`{k['kind']}`](#{anchor}) | {'`' + k['subject'] + '`' if k['subject'] else 'said by the event'} | {cell(k['meaning'])} |")
    for k in kinds:
        lines += ['', f"## {k['kind']}", '', k['meaning'], '', '```json', json.dumps(k['schema'], ensure_ascii=False), '```']
    return lines


def main(folder, check):
    out = subprocess.run(['psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-f', '-'], input="LOAD 'crm';\nSET search_path TO pg_catalog;\n" + QUERY,
                         stdout=subprocess.PIPE, check=True, encoding='utf-8').stdout
    catalogue = json.loads(out)
    found, texts = makers()
    bare = []
    pages = {room: {'tables': [], 'views': [], 'functions': [], 'aggregates': [], 'types': [], 'triggers': []} for room in rooms()}

    for r in catalogue['relations']:
        full = f"{r['schema']}.{r['name']}"
        what = {'p': 'r'}.get(r['kind'], r['kind'])
        room, rel = maker_of(found, texts, what, r['schema'], r['name'])
        if r['kind'] == 'c':
            if not r['comment']:
                r['comment'] = ''
            lines = [f'### {full}', '', paragraphs(r['comment']) or None, '', ', '.join(f"`{c['name']}` {c['type']}" for c in r['columns'] or [])]
            pages[room]['types'].append((full, [x for x in lines if x is not None]))
            continue
        if not r['comment']:
            bare.append(f"{'view' if r['kind'] == 'v' else 'table'} {full}")
        bare += [f"column {full}.{c['name']}" for c in r['columns'] or [] if not c['comment']]
        lines = [f'### {full}', '', paragraphs(r['comment']), '']
        if r['kind'] != 'v':
            if r['class']:
                lines += [f"Rights ({r['class']}): {CLASSES.get(r['class'], r['class'])}.", '']
            if r['unique']:
                lines += ['Keys: ' + ', '.join(f'`{u}`' for u in r['unique']) + '.', '']
        lines += columns(r, r['kind'] != 'v')
        if rel:
            lines += ['', f'Made in `{rel}`.']
        pages[room]['views' if r['kind'] == 'v' else 'tables'].append((full, lines))

    for p in catalogue['functions']:
        full = f"{p['schema']}.{p['name']}"
        room, rel = maker_of(found, texts, 'f', p['schema'], p['name'])
        if not p['comment']:
            bare.append(f'function {full}')
        if p['support']:
            continue
        if p['trigger']:
            pages[room]['triggers'].append((full, f"| `{full}()` | {cell(p['comment'])} |"))
            continue
        of = 'aggregates' if p['kind'] == 'a' else 'functions'
        level = 'the owner of the CRM' if p['level'] == 'owner' else p['level'] or 'everybody who may use the schema'
        facts = f'Level: {level}.' + ('' if p['kind'] == 'a' else f" {VOLATILE[p['volatile']].capitalize()}.") + (f' Made in `{rel}`.' if rel else '')
        pages[room][of].append((full, [f'### {full}', '', f"`{full}({p['arguments']})` → `{p['result']}`", '', paragraphs(p['comment']), '', facts]))

    reference = os.path.join(folder, 'reference')
    os.makedirs(reference, exist_ok=True)
    kept = set()
    index = ['# Reference', '', HEAD, '',
             'Every table, view, function, type and setting, room by room. A room is a subject; `rooms.mk` has their order.', '',
             '| room | tables | views | functions | aggregates |', '|---|---|---|---|---|']
    for room, page in pages.items():
        if not any(page.values()):
            continue
        kept.add(f'{room}.md')
        index.append(f"| [{room}]({room}.md) | " + ' | '.join(str(len(page[k]) or '') for k in ('tables', 'views', 'functions', 'aggregates')) + ' |')
        lines = [f'# Reference: {room}', '', HEAD, '']
        for kind in ('tables', 'views', 'functions', 'aggregates', 'types'):
            if page[kind]:
                lines += [f'## {kind.capitalize()}', '']
                for _, entry in sorted(page[kind], key=lambda e: e[0]):
                    lines += entry + ['']
        if page['triggers']:
            lines += ['## Trigger functions', '', '| function | what it does |', '|---|---|'] + sorted(t for _, t in page['triggers']) + ['']
        write(os.path.join(reference, f'{room}.md'), lines)
    kept.add('settings.md')
    settings = ['# Reference: settings', '', HEAD, '', '| setting | type | default | set by | meaning |', '|---|---|---|---|---|']
    for s in catalogue['settings'] or []:
        default = f"`{s['default']}`" if s['default'] else 'empty'
        settings.append(f"| `{s['name']}` | {s['type']} | {default}{' ' + s['unit'] if s['unit'] else ''} | "
                        f"{CONTEXTS.get(s['context'], s['context'])} | {cell(s['comment'])} |")
        if not s['comment']:
            bare.append(f"setting {s['name']}")
    write(os.path.join(reference, 'settings.md'), settings)
    kept.add('events.md')
    write(os.path.join(reference, 'events.md'), events_page(catalogue['events']))
    kept.add('api.md')
    write(os.path.join(reference, 'api.md'), api_page(catalogue['api'] or []))
    index += ['', 'Other pages: [functions for programs](api.md), [events](events.md), [settings](settings.md), [errors](errors.md).', '',
              'Rights of a table are named by its class:', '', '| class | who |', '|---|---|'] + [f'| {k} | {v} |' for k, v in CLASSES.items()] + [
              '', 'The level of a function is the lowest access level that may call it: reader, agent, manager, admin, or the owner of the CRM.',
              'Functions that look at their arguments alone, such as the purchase models, may be called by every reader.']
    write(os.path.join(reference, 'README.md'), index)
    kept.add('README.md')
    # a page of a room that is no more
    for name in os.listdir(reference):
        if name not in kept and name.endswith('.md'):
            with open(os.path.join(reference, name), encoding='utf-8') as f:
                if HEAD in f.read():
                    os.remove(os.path.join(reference, name))

    decisions(os.path.join(folder, 'explanation', 'decisions'))
    if check and bare:
        print(f'{len(bare)} without a comment: COMMENT ON ... IS, beside what makes it:')
        print('\n'.join(bare))
        return 1
    if not (len(catalogue['relations']) > 50 and len(catalogue['functions']) > 100 and len(catalogue['settings']) > 3):
        print('hardly anything was found: is the CRM installed in this database?')
        return 1
    return 0


def decisions(folder):
    """The index of decisions, by the room each one is about."""
    source = os.path.join(REPO, 'docs', 'explanation', 'decisions')
    by_room = {}
    for name in sorted(os.listdir(source)):
        if not re.match(r'\d{4}-', name):
            continue
        with open(os.path.join(source, name), encoding='utf-8') as f:
            text = f.read()
        m = re.match(r'# (\d{4}) (.*)\n\nArea: (\S+)\n\n## Context\n\n.+?\n\n## Decision\n\n.+?\n\n## Price\n\n.+', text, re.S)
        if not m or m.group(1) != name[:4] or m.group(3) not in rooms():
            raise SystemExit(f'{name}: a decision has a title with its number, an area (a room), and the headings Context, Decision and Price')
        by_room.setdefault(m.group(3), []).append((m.group(1), m.group(2), name))
    lines = ['# Decisions', '', HEAD.replace('the catalogue: change the COMMENT', 'the records: add one'), '',
             'Why it is built as it is: one short record for each decision, with its context and its price. A record is not rewritten when',
             'a decision changes: a new one says which it replaces.', '']
    for room in rooms():
        if room in by_room:
            lines += [f'## {room}', ''] + [f'- [{number} {title}]({name})' for number, title, name in by_room[room]] + ['']
    write(os.path.join(folder, 'README.md'), lines)


if __name__ == '__main__':
    if len(sys.argv) < 2 or sys.argv[1].startswith('-'):
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], '--check' in sys.argv[2:]))
