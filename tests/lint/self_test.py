"""The checks are tried on a small tree: whole, it has no finding; with one fault planted, the rule meant finds it.

Run by tests/lint/run --self-test. A rule without a fault here is a failure, so that every rule is seen to fail once.
"""
import os
import re
import shutil
import tempfile

from git import git
from lists import Lists
from tree import Tree

OPEN = '/*\n * {0}\n *\t  What it is about.\n */\n'

WHOLE = {
    'rooms.mk': 'ROOMS = base people sales\n',
    '.gitignore': '*.o\n',
    'Makefile': '# tests/helpers/run.sh\n',
    'README.md': 'See [errors](docs/errors.md).\n',
    'docs/errors.md': 'CR101 is raised by crm.pair(). The setting crm.depth. The column amount of deals, nick of persons.\n',
    'src/module.c': OPEN.format('module.c') + '#include "base/crm.h"\n\nvoid\n_PG_init(void)\n{\n\tcrm_settings();\n}\n',
    'src/base/crm.h': OPEN.format('crm.h') + '#include "base/errors.h"\n#include "base/compat.h"\nextern void crm_settings(void);\n',
    'src/base/compat.h': OPEN.format('compat.h') + '#if PG_VERSION_NUM < 150000\n#endif\n',
    'src/base/errors.h': OPEN.format('errors.h') + "#define ERRCODE_CRM_PAIR CRM_ERRCODE('1', '0', '1')\n",
    'src/base/settings.c': OPEN.format('settings.c') + '#include "base/crm.h"\n\nint\tcrm_depth;\n\nvoid\ncrm_settings(void)\n{\n'
                           '\tDefineCustomIntVariable("crm.depth", "d", NULL, &crm_depth);\n\tif (crm_depth > 1 && crm_depth < 9)\n\t\tcrm_depth = 2;\n}\n',
    'src/people/pair.h': OPEN.format('pair.h (public)') + 'extern void crm_pair_up(void);\n',
    'src/people/pair.c': OPEN.format('pair.c') + '#include "base/crm.h"\n#include "people/pair.h"\n\nPG_FUNCTION_INFO_V1(crm_pair);\n\n'
                         'static int\ncount_pairs(void)\n{\n\treturn 1;\n}\n\n'
                         'Datum\ncrm_pair(PG_FUNCTION_ARGS)\n{\n\tereport(ERROR, (errcode(ERRCODE_CRM_PAIR), errmsg("x"), errhint("Do y.")));\n'
                         '\tread("SELECT p.nick FROM crm.persons AS p");\n}\n\nvoid\ncrm_pair_up(void)\n{\n\tcount_pairs();\n}\n',
    'src/sales/deal.c': OPEN.format('deal.c') + '#include "base/crm.h"\n#include "people/pair.h"\n\nstatic void\nclose_deal(void)\n{\n\tcrm_pair_up();\n}\n',
    'sql/people/members/10_pair.sql': "-- Pairs of persons.\nCREATE FUNCTION crm.pair() RETURNS void\nLANGUAGE c VOLATILE\nAS 'MODULE_PATHNAME', 'crm_pair';\n"
                                      "COMMENT ON FUNCTION crm.pair() IS 'Pairs.';\n",
    'sql/people/members/20_mark.sql': "-- Marks.\nCREATE TYPE crm.mark;\nCOMMENT ON TYPE crm.mark IS 'Mark.';\n"
                                      "CREATE OPERATOR crm.<=~ (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq);\n",
    'sql/people/tables/10_persons.sql': "-- Persons.\nCREATE TABLE crm.persons (id bigint, nick text);\nCOMMENT ON TABLE crm.persons IS 'Persons.';\n",
    'sql/sales/tables/10_deals.sql': "-- Deals.\nCREATE TABLE crm.deals (id bigint, amount numeric);\nCOMMENT ON TABLE crm.deals IS 'Deals.';\n",
    'sql/sales/code/10_deals.sql': "-- What deals do.\nCREATE OR REPLACE FUNCTION crm_internal.add_up(relation regclass) RETURNS numeric\n"
                                   "LANGUAGE plpgsql STABLE\nSET search_path = pg_catalog, pg_temp\nAS $$\n#variable_conflict use_variable\nDECLARE\n    what text := quote_ident('amount');\nBEGIN\n"
                                   "    EXECUTE format('SELECT sum(%s) FROM %s WHERE %I > 0', what, relation, 'amount');\n"
                                   "    RAISE EXCEPTION 'x' USING ERRCODE = 'CR101', HINT = 'Do y.';\nEND\n$$;\n"
                                   "COMMENT ON FUNCTION crm_internal.add_up(regclass) IS 'Sum.';\n"
                                   "INSERT INTO crm.maintenance_tasks (name, function_name) VALUES ('up', 'crm_internal.add_up');\n",
    'tests/sql/pair.sql': 'SELECT crm.pair();\n',
    'tests/specs/two.spec': 'setup {}\n',
    'tests/helpers/run.sh': 'echo\n',
    'expected/pair.out': 'SELECT\n',
    'expected/two.out': 'x \n',
}

# rule -> faults; a fault is what becomes of files: (path, text in it, what it becomes) or (path, None, a new file).
# MORE has further trees with a fault of the same rule: what it must see through.
FAULTS = {
    'include-order': [('src/people/pair.c', '#include "people/pair.h"', '#include "sales/deal.h"'),
                      ('src/sales/deal.h', None, OPEN.format('deal.h (public)'))],
    'include-path': [('src/people/pair.c', '"people/pair.h"', '"../people/pair.h"')],
    'brace': [('src/sales/deal.c', 'static void\nclose_deal(void)\n{', 'static void close_deal(void) {')],
    'include-private': [('src/people/pair.h', ' (public)', '')],
    'pure-c': [('src/sales/sums.c', None, OPEN.format('sums.c') + '#include "executor/spi.h"\n')],
    'room-order': [('sql/people/tables/10_persons.sql', 'CREATE TABLE', "DO $$ BEGIN EXECUTE 'DELETE FROM crm.deals'; END $$;\nCREATE TABLE")],
    'room-order-c': [('src/people/pair.c', 'crm.persons AS p', 'crm.persons AS p, crm.deals AS d')],
    'member-room': [('sql/people/members/10_pair.sql', None, '-- Nothing.\n'),
                    ('sql/sales/members/10_pair.sql', None, WHOLE['sql/people/members/10_pair.sql'])],
    'orphan': [('sql/people/more/10_x.sql', None, '-- X.\n')],
    'expected': [('expected/gone.out', None, 'x\n'), ('expected/pair.out', 'SELECT\n', ' a | b\n---+---\n \u2068x\u2069 | y\n')],
    'opening': [('src/sales/deal.c', 'deal.c', 'trade.c')],
    'path': [('README.md', 'See', 'See src/sales/gone.c and')],
    'link': [('README.md', '](docs/errors.md)', '](docs/mistakes.md)')],
    'text': [('rooms.mk', 'sales\n', 'sales \n')],
    'word': [('README.md', 'See', 'See /ho' 'me/me/x and')],
    'spi': [('src/sales/deal.c', 'crm_pair_up();', 'SPI_execute("SELECT 1", true, 0);\n\tcrm_pair_up();')],
    'json-value': [('src/sales/deal.c', 'crm_pair_up();', 'getIthJsonbValueFromContainer(c, 1);\n\tcrm_pair_up();')],
    'result-row': [('src/sales/deal.c', 'crm_pair_up();', 'get_call_result_type(f, NULL, &d);\n\tcrm_pair_up();')],
    'sql-in-c': [('src/people/pair.c', 'FROM crm.persons', 'FROM persons')],
    'exported': [('src/sales/deal.c', 'static void', 'void')],
    'static-unique': [('src/sales/deal.c', 'close_deal', 'count_pairs')],
    'varlena': [('src/people/pair.c', '#include "base/crm.h"\n', ''), ('src/people/pair.c', 'return 1;', 'return VARSIZE(NULL);')],
    'version-test': [('src/sales/deal.c', 'static void', '#if PG_VERSION_NUM >= 160000\n#endif\nstatic void')],
    'hint-c': [('src/people/pair.c', ', errhint("Do y.")', '')],
    'variable-conflict': [('sql/sales/code/10_deals.sql', '#variable_conflict use_variable\n', '')],
    'search-path': [('sql/sales/code/10_deals.sql', 'SET search_path = pg_catalog, pg_temp\n', '')],
    'volatility': [('sql/sales/code/10_deals.sql', ' STABLE', '')],
    'rows': [('sql/sales/code/10_deals.sql', 'RETURNS numeric', 'RETURNS SETOF numeric')],
    'comment': [('sql/sales/code/10_deals.sql', "COMMENT ON FUNCTION crm_internal.add_up(regclass) IS 'Sum.';", '')],
    'format-s': [('sql/sales/code/10_deals.sql', "quote_ident('amount')", "current_setting('crm.depth')")],
    'hint-sql': [('sql/sales/code/10_deals.sql', ", HINT = 'Do y.'", '')],
    'advisory-lock': [('sql/sales/code/10_deals.sql', 'SELECT', 'SELECT pg_advisory_xact_lock(1),')],
    'closed-list': [('sql/sales/code/10_deals.sql', 'SELECT', "SELECT 'x' IN ('persons', 'deals'),")],
    'known-code': [('sql/sales/code/10_deals.sql', 'CR101', 'CR102')],
    'line-length': [('sql/sales/tables/10_deals.sql', '-- Deals.', '-- Deals.' + ' and' * 50)],
    'function-size': [('src/sales/deal.c', 'crm_pair_up();', 'crm_pair_up();' + '\n\tcrm_pair_up();' * 90)],
    'file-size': [('src/sales/deal.c', ' */', ' *' + '\n *' * 900 + '/')],
    'unused-c': [('src/sales/deal.c', 'crm_pair_up();', '')],
    'declared': [('src/people/pair.h', 'crm_pair_up(void);', 'crm_pair_up(void);\nextern void crm_pair_down(void);')],
    'symbol': [('sql/people/members/10_pair.sql', "'crm_pair'", "'crm_pare'")],
    'unused-sql': [('sql/sales/code/10_deals.sql', "'crm_internal.add_up')", "'crm.pair')")],
    'unused-column': [('docs/errors.md', 'nick', 'name'), ('src/people/pair.c', 'p.nick', 'p.id')],
    'setting': [('src/base/settings.c', 'if (crm_depth > 1 && crm_depth < 9)\n\t\tcrm_depth = 2;', '')],
    'unused-code': [('src/people/pair.c', 'ERRCODE_CRM_PAIR', 'ERRCODE_DATA_EXCEPTION'), ('sql/sales/code/10_deals.sql', 'CR101', '22000'),
                    ('src/base/errors.h', "CRM_ERRCODE('1', '0', '1')\n", "CRM_ERRCODE('1', '0', '1')\n#define ERRCODE_CRM_TWIN CRM_ERRCODE('1', '0', '1')\n")],
    'task': [('sql/sales/code/10_deals.sql', "'crm_internal.add_up')", "'crm_internal.add_up'), ('down', 'crm.gone')")],
}


READ = ('src/people/pair.c', 'read("SELECT p.nick FROM crm.persons AS p");')
INCLUDE = ('src/people/pair.c', '#include "people/pair.h"')
MORE = {
    'sql-in-c': [[READ + (f'read("{text}"); read("p.nick");',)] for text in (
        'select p.nick from persons as p', r'SELECT p.nick FROM \"persons\" AS p', 'EXPLAIN SELECT p.nick FROM persons AS p', 'TRUNCATE persons',
        'truncate table persons', 'SELECT p.nick FROM crm.persons AS q, persons AS p', ' LEFT JOIN persons AS p ON p.nick = x', 'delete from persons',
        'LOCK TABLE persons', 'CREATE INDEX ON persons (nick)', 'SELECT pair()', 'SELECT PAIR()', 'SELECT 1, pair()', "SELECT '1'::mark", 'SELECT 1 <=~ 2',
        'CREATE FUNCTION crm.x() RETURNS int LANGUAGE sql AS $$SELECT 1$$', 'COPY persons TO STDOUT', 'update persons set nick = NULL',
        'insert into persons (nick) values (1)')]
    + [[READ + (READ[1] + '\n\tread("SELECT 1 " NICKS " FROM persons AS p");',)],
       [INCLUDE + (INCLUDE[1] + '\n#define NICKS "SELECT p.nick FROM persons AS p"',)]],
    'room-order-c': [[READ + (f'read("{text}"); read("p.nick");',)] for text in (
        r'SELECT d.id FROM \"crm\".\"deals\" AS d', 'SELECT d.id FROM CRM.Deals AS d', 'TRUNCATE crm.deals', 'select d.id from crm.deals as d',
        ' JOIN crm.deals AS d ON true', r'crm.\"deals\"')],
    'room-order': [[('sql/people/tables/10_persons.sql', 'CREATE TABLE', f"DO $$ BEGIN {text}; END $$;\nCREATE TABLE")] for text in (
        'DELETE FROM CRM.Deals', 'DELETE FROM "crm"."deals"', 'DELETE FROM crm."deals"')],
    'include-path': [[INCLUDE + (text,), ('src/sales/deal.h', None, OPEN.format('deal.h (public)'))] for text in (
        '#include <people/pair.h>', '#include "pair.h"', '#include "./pair.h"', '#define PAIR "people/pair.h"\n#include PAIR')],
    'include-order': [[INCLUDE + ('#include "../sales/deal.h"',), ('src/sales/deal.h', None, OPEN.format('deal.h (public)'))]],
    'brace': [[('src/sales/deal.c', 'static void\nclose_deal(void)\n{\n\tcrm_pair_up();\n}', text)] for text in (
        'static void\nclose_deal(void)\n{ crm_pair_up(); }', 'static void close_deal(void)\n{\n\tcrm_pair_up();\n}')],
    'exported': [[('src/sales/deal.c', 'static void\nclose_deal(void)\n{', 'void close_deal(void) {')]],
    'function-size': [[('src/sales/deal.c', 'static void\nclose_deal(void)\n{\n\tcrm_pair_up();', 'static void close_deal(void) {' + '\n\tcrm_pair_up();' * 90)]],
    'spi': [[('src/sales/deal.c', 'crm_pair_up();', 'raw_parser("x", 0);\n\tcrm_pair_up();')]],
    'orphan': [[(path, None, 'echo\n')] for path in ('tools/x.sh', 'tests/x.sh', 'tests/helpers/alone.sh', 'tests/new/x.sh', 'docs/x.sh')]
    + [[('tests/helpers/a_one.sh', None, 'a_two.sh\n'), ('tests/helpers/a_two.sh', None, 'a_one.sh\n')]],
    'unused-column': [
        # the word is another table's
        [('docs/errors.md', ', nick of persons', ''), READ + ('read("SELECT d.nick FROM crm.deals AS d, crm.persons AS p");',)],
        [('docs/errors.md', ', nick of persons', ''), READ + ('read("INSERT INTO crm.deals (nick) SELECT p.id FROM crm.persons AS p");',)],
        # a page names the table somewhere and the word elsewhere
        [('docs/errors.md', ', nick of persons', ' of persons.\n\n# Names\n\nA nick'), READ + ('',)]],
}


def planted(files, faults):
    files = dict(files)
    for path, old, new in faults:
        if old is not None:
            assert old in files[path], (path, old)
            new = files[path].replace(old, new)
        files[path] = new
    return files


def look(files, findings):
    with tempfile.TemporaryDirectory() as root:
        for path, text in files.items():
            full = os.path.join(root, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, 'w', encoding='utf-8') as f:
                f.write(text)
        # the same files where there is no git: in a release, in a root of another distribution
        assert sorted(Tree(root)._walked_files()) == sorted(files)
        return list(findings(Tree(root, sorted(files))))


def lists_fail():
    """What is wrong with the comparison of the lists with where the branch began, in a repository of its own."""
    with tempfile.TemporaryDirectory() as root:
        def put(text):
            os.makedirs(f'{root}/tests/lint/baseline', exist_ok=True)
            with open(f'{root}/tests/lint/baseline/file-size', 'w', encoding='utf-8') as f:
                f.write(text)

        def said():
            return sum('file-size:' in str(f) and ('grew' in f.what or 'is new' in f.what)
                       for f in Lists(f'{root}/tests/lint', {'file-size': ''}, root).findings())
        put('a 10\nb 20\n')
        if git(root, 'init', '-q', '-b', 'main') is None:
            return []
        commit(root)
        git(root, 'checkout', '-q', '-b', 'work')
        commit(root)
        wanted = [('a 10\nb 20\n', 0), ('a 9\n', 0), ('a 11\nb 20\n', 1), ('a 10\nb 20\nc 1\n', 1), ('a 11  # a formula in one piece\nc 1  # the same\n', 0)]
        found = []
        for text, number in wanted:
            put(text)
            found.append(said() == number)
            commit(root)            # what is committed on the branch counts as well
            found.append(said() == number)
        return [] if all(found) else [f'the lists are not compared with the branch point: {found}']


def commit(root):
    git(root, 'add', '-A')
    git(root, '-c', 'user.name=x', '-c', 'user.email=x@example.com', '-c', 'core.hooksPath=none', 'commit', '-q', '--allow-empty', '-m', 'x')


def hook_fails(tree):
    """Whether the hook looks at what is staged: the fault there is found, the one of the working tree is not."""
    with tempfile.TemporaryDirectory() as root:
        os.makedirs(f'{root}/tests/lint')
        os.makedirs(f'{root}/.githooks')
        shutil.copy(f'{tree}/.githooks/pre-commit', f'{root}/.githooks/pre-commit')
        # what stands for the checks says whether the file has the word
        with open(f'{root}/tests/lint/run', 'w', encoding='utf-8') as f:
            f.write('#!/bin/sh\ntest "$(git rev-parse --show-toplevel 2>/dev/null)" = "" && ! grep -q fault x\n')
        os.chmod(f'{root}/tests/lint/run', 0o755)
        if git(root, 'init', '-q', '-b', 'main') is None:
            return []
        failed = []
        for staged, there in (('fault', 'fine'), ('fine', 'fault')):
            for text in (staged, there):
                with open(f'{root}/x', 'w', encoding='utf-8') as f:
                    f.write(text + '\n')
                if text == staged:
                    git(root, 'add', '-A')
            done = git(root, '-c', 'user.name=x', '-c', 'user.email=x@example.com', '-c', 'core.hooksPath=.githooks', 'commit', '-q', '-m', 'x') is not None
            if done != (staged == 'fine'):
                failed.append(f'.githooks/pre-commit judges the working tree: staged {staged}, there {there}')
        return failed


def main(rules, findings, root):
    failed = lists_fail() + hook_fails(root)
    for f in look(WHOLE, findings):
        failed.append(f'the whole tree has a finding: {f}')
    for rule in rules:
        if rule not in FAULTS:
            failed.append(f'{rule}: no fault is planted for it in tests/lint/self_test.py')
            continue
        found = look(planted(WHOLE, FAULTS[rule]), findings)
        if not any(f.rule == rule for f in found):
            failed.append(f'{rule}: the planted fault is not found' + (f' (but {found[0]})' if found else ''))
        for f in found:
            if not re.fullmatch(r'\S+:\d+: [a-z-]+: .+', str(f)):
                failed.append(f'{rule}: a finding reads "{f}"')
    for rule, faults in MORE.items():
        for n, fault in enumerate(faults):
            found = look(planted(WHOLE, fault), findings)
            if not any(f.rule == rule for f in found):
                failed.append(f'{rule}: the planted fault {n + 1} of MORE is not found: {fault[0][2][:80]}' + (f' (but {found[0]})' if found else ''))
    for rule in FAULTS:
        if rule not in rules:
            failed.append(f'{rule}: there is no such rule any more')
    print('\n'.join(failed) if failed else f'lint: each of {len(rules)} rules finds what was planted for it, and nothing in a whole tree')
    return 1 if failed else 0
