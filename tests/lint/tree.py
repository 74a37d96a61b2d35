"""The tree as the checks see it: its files, its rooms, and findings about them.

Only files that git knows are looked at, so that what a build leaves behind does
not matter. Where there is no git (a source archive), every file is taken that
.gitignore does not name.
"""
import fnmatch
import os
import re

from c_text import CFile
from git import git
from sql_text import SqlFile

KINDS = ('members', 'tables', 'texts', 'code', 'views', 'last', 'last_members')  # of folders in sql/<room>/


class Finding:
    """One thing that is wrong.

    key names it without line numbers, so that an allowed entry survives edits around it.
    size is set where a list holds how large the thing may be (see baseline/).
    """

    def __init__(self, rule, file, line, key, what, size=None):
        self.rule, self.file, self.line, self.key, self.what, self.size = rule, file, line, key, what, size

    def __str__(self):
        return f'{self.file}:{self.line}: {self.rule}: {self.what}'


class Tree:
    def __init__(self, root, files=None):
        self.root = root
        self._text, self._c, self._sql = {}, {}, {}
        self.files = files if files is not None else self._known_files()
        self.rooms = self._rooms()

    def _known_files(self):
        out = git(self.root, 'ls-files', '-z') if git(self.root, 'rev-parse', '--show-prefix') == '' else None
        names = self._walked_files() if out is None else [n for n in out.split('\0') if n]
        # a file that was deleted but not committed yet is not there any more
        return sorted(n for n in names if os.path.isfile(os.path.join(self.root, n)))

    def _walked_files(self):
        ignored = [p.strip() for p in self.text('.gitignore').split('\n') if p.strip() and not p.startswith('#')]
        found = []
        for folder, folders, names in os.walk(self.root):
            folders[:] = [f for f in folders if f not in ('.git', '__pycache__')]
            for name in names:
                path = os.path.relpath(os.path.join(folder, name), self.root)
                if not any(('/' + path).startswith(p) if p.endswith('/') else
                           fnmatch.fnmatch('/' + path, p) if p.startswith('/') else fnmatch.fnmatch(name, p)
                           for p in ignored):
                    found.append(path)
        return found

    def bytes(self, path):
        with open(os.path.join(self.root, path), 'rb') as f:
            return f.read()

    def text(self, path):
        if path not in self._text:
            self._text[path] = self.bytes(path).decode('utf-8', 'replace')
        return self._text[path]

    def matching(self, pattern):
        """Files whose path matches a regular expression as a whole."""
        wanted = re.compile(pattern)
        return [f for f in self.files if wanted.fullmatch(f)]

    def in_folder(self, path):
        """Whether a file stands in a folder whose files are not taken by their place (those of src/, sql/, expected/ are)."""
        return '/' in path and not path.startswith(('src/', 'sql/', 'expected/'))

    def _rooms(self):
        m = re.search(r'^ROOMS\s*=\s*(.*)$', self.text('rooms.mk'), re.M)
        return m.group(1).split()

    def room(self, path):
        """Room of a file of src/ or sql/, or None."""
        parts = path.split('/')
        return parts[1] if len(parts) > 2 and parts[0] in ('src', 'sql') and parts[1] in self.rooms else None

    def rank(self, room):
        return self.rooms.index(room)

    # ---- the two languages, read once ----

    def c_files(self):
        return [self.c(f) for f in self.matching(r'src/.*\.[ch]')]

    def c(self, path):
        if path not in self._c:
            self._c[path] = CFile(path, self.text(path))
        return self._c[path]

    def sql_files(self):
        """Files that make the CRM, room by room, in the order in which they run within a kind."""
        found = [f for f in self.matching(r'sql/[^/]+/(%s)/[^/]+\.sql' % '|'.join(KINDS)) if self.room(f)]
        found.sort(key=lambda f: (self.rank(self.room(f)), KINDS.index(f.split('/')[2]), f))
        return [self.sql(f) for f in found]

    def sql(self, path):
        if path not in self._sql:
            self._sql[path] = SqlFile(path, self.text(path))
        return self._sql[path]

    def objects(self):
        """name -> what CREATE statements of sql/<room>/ make under it, earliest room first."""
        found = {}
        for f in self.sql_files():
            for o in f.objects:
                found.setdefault(o.name, []).append(o)
        return found
