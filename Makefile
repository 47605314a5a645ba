EXTENSION = key_vault
# A dump of a database with an earlier version is restored into that version, and then updated.
DATA = src/sql/released/key_vault--1.0.sql
DATA_built = key_vault--1.1.sql key_vault--1.0--1.1.sql
PGFILEDESC = "key_vault - wrapped LoRaWAN session keys"

MODULE_big = key_vault
OBJS = \
	$(patsubst %.c,%.o,$(sort $(wildcard src/*.c src/*/*.c))) \
	$(WIN32RES)

# The install script, in the order in which its pieces need each other.
SQL = $(patsubst %,src/sql/%.sql, \
	schema internal_schema \
	wrapped_key/shell_type wrapped_key/input_output wrapped_key/type \
	wrapped_key/comparison wrapped_key/operators wrapped_key/qualified_operators \
	trigger_functions kek audit_log kek_views kek_admin monitoring \
	key_envelope keys kek_usage kek_destroy drop_guard rewrap_progress rewrap_all \
	lorawan/payload lorawan/f_opts lorawan/join lorawan/frame_type lorawan/frame \
	lorawan/mic lorawan/join_mic seal cache \
	storage/event_type storage/message_fields storage/events storage/plaintext_keys \
	storage/session storage/rejected storage/ingest storage/tables storage/views storage/functions \
	storage/version storage/create storage/maintain storage/for_storages_of_1_0)

# From 1.0 to 1.1: pieces that are safe to run again, for all they do is CREATE OR REPLACE, and ...
UPDATE = $(patsubst %,src/sql/%.sql, \
	internal_schema update/1.0--1.1/moved_objects update/1.0--1.1/kek_table \
	wrapped_key/input_output wrapped_key/comparison wrapped_key/qualified_operators \
	trigger_functions kek_views kek_admin monitoring keys kek_usage kek_destroy drop_guard rewrap_all \
	lorawan/payload lorawan/f_opts lorawan/join lorawan/frame lorawan/mic lorawan/join_mic \
	seal cache \
	storage/message_fields storage/events storage/plaintext_keys \
	storage/session storage/rejected storage/ingest storage/tables storage/views storage/functions \
	storage/version storage/create storage/maintain storage/for_storages_of_1_0 \
	update/1.0--1.1/privileges)

# ... pieces of which only the comments are.
UPDATE_COMMENTS = $(patsubst %,src/sql/%.sql, \
	schema wrapped_key/type wrapped_key/operators kek audit_log key_envelope rewrap_progress \
	lorawan/frame_type storage/event_type)

# PKCS#11 is p11-kit's headers; its library is loaded where a token is configured.
PG_CPPFLAGS = $(shell pkg-config --cflags p11-kit-1 2>/dev/null || echo -I/usr/include/p11-kit-1)

# What PostgreSQL's own headers and conventions do not keep to is left out;
# clang knows no -Wclobbered, which misjudges PG_TRY().
PG_CFLAGS = -Wextra -Wno-unused-parameter -Wno-sign-compare \
	-Wno-missing-field-initializers -Wno-clobbered -Wno-unknown-warning-option

# Calls inside the library stay inside, whatever other libraries export.
SHLIB_LINK = -lcrypto -Wl,-Bsymbolic

# In between, the tests are in no order.
REGRESS = setup \
	$(filter-out setup teardown,$(patsubst sql/%.sql,%,$(sort $(wildcard sql/*.sql)))) \
	teardown

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# No dependency tracking without --enable-depend: all depends on every header.
$(OBJS): $(wildcard src/*/*.h)

# psql would run a script to no purpose: only CREATE and ALTER EXTENSION may.
# Arguments: what the file's name is, the command that loads it
script_head = printf '/* %s */\n\n' $(1) && \
	printf '%s\n' '-- complain if script is sourced in psql, rather than via $(2)' \
	  '\echo Use "$(3)" to load this file. \quit' ''

key_vault--1.1.sql: $(SQL)
	{ $(call script_head,$@,CREATE EXTENSION,CREATE EXTENSION key_vault) && \
	  cat $(SQL); } >$@.tmp && mv $@.tmp $@

# Grants on tables and views are left out: to grant again what is granted would put what
# administrators granted besides into pg_init_privs, and so out of their dumps.
key_vault--1.0--1.1.sql: $(UPDATE) $(UPDATE_COMMENTS)
	{ $(call script_head,$@,ALTER EXTENSION,ALTER EXTENSION key_vault UPDATE TO '"'1.1'"') && \
	  printf '%s\n' 'SET LOCAL search_path = pg_catalog, pg_temp;' '' && \
	  cat $(UPDATE) | grep -v '^GRANT SELECT ON ' && \
	  awk '/^COMMENT ON / { comment = 1 } comment; /;$$/ { comment = 0 }' $(UPDATE_COMMENTS); } \
	  >$@.tmp && mv $@.tmp $@
