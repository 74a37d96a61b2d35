"""The lists of exceptions: allowed/<rule> with reasons, baseline/<rule> with sizes.

    allowed/<rule>    key  # reason         lines that begin with # are comments
    baseline/<rule>   name size             or, where it had to grow: name size  # reason

An entry without a reason, one that matches nothing, a file of no rule, and an entry of
baseline/ that is new or larger than where the branch began and does not say why, are
findings of the rule "list".
"""
import os
import re

from git import branch_point, git
from tree import Finding

SLACK = 10  # a thing may be this much smaller than its entry before the entry must follow


class Entry:
    def __init__(self, path, line, key, reason=None, size=None):
        self.path, self.line, self.key, self.reason, self.size = path, line, key, reason, size
        self.used, self.seen_size = False, 0


class Lists:
    def __init__(self, folder, rules, repository=None):
        self.folder = folder
        self.entries = {}           # (rule, key) -> Entry
        self.faults = []
        for kind in ('allowed', 'baseline'):
            for rule in sorted(self._names(kind)):
                path = f'{kind}/{rule}'
                if rule not in rules:
                    self._fault(path, 1, 'there is no rule of this name: rename or remove the file')
                self._read(kind, rule, path)

        self._grown(repository)

    def _grown(self, repository):
        """Findings about sizes that grew since the branch left main, where a repository is there to ask."""
        base = branch_point(repository)
        if base is None:
            return
        for (rule, key), e in self.entries.items():
            if e.size is None or e.reason:
                continue
            old = git(repository, 'show', f'{base}:tests/lint/{e.path}')
            before = {m.group(1): int(m.group(2)) for m in re.finditer(r'^(.+?)\s+(\d+)(?:\s+#.*)?$', old or '', re.M)}
            if key not in before:
                self._fault(e.path, e.line, f'"{key}" is new: keep it small, or say why it cannot be: "{key} {e.size}  # reason"')
            elif before[key] < e.size:
                self._fault(e.path, e.line, f'"{key}" grew from {before[key]} to {e.size}: make it smaller, or say why: "{key} {e.size}  # reason"')

    def _names(self, kind):
        folder = os.path.join(self.folder, kind)
        return [n for n in os.listdir(folder) if not n.startswith('.')] if os.path.isdir(folder) else []

    def _fault(self, path, line, what):
        self.faults.append(Finding('list', f'tests/lint/{path}', line, path, what))

    def _read(self, kind, rule, path):
        with open(os.path.join(self.folder, path), encoding='utf-8') as f:
            for number, line in enumerate(f, 1):
                line = line.rstrip('\n')
                if not line.strip() or line.startswith('#'):
                    continue
                if kind == 'allowed':
                    key, _, reason = line.partition(' # ')
                    entry = Entry(path, number, key.strip(), reason=reason.strip())
                    if not entry.reason:
                        self._fault(path, number, f'"{entry.key}" has no reason: write "key  # reason"')
                else:
                    m = re.fullmatch(r'(.+?)\s+(\d+)(?:\s+#\s*(\S.*))?', line.strip())
                    if not m:
                        self._fault(path, number, 'an entry is "name size", or "name size  # reason"')
                        continue
                    entry = Entry(path, number, m.group(1), reason=m.group(3), size=int(m.group(2)))
                if (rule, entry.key) in self.entries:
                    self._fault(path, number, f'"{entry.key}" is listed twice')
                self.entries[rule, entry.key] = entry

    @property
    def used(self):
        return sum(e.used for e in self.entries.values())

    def allow(self, finding):
        entry = self.entries.get((finding.rule, finding.key))
        if entry is None:
            return False
        entry.used = True
        if entry.size is None and entry.reason == finding.what:
            self._fault(entry.path, entry.line, f'"{entry.key}" has the finding for a reason: say why it is right as it is')
        if finding.size is None or entry.size is None:
            return True
        entry.seen_size = max(entry.seen_size, finding.size)
        if finding.size <= entry.size:
            return True
        finding.what += f' (it had {entry.size} when the list was made, and may only shrink)'
        return False

    def stale(self):
        return [e for e in self.entries.values() if not e.used]

    def loose(self):
        return [e for e in self.entries.values() if e.used and e.size is not None and e.seen_size + SLACK < e.size]

    def findings(self):
        found = list(self.faults)
        stale = {}
        for e in self.stale():
            stale.setdefault(e.path, []).append(e)
        for path, entries in stale.items():
            keys = ', '.join(f'"{e.key}"' for e in entries[:3]) + (f' and {len(entries) - 3} more' if len(entries) > 3 else '')
            found.append(Finding('list', f'tests/lint/{path}', entries[0].line, path,
                                 f'{keys} matches nothing any more: take it out (tests/lint/run --shrink does)'))
        for e in self.loose():
            found.append(Finding('list', f'tests/lint/{e.path}', e.line, e.key,
                                 f'"{e.key}" has shrunk to {e.seen_size}: so must its entry (tests/lint/run --shrink does it)'))
        return found

    def shrink(self):
        """Rewrite the lists without stale entries and with sizes as they are now. Gives the paths that changed."""
        changes = {}
        for e in self.stale():
            changes.setdefault(e.path, {})[e.line] = None
        for e in self.entries.values():
            if e.used and e.size is not None and e.seen_size < e.size:
                changes.setdefault(e.path, {})[e.line] = f'{e.key} {e.seen_size}' + (f'  # {e.reason}' if e.reason else '')
        for path, lines in changes.items():
            full = os.path.join(self.folder, path)
            with open(full, encoding='utf-8') as f:
                old = f.read().split('\n')
            new = [lines.get(n, text) for n, text in enumerate(old, 1)]
            new = [text for text in new if text is not None]
            if any(text.strip() and not text.startswith('#') for text in new):
                with open(full, 'w', encoding='utf-8') as f:
                    f.write('\n'.join(new))
            else:
                os.remove(full)
        self.entries = {k: e for k, e in self.entries.items() if e.used}
        for e in self.entries.values():
            if e.size is not None:
                e.size = min(e.size, e.seen_size)
        return [f'tests/lint/{p}' for p in sorted(changes)]

    @staticmethod
    def entry(finding):
        """The finding as a line of the list it would stand in."""
        if finding.size is not None:
            return f'baseline/{finding.rule}: {finding.key} {finding.size}'
        return f'allowed/{finding.rule}: {finding.key}  # {finding.what}'
