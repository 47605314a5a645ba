EXTENSION = key_vault
DATA_built = key_vault--1.0.sql
PGFILEDESC = "key_vault - wrapped LoRaWAN session keys"

MODULE_big = key_vault
OBJS = \
	$(patsubst %.c,%.o,$(sort $(wildcard src/*.c src/*/*.c))) \
	$(WIN32RES)

# The install script, in the order in which its pieces need each other.
SQL = $(patsubst %,src/sql/%.sql, \
	schema wrapped_key kek kek_admin audit_log monitoring keys kek_destroy rewrap_all \
	lorawan/payload lorawan/join lorawan/frame lorawan/mic seal cache \
	storage/messages storage/plaintext_keys storage/create storage/maintain \
	privileges)

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

# psql would run the script to no purpose: only CREATE EXTENSION may.
key_vault--1.0.sql: $(SQL)
	{ printf '/* %s */\n\n' $@ && \
	  printf '%s\n' '-- complain if script is sourced in psql, rather than via CREATE EXTENSION' \
	    '\echo Use "CREATE EXTENSION key_vault" to load this file. \quit' '' && \
	  cat $(SQL); } >$@.tmp && mv $@.tmp $@
