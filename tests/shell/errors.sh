#!/usr/bin/env bash
# docs/reference/errors.md lists exactly the codes of src/base/errors.h, each once.
set -u
sed -n "s/^#define ERRCODE_CRM_.*CRM_ERRCODE('\(.\)', '\(.\)', '\(.\)').*/CR\1\2\3/p" "$REPO/src/base/errors.h" | sort >"$WORK/source"
sed -n 's/^| `\(CR[0-9A-Z]\{3\}\)` |.*/\1/p' "$REPO/docs/reference/errors.md" | sort >"$WORK/docs"
[ -s "$WORK/source" ] || { echo "no codes found in src/base/errors.h"; exit 1; }
diff "$WORK/source" "$WORK/docs" || { echo "src/base/errors.h (<) and docs/reference/errors.md (>) differ"; exit 1; }
