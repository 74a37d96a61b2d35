# crm: build, install and test.
#
#   make, make install, make installcheck     as for any PostgreSQL extension (PGXS)
#   make demo, make test, make bench          set up what is missing, build, and run
#                                             on a private throw-away cluster
#
# The version stands in crm.control and nowhere else.

PG_CONFIG ?= pg_config

# make demo DATA=dir, kept apart from PGXS's variable of that name
DEMO_DATA := $(if $(filter command environment,$(firstword $(origin DATA))),$(DATA))

EXTENSION = crm
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" crm.control)
MODULE_big = crm

# ---- C, room by room; a room uses the ground floor and rooms above it in this list ----
OBJS = \
	src/crm.o \
	src/guc.o \
	src/plan.o \
	src/config.o \
	src/row.o \
	src/condition.o \
	src/install.o \
	$(TEXT_OBJS) $(TRUST_OBJS) $(PEOPLE_OBJS) $(TIME_OBJS) $(PROCESS_OBJS) $(ANALYTICS_OBJS) \
	$(VALUE_OBJS) $(SCORING_OBJS) $(SERVICE_OBJS) $(MARKETING_OBJS)

TEXT_OBJS = \
	src/text/fold.o \
	src/text/address.o \
	src/text/phone.o \
	src/text/text.o

TRUST_OBJS = \
	src/trust/identity.o

PEOPLE_OBJS = \
	src/people/rows.o \
	src/people/tree.o \
	src/people/custom_fields.o \
	src/people/tenant.o \
	src/people/money.o

TIME_OBJS = \
	src/time/jalali.o \
	src/time/calendar.o \
	src/time/zone.o \
	src/time/definition.o \
	src/time/cache.o \
	src/time/business.o \
	src/time/jalali_face.o

PROCESS_OBJS = \
	src/process/compile.o \
	src/process/guard.o \
	src/process/periods.o \
	src/process/moves.o

ANALYTICS_OBJS = \
	src/analytics/rollup_groups.o \
	src/analytics/rollup_plan.o \
	src/analytics/rollup_trigger.o \
	src/analytics/rollup_fold.o \
	src/analytics/rollup_ddl.o \
	src/analytics/rollup_define.o \
	src/analytics/chart_text.o \
	src/analytics/chart.o \
	src/analytics/chart_sql.o \
	src/analytics/association.o

VALUE_OBJS = \
	src/value/special.o \
	src/value/optimise.o \
	src/value/bgnbd.o \
	src/value/paretonbd.o \
	src/value/bgbb.o \
	src/value/gammagamma.o \
	src/value/fit.o \
	src/value/points.o \
	src/value/patterns.o \
	src/value/cohort.o \
	src/value/summary.o \
	src/value/kmeans.o \
	src/value/eclat.o \
	src/value/segments.o \
	src/value/baskets.o

SCORING_OBJS = \
	src/scoring/logistic.o \
	src/scoring/logistic_sql.o \
	src/scoring/metrics.o \
	src/scoring/metrics_sql.o \
	src/scoring/model_sql.o \
	src/scoring/counts.o \
	src/scoring/encode.o \
	src/scoring/bayes.o \
	src/scoring/pls.o \
	src/scoring/points.o \
	src/scoring/points_compile.o \
	src/scoring/points_kept.o \
	src/scoring/points_state.o \
	src/scoring/points_sql.o \
	src/scoring/points_replay.o \
	src/scoring/points_store.o \
	src/scoring/points_triggers.o \
	src/scoring/points_top.o

SERVICE_OBJS = \
	src/service/worker.o \
	src/service/escalation.o \
	src/service/clock.o \
	src/service/clock_face.o

MARKETING_OBJS = \
	src/marketing/segment.o

# ---- what CREATE EXTENSION makes, in this order ----
EXTENSION_SQL = \
	sql/extension/00_preamble.sql \
	sql/extension/05_install.sql \
	sql/extension/06_rows.sql \
	$(TEXT_EXT_SQL) $(TRUST_EXT_SQL) $(PEOPLE_EXT_SQL) $(TIME_EXT_SQL) $(PROCESS_EXT_SQL) $(ANALYTICS_EXT_SQL) \
	$(VALUE_EXT_SQL) $(SCORING_EXT_SQL) $(SERVICE_EXT_SQL) $(MARKETING_EXT_SQL) \
	sql/extension/99_privileges.sql

TEXT_EXT_SQL = \
	sql/extension/10_text.sql

TRUST_EXT_SQL = \
	sql/extension/15_identity.sql

PEOPLE_EXT_SQL = \
	sql/extension/18_people.sql

TIME_EXT_SQL = \
	sql/extension/20_time.sql

PROCESS_EXT_SQL = \
	sql/extension/30_process.sql

ANALYTICS_EXT_SQL = \
	sql/extension/40_rollup.sql \
	sql/extension/60_charts.sql \
	sql/extension/61_association.sql

VALUE_EXT_SQL = \
	sql/extension/30_value_models.sql \
	sql/extension/31_value_summary.sql \
	sql/extension/32_value_segments.sql

SCORING_EXT_SQL = \
	sql/extension/60_scoring.sql \
	sql/extension/61_points.sql

SERVICE_EXT_SQL = \
	sql/extension/70_worker.sql \
	sql/extension/72_escalation.sql \
	sql/extension/50_service_clocks.sql

MARKETING_EXT_SQL = \
	sql/extension/65_segments.sql

# ---- what crm.install() makes: tables once, then changed by sql/upgrade/ steps ----
TABLES_SQL = \
	sql/schema/00_installation_tables.sql \
	$(PEOPLE_TABLES) $(TIME_TABLES) $(PROCESS_TABLES) $(SALES_TABLES) $(ANALYTICS_TABLES) \
	$(VALUE_TABLES) $(SERVICE_TABLES) $(SCORING_TABLES) $(MARKETING_TABLES) $(EXCHANGE_TABLES)

PEOPLE_TABLES = \
	sql/schema/10_people_tables.sql

TIME_TABLES = \
	sql/schema/10_time_tables.sql

PROCESS_TABLES = \
	sql/schema/20_process_tables.sql

SALES_TABLES = \
	sql/schema/30_sales_tables.sql \
	sql/schema/32_lead_tables.sql

ANALYTICS_TABLES = \
	sql/schema/40_rollup_tables.sql \
	sql/schema/59_own_rollups_tables.sql

VALUE_TABLES = \
	sql/schema/70_value_tables.sql

SERVICE_TABLES = \
	sql/schema/45_event_tables.sql \
	sql/schema/48_worker_tables.sql \
	sql/schema/50_service_clocks_tables.sql \
	sql/schema/50_service_tables.sql \
	sql/schema/51_escalation_tables.sql

SCORING_TABLES = \
	sql/schema/60_scoring_tables.sql \
	sql/schema/62_prediction_tables.sql

MARKETING_TABLES = \
	sql/schema/75_segment_tables.sql

EXCHANGE_TABLES = \
	sql/schema/90_import_tables.sql

# ---- and functions, triggers, policies, views: made anew by every crm.install() ----
CODE_SQL = \
	sql/schema/00_installation_code.sql \
	$(PEOPLE_CODE) $(TIME_CODE) $(PROCESS_CODE) $(SALES_CODE) $(ANALYTICS_CODE) \
	$(VALUE_CODE) $(SERVICE_CODE) $(SCORING_CODE) $(MARKETING_CODE) $(EXCHANGE_CODE) \
	sql/schema/95_access_code.sql \
	sql/schema/98_seed_code.sql \
	sql/schema/99_privileges_code.sql

PEOPLE_CODE = \
	sql/schema/10_people_code.sql \
	sql/schema/11_money_code.sql \
	sql/schema/12_search_code.sql

TIME_CODE = \
	sql/schema/10_time_code.sql

PROCESS_CODE = \
	sql/schema/20_process_code.sql

SALES_CODE = \
	sql/schema/30_sales_code.sql \
	sql/schema/32_lead_code.sql \
	sql/schema/33_lead_conversion_code.sql

ANALYTICS_CODE = \
	sql/schema/40_rollup_code.sql \
	sql/schema/41_rollup_commands_code.sql \
	sql/schema/59_own_rollups_code.sql \
	sql/schema/60_analytics_code.sql \
	sql/schema/61_process_analytics_code.sql \
	sql/schema/62_people_analytics_code.sql \
	sql/schema/63_reports_code.sql \
	sql/schema/64_report_pages_code.sql \
	sql/schema/65_analytics_columns_code.sql

VALUE_CODE = \
	sql/schema/70_value_code.sql \
	sql/schema/71_customer_value_code.sql \
	sql/schema/72_loyalty_code.sql \
	sql/schema/73_wallet_code.sql

SERVICE_CODE = \
	sql/schema/45_event_code.sql \
	sql/schema/48_worker_code.sql \
	sql/schema/50_service_clocks_code.sql \
	sql/schema/50_service_code.sql \
	sql/schema/51_escalation_code.sql \
	sql/schema/52_routing_code.sql \
	sql/schema/54_knowledge_code.sql \
	sql/schema/55_survey_code.sql \
	sql/schema/56_service_report_code.sql \
	sql/schema/59_service_triggers_code.sql

SCORING_CODE = \
	sql/schema/60_scoring_code.sql \
	sql/schema/61_score_reading_code.sql \
	sql/schema/62_prediction_code.sql

MARKETING_CODE = \
	sql/schema/75_segment_code.sql \
	sql/schema/76_segment_members_code.sql

EXCHANGE_CODE = \
	sql/schema/90_import_code.sql \
	sql/schema/96_demo_code.sql

EXTENSION_SCRIPT = sql/crm--$(EXTVERSION).sql
TABLES_SCRIPT = sql/crm_tables--$(EXTVERSION).sql
CODE_SCRIPT = sql/crm_code--$(EXTVERSION).sql

DATA_built = $(EXTENSION_SCRIPT) $(TABLES_SCRIPT) $(CODE_SCRIPT)
DATA = $(wildcard sql/upgrade/crm--*--*.sql) $(wildcard sql/upgrade/crm_tables--*--*.sql)
DOCS = $(wildcard docs/*.md)

PG_CPPFLAGS = -DCRM_VERSION='"$(EXTVERSION)"' -I$(srcdir)/src
PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers -Wno-sign-compare $(CRM_CFLAGS)
SHLIB_LINK = -lsodium -lm

# ---- tests that any DBA can run with make installcheck ----
REGRESS = install $(filter-out install,$(patsubst tests/sql/%.sql,%,$(sort $(wildcard tests/sql/*.sql))))
REGRESS_OPTS = --inputdir=tests
ISOLATION = aa_install $(filter-out aa_install,$(patsubst tests/specs/%.spec,%,$(sort $(wildcard tests/specs/*.spec))))
ISOLATION_OPTS = --inputdir=tests --outputdir=.

EXTRA_CLEAN = sql/crm_tables--*.sql sql/crm_code--*.sql results regression.diffs regression.out

# PGXS needs the server's headers; the goals below bring them first, so they must not load it.
ONE_COMMAND_GOALS = demo test bench setup
ifneq ($(filter $(ONE_COMMAND_GOALS),$(MAKECMDGOALS)),)

.PHONY: $(ONE_COMMAND_GOALS)
setup:
	@tests/lib/setup.sh
demo: setup
	@DEMO_DATA='$(DEMO_DATA)' tests/demo/run.sh
test: setup
	@tests/lib/run.sh $(T)
bench: setup
	@tests/bench/run.sh $(B)

else

ifeq ($(shell $(PG_CONFIG) --pgxs 2>/dev/null | xargs -r ls 2>/dev/null),)
$(error The PostgreSQL server headers are missing: run "make setup", or install postgresql-server-dev-15)
endif
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

$(EXTENSION_SCRIPT): $(EXTENSION_SQL) crm.control
	cat $(EXTENSION_SQL) > $@
$(TABLES_SCRIPT): $(TABLES_SQL) crm.control
	cat $(TABLES_SQL) > $@
$(CODE_SCRIPT): $(CODE_SQL) crm.control
	cat $(CODE_SQL) > $@

# headers are few and every room may use them: rebuild on any change
$(OBJS): $(wildcard src/*.h src/*/*.h)

endif
