#!/usr/bin/env bash
# Purchase models at extreme parameters: answers in range within a bounded number of steps.
set -u
command -v "${CC:=cc}" >/dev/null || { echo "no C compiler"; exit 77; }
value=$REPO/src/value
"$CC" -O2 -Wall -Werror -DCRM_COUNT_EVALUATIONS -I"$REPO/src" -o "$WORK/value_extremes" "$REPO/tests/shell/value_extremes.c" \
    "$value/special.c" "$value/bgnbd.c" "$value/paretonbd.c" "$value/bgbb.c" -lm || exit 1
"$WORK/value_extremes"
