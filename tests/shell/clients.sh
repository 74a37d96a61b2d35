#!/usr/bin/env bash
# Generators of client programs read the API and the tables without errors, as the ordinary role that an application is: those
# that are there. Nothing is downloaded here:
#
#   mkdir DIR && cd DIR && npm install postgraphile@4 kysely kysely-codegen typescript@5 pg drizzle-kit drizzle-orm sequelize sequelize-auto
#   mkdir five && cd five && npm install postgraphile@5         # two versions of graphql do not share a folder
#   CRM_CLIENTS=DIR make test T=clients
#
# Prisma is not among them: its introspection is a program that its installer fetches, from a place of its own.
# SQLAlchemy is Debian's (python3-sqlalchemy python3-psycopg2), for the system's Python.
# long: 40 s
set -u
. "$REPO/tests/helpers/cluster.sh"
fresh_database clients || exit 1
export PGDATABASE=clients
status=0 tried=0 missing=
psql -X -q -v ON_ERROR_STOP=1 <<'SQL' || exit 1
DROP ROLE IF EXISTS regress_client;
CREATE ROLE regress_client LOGIN;
SELECT g.access AS level FROM crm.grant_access('regress_client', 'agent') AS g \gset
SELECT crm.create_api('api') AS made \gset
SQL
finish() { PGUSER=postgres psql -X -q -d postgres -c 'DROP DATABASE clients WITH (FORCE)' -c 'DROP ROLE regress_client'; }
trap finish EXIT
export PGUSER=regress_client
url="postgres://regress_client@localhost:$PGPORT/clients?host=$PGHOST"
bin=${CRM_CLIENTS:-/nowhere}/node_modules/.bin
out=$WORK/clients
mkdir -p "$out"

# try NAME COMMAND...: it is to end well, say nothing of errors or conflicts, and leave more than so many lines in a file
try() {
    local name=$1 file=$2 least=$3
    shift 3
    tried=$((tried + 1))
    (cd "$out" && timeout 120 "$@") >"$out/$name.log" 2>&1 || { echo "$name failed:"; tail -20 "$out/$name.log"; status=1; return; }
    # PostGraphile 5 makes no input of a row type, and leaves out the one function that takes one, if somebody wishes
    if grep -iE '\berror\b|conflict' "$out/$name.log" | grep -vE '^Recoverable error occurred|codec .crmRfmEdges.'; then echo "$name: see above"; status=1; fi
    [ "$(cat "$out"/$file 2>/dev/null | wc -l)" -ge "$least" ] || { echo "$name has written hardly anything to $file"; tail -20 "$out/$name.log"; status=1; }
}
have() { [ -x "$bin/$1" ] || { missing="$missing $1"; return 1; }; }

if have postgraphile; then
    for schema in api crm crm_analytics; do
        # the fields that the role may use, as a server started for it would show them
        try "postgraphile-$schema" "$schema.graphql" 500 "$bin/postgraphile" --connection "$url" --schema $schema --no-ignore-rbac --no-server \
            --disable-query-log --export-schema-graphql "$schema.graphql"
    done
    grep -q 'upsertRecord' "$out/api.graphql" || { echo 'postgraphile: upsertRecord is not in the API'; status=1; }
fi
five=${CRM_CLIENTS:-/nowhere}/five/node_modules
if [ -d "$five/postgraphile" ]; then
    mkdir -p "$out/five" && ln -sfn "$five" "$out/five/node_modules"
    cat >"$out/five/schema.mjs" <<'NODE'
import fs from 'node:fs';
import { printSchema } from 'graphql';
import { makeSchema } from 'postgraphile';
import { PostGraphileAmberPreset } from 'postgraphile/presets/amber';
import { makePgService } from 'postgraphile/adaptors/pg';
const [, , connectionString, names] = process.argv;
const { schema } = await makeSchema({ extends: [PostGraphileAmberPreset], pgServices: [makePgService({ connectionString, schemas: names.split(',') })] });
fs.writeFileSync(names + '5.graphql', printSchema(schema));
process.exit(0);
NODE
    for schema in api crm crm_analytics; do
        GRAPHILE_ENV=production try "postgraphile5-$schema" "${schema}5.graphql" 500 node five/schema.mjs "$url" $schema
    done
    grep -q 'upsertRecord' "$out/api5.graphql" || { echo 'postgraphile 5: upsertRecord is not in the API'; status=1; }
else
    missing="$missing postgraphile@5"
fi
have kysely-codegen && try kysely kysely.ts 2000 "$bin/kysely-codegen" --dialect postgres --url "$url" --include-pattern 'crm.*' --out-file kysely.ts
if have drizzle-kit; then
    for schema in crm crm_analytics; do
        cat >"$out/drizzle-$schema.config.js" <<CONFIG
module.exports = { dialect: 'postgresql', out: './drizzle-$schema', schemaFilter: ['$schema'], dbCredentials: { url: '$url' } }
CONFIG
    done
    ln -sfn "$CRM_CLIENTS/node_modules" "$out/node_modules"
    try drizzle drizzle-crm/schema.ts 2000 "$bin/drizzle-kit" pull --config drizzle-crm.config.js
fi
have sequelize-auto && try sequelize 'sequelize/*.js' 2000 "$bin/sequelize-auto" -h "$PGHOST" -p "$PGPORT" -d clients -u regress_client --dialect postgres -s crm -o sequelize
python=/usr/bin/python3
if "$python" -c 'import sqlalchemy, psycopg2' 2>/dev/null; then
    try sqlalchemy sqlalchemy.txt 60 "$python" -c "
import warnings
from sqlalchemy import create_engine, MetaData, exc
from sqlalchemy.ext.automap import automap_base
warnings.simplefilter('error', exc.SAWarning)
warnings.filterwarnings('ignore', 'Skipped unsupported reflection of expression-based index')
warnings.filterwarnings('ignore', 'Predicate of partial index')
# a type of PostgreSQL's that this SQLAlchemy does not know
warnings.filterwarnings('ignore', 'Did not recognize type .(jsonpath|xid8|pg_snapshot).')
engine = create_engine('postgresql+psycopg2://regress_client@/clients?host=$PGHOST&port=$PGPORT')
meta = MetaData(schema='crm')
meta.reflect(engine)
base = automap_base(metadata=meta)
base.prepare()
with open('sqlalchemy.txt', 'w') as f:
    for name in sorted(c.__name__ for c in base.classes):
        f.write(name + chr(10))
"
else
    missing="$missing sqlalchemy"
fi
[ $tried -gt 0 ] || { echo "no client generator is there:$missing (the head of this script says how to get them)"; exit 77; }
[ -z "$missing" ] || echo "not there, so not tried:$missing"
exit $status
