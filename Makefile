# mongoferry: build with PGXS.
#
#   make, make install, make installcheck      as with every PostgreSQL extension; PG_CONFIG=… chooses the PostgreSQL
#   make WERROR=1                              warnings are errors
#   make check                                 every test, on throw-away servers; installs what it needs
#   make check-unit | check-regress | check-integration | check-fuzz      a part of it
#   make differential QUERIES=100000 SEED=1    random queries with pushdown on and off, compared
#
# Works from another folder too: make -f /path/to/mongoferry/Makefile

source_dir := $(patsubst %/,%,$(dir $(firstword $(MAKEFILE_LIST))))

# The targets below bring their own PostgreSQL, and run where none is installed yet: they go without PGXS.
own_goals := check check-unit check-regress check-integration check-fuzz differential demo

ifneq (,$(filter $(own_goals),$(MAKECMDGOALS)))

.PHONY: $(own_goals)
check check-unit check-regress check-integration check-fuzz differential:
	@$(source_dir)/test/tools/check $(patsubst check-%,%,$(filter-out check,$@))
demo:
	@$(source_dir)/examples/shop/demo

else

version := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" $(source_dir)/mongoferry.control)
sources := $(patsubst $(source_dir)/%,%,$(sort $(wildcard $(source_dir)/src/*/*.cpp $(source_dir)/src/*/*/*.cpp)))
script_parts := $(sort $(wildcard $(source_dir)/extension/*.sql))
script := mongoferry--$(version).sql

MODULE_big = mongoferry
OBJS = $(sources:.cpp=.o)
EXTENSION = mongoferry
DATA_built = $(script)
EXTRA_CLEAN = $(OBJS:.o=.d) .build-settings
REGRESS = $(patsubst $(source_dir)/sql/%.sql,%,$(sort $(wildcard $(source_dir)/sql/*.sql)))
REGRESS_OPTS = --encoding=UTF8 --load-extension=mongoferry

PG_CONFIG ?= pg_config
PKG_CONFIG ?= pkg-config

# The driver: libmongoc 2 where it is there, else 1.
mongoc := $(shell $(PKG_CONFIG) --exists mongoc2 2>/dev/null && echo mongoc2 bson2 || echo libmongoc-1.0 libbson-1.0)
libraries := $(mongoc) zlib
ifneq (,$(filter-out clean distclean,$(or $(MAKECMDGOALS),all)))
ifneq (0,$(shell $(PKG_CONFIG) --exists $(libraries) 2>/dev/null; echo $$?))
$(error the headers of libmongoc (1.23 or newer) and zlib are needed: on Debian, apt-get install pkg-config libmongoc-dev zlib1g-dev)
endif
endif
library_flags := $(shell $(PKG_CONFIG) --cflags $(libraries) 2>/dev/null)

# Other people's headers are system headers, so that the warnings are about our code.
PG_CPPFLAGS = -I$(source_dir)/src -isystem $(shell $(PG_CONFIG) --includedir-server) $(patsubst -I%,-isystem %,$(library_flags))
PG_CXXFLAGS = -std=c++20 -fvisibility=hidden -Wall -Wextra -Wshadow -Wno-register $(if $(filter 1,$(WERROR)),-Werror)
SHLIB_LINK = $(shell $(PKG_CONFIG) --libs $(libraries) 2>/dev/null) -lstdc++

PGXS := $(shell $(PG_CONFIG) --pgxs)
ifeq (,$(PGXS))
$(error no pg_config found: install PostgreSQL with its server headers, or name it with PG_CONFIG=…)
endif
# No bitcode: inlining our C++ into queries gains nothing, and clang may be of another age than g++.
override with_llvm := no
include $(PGXS)

# What went into the objects besides the sources; when it changes (another PostgreSQL, other flags, a file gone) they are made anew.
# (A private copy of the same PostgreSQL is not another one: its path does not count.)
build_settings := $(shell $(PG_CONFIG) --version) | $(shell $(PKG_CONFIG) --modversion $(libraries) 2>/dev/null) | \
	$(CXX) $(filter-out -Werror,$(CXXFLAGS)) $(subst $(shell $(PG_CONFIG) --includedir),,$(CPPFLAGS)) | \
	$(SHLIB_LINK) | $(OBJS) | $(notdir $(script_parts))
ifneq ($(strip $(build_settings)),$(strip $(file <.build-settings)))
.PHONY: .build-settings
endif
.build-settings:
	$(file >$@,$(strip $(build_settings)))@:

$(OBJS): %.o: %.cpp .build-settings
	@$(MKDIR_P) $(@D)
	$(CXX) $(CXXFLAGS) $(CPPFLAGS) -MMD -MP -c -o $@ $<
-include $(wildcard $(OBJS:.o=.d))

$(shlib): .build-settings

$(script): $(script_parts) .build-settings
	cat $(script_parts) >$@.part && mv $@.part $@

endif
