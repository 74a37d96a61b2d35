"""Files: that each has a place and a purpose, that names of files in the words are right, and what no file may hold."""
import os
import re
from collections import Counter

from tree import KINDS, Finding

RULES = {
    'orphan': 'every file is picked up by the build, by the tests or by a link',
    'expected': 'every regress and isolation test has an expected output, and every expected output a test',
    'opening': 'a C file opens with "/*", " * name.c"; an SQL file with "-- what it is responsible for"',
    'path': 'a path of the tree that words mention exists',
    'link': 'a relative link in a .md file leads somewhere, and every page of docs/ is linked from README.md on',
    'text': 'UTF-8, no blanks at the end of a line, no DOS line ends, a newline at the end; no tabs in SQL, no blanks as indentation in C',
    'word': 'no paths of one machine and no hosts of one network (the list is at the head of this file)',
}

# what must not be in a file, and why; the pieces are apart so that this file does not find itself
WORDS = [
    (r'/(?:wor' r'k|roo' r't|hom' r'e/\w+)/', 'a path of one machine'),
    (r'/tm' r'p/\w', 'a fixed path: use mktemp or a variable'),
    (r'\b(?:artifactor' r'y|nexu' r's\.|registr' r'y[.-]\w+\.|pip[.-]mirro' r'r)', 'the host of a registry'),
    (r'\b(?:TOD' r'O|FIXM' r'E)\b', 'something left for later: do it, or write an issue'),
]
# outside src/, sql/ and expected/: what make, git, the hosting site and readers look for themselves
TAKEN = [r'Makefile', r'rooms\.mk', r'\.ci/run', r'\.githooks/[a-z-]+', r'\.github/(?:workflows/\w+\.yml|ISSUE_TEMPLATE/\w+\.md|PULL_REQUEST_TEMPLATE\.md)',
         r'docs/(?:[a-z]+/)+[\w-]+\.md', r'[^/]+']
BINARY = ('.png', '.jpg', '.ico', '.woff2', '.gz')


def check(tree):
    yield from places(tree)
    yield from outputs(tree)
    yield from openings(tree)
    yield from paths(tree)
    yield from links(tree)
    yield from texts(tree)


# ---- places ----

def places(tree):
    rooms = '|'.join(tree.rooms)
    shape = {
        'sql': rf'sql/(?:(?:{rooms})/(?:{"|".join(KINDS)})/\d\d_[a-z][a-z0-9_]*\.sql'
               r'|upgrade/(?:crm|crm_tables)--\d[\w.]*--\d[\w.]*\.sql|upgrade/README\.md|upgrade/record\.sh'
               r'|upgrade/released/\d[\w.]*/(?:crm|crm_tables|crm_code)\.sql\.gz)',
        'src': rf'src/(?:module\.c|(?:{rooms})/[a-z][a-z0-9_]*\.[ch])',
        'expected': r'expected/[a-z][a-z0-9_]*\.out',
    }
    why = {
        'sql': 'the build takes sql/<room>/<kind>/NN_name.sql and sql/upgrade/crm[_tables]--A--B.sql, a test sql/upgrade/released/V/',
        'src': 'the build takes src/<room>/name.c',
        'expected': 'the tests take expected/<test>.out',
    }
    numbers = {}
    for f in tree.files:
        top = f.split('/')[0]
        if top in shape and not re.fullmatch(shape[top], f):
            yield Finding('orphan', f, 1, f, f'nothing picks this file up: {why[top]}')
        if top == 'sql':
            place = re.match(r'(sql/[^/]+/[^/]+)/(\d\d)_', f)
            if place:
                first = numbers.setdefault(place.groups(), f)
                if first != f:
                    yield Finding('orphan', f, 1, f, f'its number is that of {first}: which one runs first must be seen')
    yield from headers(tree)
    yield from tests(tree)


def headers(tree):
    included = {name for f in tree.c_files() for _, name in f.includes()}
    for f in tree.matching(r'src/.*\.h'):
        if f[len('src/'):] not in included:
            yield Finding('orphan', f, 1, f, 'no file includes this header')


def tests(tree):
    """Folders of tests/: what their driver takes, and anything else is named by a file that is taken."""
    taken = {
        'sql': r'[a-z0-9_]+\.sql', 'specs': r'[a-z0-9_]+\.spec', 'shell': r'[a-z0-9_]+\.sh', 'reference': r'[a-z0-9_]+\.(sql|sh)',
        'attack': r'[a-z0-9_]+\.(sql|sh)',
        'bench': r'[a-z0-9_]+\.sh', 'demo': r'run\.sh|\d\d_[a-z0-9_.]+\.sql', 'lint': r'run|check_\w+\.py|(allowed|baseline)/[\w-]+',
    }
    for f in tree.matching(r'tests/[^/]*'):
        yield Finding('orphan', f, 1, f, 'no driver takes files of tests/ itself: put it into the folder of its kind')
    # what a tool or a driver takes by itself; from there on, what such a file names by its path or, where it is the only one, its name
    taken = [rf'tests/{folder}/(?:{names})' for folder, names in taken.items()]
    whole = re.compile('|'.join(TAKEN + taken))
    reached, waiting = [f for f in tree.files if whole.fullmatch(f)], {f for f in tree.files if not whole.fullmatch(f) and tree.in_folder(f)}
    alone = Counter(os.path.basename(f) for f in tree.files)
    while reached and waiting:
        text = '\n'.join(tree.text(f) for f in reached if not f.endswith(BINARY) and not f.startswith(('tests/lint/allowed/', 'tests/lint/baseline/')))
        words = set(re.findall(r'[\w.-]+', text)) | set(re.findall(r'[\w-]+', text))
        reached = []
        for f in sorted(waiting):
            name = os.path.basename(f)
            known = '/'.join(f.split('/')[-2:]) in text if alone[name] > 1 else name in words
            if known or f.startswith('tests/lint/') and name.endswith('.py') and name[:-3] in words or os.path.dirname(f) in text and f.startswith('tests/servers/poison/'):
                reached.append(f)
        waiting -= set(reached)
    for f in sorted(waiting):
        if not f.startswith(('src/', 'sql/', 'expected/')) and f.count('/') and not re.fullmatch('tests/[^/]*', f):
            yield Finding('orphan', f, 1, f, 'no build, driver or workflow takes this file, and no file that one takes names it')


def outputs(tree):
    made = {}
    for f in tree.matching(r'tests/(sql|specs)/[^/]+\.(sql|spec)'):
        name = os.path.basename(f).rsplit('.', 1)[0]
        if name in made:
            yield Finding('expected', f, 1, f, f'{made[name]} has the same name, so both have one expected output')
        made[name] = f
    have = {os.path.basename(f)[:-4]: f for f in tree.matching(r'expected/[^/]+\.out')}
    for name, f in have.items():
        if name not in made and re.sub(r'_\d$', '', name) not in made:
            yield Finding('expected', f, 1, f, 'there is no test of this name in tests/sql or tests/specs')
    for name, f in made.items():
        if name not in have:
            yield Finding('expected', f, 1, f, f'expected/{name}.out is missing: run ACCEPT=1 make test T={name} and read it')
    # how wide they are is judged by each version of psql in its own way
    for f in have.values():
        for number, line in enumerate(tree.text(f).split('\n'), 1):
            if ' | ' in line and re.search('[\u2066-\u2069]', line):
                yield Finding('expected', f, number, f, 'columns with invisible characters are aligned: say \\a before the query')
                break


# ---- words ----

def openings(tree):
    for f in tree.matching(r'src/.*\.[ch]'):
        name = re.escape(os.path.basename(f))
        if not re.match(rf'/\*\n \* {name}(?: \(public\))?\n \*\s+\S', tree.text(f)):
            yield Finding('opening', f, 1, f, f'the first lines are "/*", " * {os.path.basename(f)}", " *	  what it is responsible for"')
    for f in tree.matching(r'sql/[^/]+/.*\.sql'):
        first = next((line for line in tree.text(f).split('\n') if not line.startswith('\\')), '')
        while first == '' and tree.text(f).startswith('\\'):
            first = next((line for line in tree.text(f).split('\n')[1:] if line), '')
            break
        if not re.match(r'-- [^-\s]', first):
            yield Finding('opening', f, 1, f, 'the first line says what the file is responsible for: "-- Tickets: ..."')


PATH = re.compile(r'(?<![\w/.$}<>*-])((?:src|sql|tests|docs|expected)/[\w./-]*\w)(?![\w/*<{$])')


def paths(tree):
    folders = {os.path.dirname(f) for f in tree.files}
    folders |= {'/'.join(d.split('/')[:n]) for d in set(folders) for n in range(1, d.count('/') + 1)}
    known = set(tree.files) | folders
    for f in tree.files:
        if f.endswith(BINARY) or not re.search(r'\.(md|c|h|sql|sh|py|spec|yml|json)$|Makefile$|rooms\.mk$', f):
            continue
        if f.startswith(('tests/lint/', 'CHANGELOG')):
            continue
        seen = set()
        for n, line in enumerate(tree.text(f).split('\n'), 1):
            for m in PATH.finditer(line):
                path = m.group(1)
                if re.search(r'\bNN_|\bname\.', path):    # a pattern: its folder must be there
                    path = os.path.dirname(path)
                if path in known or path in seen or re.match(r'[-*<$%{]', line[m.end():]):
                    continue
                if path.startswith('sql/crm') or re.search(r'\.(o|so|log)$', path):    # what the build makes
                    continue
                seen.add(path)
                yield Finding('path', f, n, f'{f} {path}', f'{path} does not exist (any more): name what is meant now')


def links(tree):
    pages = tree.matching(r'.*\.md')
    reached, todo = set(), ['README.md']
    for page in pages:
        for n, target in targets(tree, page):
            if target not in tree.files and not any(f.startswith(target + '/') for f in tree.files):
                yield Finding('link', page, n, f'{page} {target}', f'the link leads to {target}, which does not exist')
    while todo:
        page = todo.pop()
        if page in reached or page not in tree.files:
            continue
        reached.add(page)
        todo += [t for _, t in targets(tree, page) if t.endswith('.md')]
    for page in pages:
        if page.startswith('docs/') and page not in reached:
            yield Finding('link', page, 1, page, 'no link leads here from README.md: link it from the page one looks at before')


def targets(tree, page):
    for n, line in enumerate(tree.text(page).split('\n'), 1):
        for m in re.finditer(r'\]\(([^)\s#]+)(?:#[^)]*)?\)', line):
            if not re.match(r'[a-z]+:', m.group(1)):
                yield n, os.path.normpath(os.path.join(os.path.dirname(page), m.group(1)))


# ---- bytes ----

def texts(tree):
    words = [(re.compile(pattern), why) for pattern, why in WORDS]
    for f in tree.files:
        if f.endswith(BINARY):
            continue
        raw = tree.bytes(f)
        try:
            raw.decode('utf-8')
        except UnicodeDecodeError as e:
            yield Finding('text', f, raw[:e.start].count(b'\n') + 1, f'{f} utf-8', 'not UTF-8')
            continue
        text = tree.text(f)
        # outputs are what psql prints, blanks at the end included
        output = f.startswith('expected/')
        if raw and not raw.endswith(b'\n'):
            yield Finding('text', f, text.count('\n') + 1, f'{f} end', 'no newline at the end of the file')
        for pattern, key, what in ((r'\r', 'dos', 'a DOS line end'),
                                   (None if output else r'[ \t]+$', 'trailing', 'blanks at the end of a line'),
                                   (r'\t' if f.endswith('.sql') and f.startswith('sql/') else None, 'tab', 'a tab: SQL is indented by four blanks'),
                                   (r'^ {4}' if re.fullmatch(r'src/.*\.[ch]', f) else None, 'blanks', 'indented by blanks: C is indented by tabs')):
            if pattern is None:
                continue
            for m in re.finditer(pattern, text, re.M):
                yield Finding('text', f, text.count('\n', 0, m.start()) + 1, f'{f} {key}', what)
        for pattern, why in words:
            for m in pattern.finditer(text):
                yield Finding('word', f, text.count('\n', 0, m.start()) + 1, f'{f} {m.group()}', f'"{m.group()}": {why}')
