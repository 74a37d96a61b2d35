#!/usr/bin/env bash
# META.json is made of META.json.in with the version of crm.control, is JSON, and names files that are there.
set -u
cd "$REPO" || exit 1
cp META.json.in crm.control Makefile rooms.mk "$WORK/"
(cd "$WORK" && make -s META.json) || exit 1
diff META.json "$WORK/META.json" || { echo "META.json (<) is not what META.json.in makes (>): make META.json"; exit 1; }
python3 - <<'PYTHON'
import json, os, re, sys
meta = json.load(open('META.json', encoding='utf-8'))
version = re.search(r"^default_version *= *'(.*)'", open('crm.control').read(), re.M).group(1)
own = meta['provides'][meta['name']]
faults = []
if not re.fullmatch(r'\d+\.\d+\.\d+', meta['version']) or not meta['version'].startswith(version) or own['version'] != meta['version']:
    faults.append(f"versions {meta['version']} and {own['version']} in META.json, {version} in crm.control")
for name in (own['file'], own['docfile']):
    if not os.path.exists(name):
        faults.append(f'META.json names {name}, which is not there after make')
for key in ('name', 'abstract', 'version', 'maintainer', 'license', 'provides', 'meta-spec'):
    if not meta.get(key):
        faults.append(f'META.json lacks {key}')
# a version that is written elsewhere is forgotten at the next release
written = [f for f in ('README.md', 'Makefile') if re.search(r'(?<![\d.])' + re.escape(meta['version']) + r'(?![\d.])', open(f, encoding='utf-8').read())]
faults += [f'{f} holds the version {meta["version"]}' for f in written]
print('\n'.join(faults))
sys.exit(bool(faults))
PYTHON
