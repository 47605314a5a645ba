# Builds the extension by PGXS, here or in another directory (a VPATH build, as Debian's pg_buildext makes it):
#   make -f /source/of/key_vault/Makefile PG_CONFIG=/usr/lib/postgresql/17/bin/pg_config
# PostgreSQL finds sources by the first makefile's directory or by VPATH; so does this.
source_dir := $(or $(VPATH),$(patsubst %/,%,$(dir $(firstword $(MAKEFILE_LIST)))))

EXTENSION = key_vault
# A dump of a database with an earlier version is restored into that version, and then updated.
DATA = src/sql/released/key_vault--1.0.sql
DATA_built = key_vault--1.1.sql key_vault--1.0--1.1.sql
PGFILEDESC = "key_vault - wrapped LoRaWAN session keys"

# Into PostgreSQL's directory of programs; packages put them into the path.
SCRIPTS = bin/key_vault_make_root_key integration/mqtt/key_vault_ingest

MODULE_big = key_vault
OBJS := $(patsubst $(source_dir)/%.c,%.o,$(sort $(wildcard $(source_dir)/src/*.c $(source_dir)/src/*/*.c)))
# An empty list would be linked to an empty library without an error.
$(if $(OBJS),,$(error no source of key_vault in $(source_dir)/src))
OBJS += $(WIN32RES)

# The install script, in the order in which its pieces need each other.
SQL = $(patsubst %,$(source_dir)/src/sql/%.sql, \
	schema internal_schema \
	wrapped_key/shell_type wrapped_key/input_output wrapped_key/type \
	wrapped_key/casts wrapped_key/comparison wrapped_key/operators wrapped_key/qualified_operators \
	trigger_functions local_role kek audit_log kek_views kek_admin monitoring \
	key_envelope keys relations key_envelope_columns kek_usage check_keys kek_destroy drop_guard rewrap_progress rewrap_all \
	lorawan/payload lorawan/f_opts lorawan/join lorawan/frame_type lorawan/frame lorawan/cayenne_lpp \
	lorawan/mic lorawan/join_mic seal cache explain_key \
	storage/event_type storage/text_bytes storage/events \
	storage/session storage/rejected storage/ingest storage/leaves storage/hypertables storage/stored_at storage/left_out storage/decoders storage/tables storage/views storage/functions \
	storage/version storage/create storage/move_session storage/maintain storage/for_storages_of_1_0 \
	health)

# The update script from 1.0 to 1.1.  It has pieces that can be run again, since they only
# CREATE OR REPLACE, and what is in src/sql/update.
UPDATE = $(patsubst %,$(source_dir)/src/sql/%.sql, \
	internal_schema update/1.0--1.1/moved_objects update/1.0--1.1/kek_table \
	wrapped_key/input_output wrapped_key/casts wrapped_key/comparison wrapped_key/qualified_operators \
	trigger_functions local_role update/1.0--1.1/kek_privilege_table \
	kek_views kek_admin monitoring keys relations key_envelope_columns kek_usage check_keys kek_destroy drop_guard rewrap_all \
	lorawan/payload lorawan/f_opts lorawan/join lorawan/frame lorawan/cayenne_lpp lorawan/mic lorawan/join_mic \
	seal cache explain_key \
	storage/text_bytes storage/events \
	storage/session storage/rejected storage/ingest storage/leaves storage/hypertables storage/stored_at storage/left_out storage/decoders storage/tables storage/views storage/functions \
	storage/version storage/create storage/move_session storage/maintain storage/for_storages_of_1_0 \
	health \
	update/1.0--1.1/privileges)

# From these pieces it has only the comments.
UPDATE_COMMENTS = $(patsubst %,$(source_dir)/src/sql/%.sql, \
	schema wrapped_key/type wrapped_key/operators kek audit_log key_envelope rewrap_progress \
	lorawan/frame_type storage/event_type)

# For PKCS#11, p11-kit's headers are needed; its library is loaded only if a token is configured.
# The library does not contain the path of this directory, so the same sources give the same
# library in every directory.
PG_CPPFLAGS = $(shell pkg-config --cflags p11-kit-1 2>/dev/null || echo -I/usr/include/p11-kit-1) \
	-ffile-prefix-map=$(CURDIR)=. -ffile-prefix-map=$(abspath $(source_dir))/= -ffile-prefix-map=$(source_dir)/=

# Warnings that PostgreSQL's own headers and conventions cause are switched off.  So is
# -Wclobbered, which is wrong about PG_TRY(), and which clang does not know.
PG_CFLAGS = -Wextra -Wno-unused-parameter -Wno-sign-compare \
	-Wno-missing-field-initializers -Wno-clobbered -Wno-unknown-warning-option

# Calls inside the library stay inside, whatever other libraries export.
SHLIB_LINK = -lcrypto -Wl,-Bsymbolic

EXTRA_CLEAN = built_for

# setup comes first and teardown last; the order of the other tests does not matter.
REGRESS = setup \
	$(filter-out setup teardown,$(patsubst %.sql,%,$(sort $(notdir $(wildcard $(source_dir)/sql/*.sql))))) \
	teardown

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# make would take objects and scripts that it finds among the sources for those of this build.
ifneq ($(abspath $(source_dir)),$(CURDIR))
ifneq ($(wildcard $(addprefix $(source_dir)/,built_for $(OBJS) $(DATA_built))),)
$(error $(source_dir) has a build of its own: run "make clean" there first)
endif
endif

# No dependency tracking without --enable-depend: all depends on every header.
$(OBJS) $(OBJS:.o=.bc): $(wildcard $(source_dir)/src/*/*.h) built_for

# Names the PostgreSQL that the objects are for. Where they were built for another one, or for another minor
# version, they are built anew.
built_for: FORCE
	@mkdir -p $(sort $(dir $(OBJS)))
	@echo 'PostgreSQL $(VERSION), headers in $(includedir_server)' >$@.tmp
	@if cmp -s $@.tmp $@; then rm $@.tmp; else mv $@.tmp $@; fi

.PHONY: FORCE
FORCE:

# Headers of a minor version may call functions that an older one does not have, and then the library does not load.
install: say_minimum
.PHONY: say_minimum
say_minimum: all
	@echo 'key_vault: this build needs PostgreSQL $(VERSION), or a later $(MAJORVERSION).x'

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

# What is released: the sources as they are committed, for PGXN and for packages.
distribution = key_vault-$(shell sed -n 's/^   "version": "\(.*\)",$$/\1/p' $(source_dir)/META.json)
.PHONY: dist
dist:
	git -C $(source_dir) archive --format=zip --prefix=$(distribution)/ -o $(CURDIR)/$(distribution).zip HEAD
	git -C $(source_dir) archive --format=tar.gz --prefix=$(distribution)/ -o $(CURDIR)/$(distribution).tar.gz HEAD

# Before a release: whether all that names its version agrees, and everything is committed.
.PHONY: release-check
release-check:
	$(source_dir)/test/release_check
