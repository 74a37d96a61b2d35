"""The checks are tried on a small tree: whole, it has no finding; with one fault planted, the rule meant finds it.

Run by tests/lint/run --self-test. A rule without a fault here is a failure, so that every rule is seen to fail once.
"""
import os
import re
import tempfile

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

# rule -> faults; a fault is what becomes of files: (path, text in it, what it becomes) or (path, None, a new file)
FAULTS = {
    'include-order': [('src/people/pair.c', '#include "people/pair.h"', '#include "sales/deal.h"'),
                      ('src/sales/deal.h', None, OPEN.format('deal.h (public)'))],
    'include-private': [('src/people/pair.h', ' (public)', '')],
    'pure-c': [('src/sales/sums.c', None, OPEN.format('sums.c') + '#include "executor/spi.h"\n')],
    'room-order': [('sql/people/tables/10_persons.sql', 'CREATE TABLE', "DO $$ BEGIN EXECUTE 'DELETE FROM crm.deals'; END $$;\nCREATE TABLE")],
    'room-order-c': [('src/people/pair.c', 'crm.persons AS p', 'crm.persons AS p, crm.deals AS d')],
    'member-room': [('sql/people/members/10_pair.sql', None, '-- Nothing.\n'),
                    ('sql/sales/members/10_pair.sql', None, WHOLE['sql/people/members/10_pair.sql'])],
    'orphan': [('sql/people/more/10_x.sql', None, '-- X.\n')],
    'expected': [('expected/gone.out', None, 'x\n')],
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


def main(rules, findings):
    failed = []
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
    for rule in FAULTS:
        if rule not in rules:
            failed.append(f'{rule}: there is no such rule any more')
    print('\n'.join(failed) if failed else f'lint: each of {len(rules)} rules finds what was planted for it, and nothing in a whole tree')
    return 1 if failed else 0
