EXTENSION = key_vault
DATA = key_vault--1.0.sql
PGFILEDESC = "key_vault - wrapped LoRaWAN session keys"

MODULE_big = key_vault
OBJS = \
	$(patsubst %.c,%.o,$(sort $(wildcard src/*.c src/*/*.c))) \
	$(WIN32RES)

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
