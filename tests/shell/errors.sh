#!/usr/bin/env bash
# docs/errors.md lists exactly the codes of src/errors.h, each once.
set -u
sed -n "s/^#define ERRCODE_CRM_.*CRM_ERRCODE('\(.\)', '\(.\)', '\(.\)').*/CR\1\2\3/p" "$REPO/src/errors.h" | sort >"$WORK/source"
sed -n 's/^| `\(CR[0-9A-Z]\{3\}\)` |.*/\1/p' "$REPO/docs/errors.md" | sort >"$WORK/docs"
[ -s "$WORK/source" ] || { echo "no codes found in src/errors.h"; exit 1; }
diff "$WORK/source" "$WORK/docs" || { echo "src/errors.h (<) and docs/errors.md (>) differ"; exit 1; }
