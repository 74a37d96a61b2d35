# crm: build, install and test.
#
#   make, make install, make installcheck     as for any PostgreSQL extension (PGXS)
#   make demo, test, bench, docs              set up what is missing, build, and run
#                                             on a private throw-away cluster
#   make lint                                 the rules of the house, on the tree alone
#   make test-versions, test-asserts          the tests on other servers (see tests/servers/run.sh), also
#   make test-sanitizers, test-valgrind       on some that check memory and themselves
#
# The version stands in crm.control and nowhere else.

PG_CONFIG ?= pg_config

# make demo DATA=dir, kept apart from PGXS's variable of that name
DEMO_DATA := $(if $(filter command environment,$(firstword $(origin DATA))),$(DATA))

EXTENSION = crm
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" crm.control)
# for PGXN, which wants three numbers
SEMVERSION := $(EXTVERSION)$(if $(filter 2,$(words $(subst ., ,$(EXTVERSION)))),.0)
MODULE_big = crm

include $(dir $(lastword $(MAKEFILE_LIST)))rooms.mk

# files of one kind, room by room, in the order of their names within a room
files_of = $(foreach room,$(ROOMS),$(sort $(wildcard sql/$(room)/$(1)/*.sql)))

# ---- C: the module's entry, then every file of every room ----
OBJS = src/module.o $(foreach room,$(ROOMS),$(patsubst %.c,%.o,$(sort $(wildcard src/$(room)/*.c))))

# ---- what CREATE EXTENSION makes ----
EXTENSION_SQL = $(call files_of,members) $(call files_of,last_members)

# ---- what crm.install() makes: tables once, then changed by steps of sql/upgrade/; functions, triggers and
#      views anew by every call, after the texts of each language; what looks at all of them (policies, rights, the first tenant) last ----
TABLES_SQL = $(call files_of,tables)
CODE_SQL = $(call files_of,texts) $(call files_of,code) $(call files_of,views) $(call files_of,last)

EXTENSION_SCRIPT = sql/crm--$(EXTVERSION).sql
TABLES_SCRIPT = sql/crm_tables--$(EXTVERSION).sql
CODE_SCRIPT = sql/crm_code--$(EXTVERSION).sql

DATA_built = $(EXTENSION_SCRIPT) $(TABLES_SCRIPT) $(CODE_SCRIPT)
DATA = $(wildcard sql/upgrade/crm--*--*.sql) $(wildcard sql/upgrade/crm_tables--*--*.sql)
# the command that makes key files
SCRIPTS = bin/crm-keys
DOC_PARTS = tutorial howto reference explanation explanation/decisions

PG_CPPFLAGS = -DCRM_VERSION='"$(EXTVERSION)"' -I$(srcdir)/src
# what is not marked for export stays inside, on 15 too
PG_CFLAGS = -fvisibility=hidden -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers -Wno-sign-compare $(CRM_CFLAGS)
SHLIB_LINK = -lsodium -lm

# ---- tests that any DBA can run with make installcheck ----
REGRESS = install $(filter-out install,$(patsubst tests/sql/%.sql,%,$(sort $(wildcard tests/sql/*.sql))))
REGRESS_OPTS = --inputdir=tests
ISOLATION = aa_install $(filter-out aa_install,$(patsubst tests/specs/%.spec,%,$(sort $(wildcard tests/specs/*.spec))))
ISOLATION_OPTS = --inputdir=tests --outputdir=.

EXTRA_CLEAN = sql/crm_tables--*.sql sql/crm_code--*.sql results regression.diffs regression.out

# PGXS needs the server's headers; the goals below bring them first, so they must not load it.
ONE_COMMAND_GOALS = demo test bench setup lint docs META.json test-versions test-asserts test-sanitizers test-valgrind test-discard test-sqlsmith
ifneq ($(filter $(ONE_COMMAND_GOALS),$(MAKECMDGOALS)),)

.PHONY: $(ONE_COMMAND_GOALS)
setup:
	@tests/helpers/setup.sh
demo: setup
	@DEMO_DATA='$(DEMO_DATA)' tests/demo/run.sh
test:
	@tests/helpers/setup.sh test
	@tests/helpers/run.sh $(T)
bench: setup
	@tests/bench/run.sh $(B)
# reference and index of decisions, from the catalogue
docs: setup
	@docs/make.sh
# after a change of the version in crm.control
META.json:
	@sed -e 's/@VERSION@/$(EXTVERSION)/g; s/@SEMVER@/$(SEMVERSION)/g' META.json.in > $@
# on other servers: see tests/servers/run.sh
test-versions test-asserts test-sanitizers test-valgrind:
	@tests/servers/run.sh $(patsubst test-%,%,$@) $(T)
# on a server whose caches can be discarded: such servers are built with assertions
test-discard:
	@CRM_DISCARD_CACHES=1 TEST_LIMIT=3600 tests/servers/run.sh asserts discard
# random queries: make test-sqlsmith MINUTES=10
test-sqlsmith: setup
	@MINUTES='$(MINUTES)' QUERIES='$(QUERIES)' tests/servers/sqlsmith.sh
# needs neither a server nor a build
lint:
	@tests/helpers/setup.sh lint
	@tests/lint/run $(L)

else

ifeq ($(shell $(PG_CONFIG) --pgxs 2>/dev/null | xargs -r ls 2>/dev/null),)
$(error The PostgreSQL server headers are missing: run "make setup", or install them (Debian: postgresql-server-dev-NN of your server))
endif
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# a folder is a prerequisite too: a file taken away makes the script anew
sql_folders = $(foreach room,$(ROOMS),$(foreach kind,$(1),$(wildcard sql/$(room)/$(kind))))
$(EXTENSION_SCRIPT): $(EXTENSION_SQL) $(call sql_folders,members last_members) crm.control rooms.mk
	cat $(EXTENSION_SQL) > $@
$(TABLES_SCRIPT): $(TABLES_SQL) $(call sql_folders,tables) crm.control rooms.mk
	cat $(TABLES_SQL) > $@
$(CODE_SCRIPT): $(CODE_SQL) $(call sql_folders,texts code views last) crm.control rooms.mk
	cat $(CODE_SQL) > $@

# pages keep their folders, since they link to each other
install: install-docs
uninstall: uninstall-docs
docs_target = $(DESTDIR)$(docdir)/$(docmoduledir)/crm
.PHONY: install-docs uninstall-docs
install-docs:
	$(foreach part,$(DOC_PARTS),$(if $(wildcard $(srcdir)/docs/$(part)/*.md),$(MKDIR_P) '$(docs_target)/$(part)' && \
	$(INSTALL_DATA) $(wildcard $(srcdir)/docs/$(part)/*.md) '$(docs_target)/$(part)/' &&)) true
uninstall-docs:
	rm -rf '$(docs_target)'

# what is uploaded to PGXN: the tree of the last commit, with the script that META.json names
dist: $(EXTENSION_SCRIPT)
	git archive --format=zip -o crm-$(SEMVERSION).zip --prefix=crm-$(SEMVERSION)/sql/ --add-file=$(EXTENSION_SCRIPT) \
		--prefix=crm-$(SEMVERSION)/ HEAD
.PHONY: dist

# headers are few and every room may use them, and the version is compiled in: rebuild on any change
$(OBJS): $(wildcard src/*.h src/*/*.h) crm.control

endif
