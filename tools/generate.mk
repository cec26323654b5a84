# C made from files: SQL statements, migrations, pages and assets. Included by the Makefile.
#
# `generated` is the headers, which the application's objects wait for; `gen_obj` the objects, which
# become part of libapp.a. Whatever has no files yet is left out.
#
# A tool writes its .c always and its .h only when that changes. So the .c stands for the run, the
# empty recipe of the .h lets make look at its time again, and editing one statement compiles one
# file. A folder is a prerequisite too: its time changes when a file is added or goes.

gen := $(BUILD)/gen
host_cflags := -std=gnu17 -O1 -g -D_GNU_SOURCE $(WARN)

$(BUILD)/tools/%: tools/%.c tools/host.h
	@mkdir -p $(@D)
	$(call say,TOOL,$@)$(CC) $(host_cflags) $(CFLAGS) -o $@ $< -lz

sql_files := $(sort $(wildcard app/sql/*.sql))
migration_files := $(sort $(wildcard migrations/*/*.sql))
page_files := $(sort $(wildcard app/pages/*.html))
asset_files := $(sort $(wildcard app/assets/*.* app/assets/root/*.*))

gen_names := $(if $(sql_files),sql) $(if $(migration_files),migrations) $(if $(page_files),pages) \
	$(if $(asset_files),assets)
generated := $(patsubst %,$(gen)/%.h,$(gen_names))
gen_obj := $(patsubst %,$(gen)/%.c.o,$(gen_names)) $(if $(asset_files),$(gen)/assets.S.o)

$(gen)/sql.c: $(BUILD)/tools/embed $(sql_files) $(wildcard app/sql)
	@mkdir -p $(@D)
	$(call say,GEN,$@)$(BUILD)/tools/embed sql $(gen)/sql $(sql_files)
$(gen)/migrations.c: $(BUILD)/tools/embed $(migration_files) $(wildcard migrations migrations/*)
	@mkdir -p $(@D)
	$(call say,GEN,$@)$(BUILD)/tools/embed migrations $(gen)/migrations $(migration_files)
$(gen)/pages.c: $(BUILD)/tools/tmplc $(page_files) $(wildcard app/pages)
	@mkdir -p $(@D)
	$(call say,GEN,$@)$(BUILD)/tools/tmplc $(gen)/pages $(page_files)
$(gen)/assets.c: $(BUILD)/tools/embed $(asset_files) $(wildcard app/assets app/assets/root)
	@mkdir -p $(@D)
	$(call say,GEN,$@)$(BUILD)/tools/embed assets $(gen)/assets $(asset_files)
$(gen)/assets.S: $(gen)/assets.c
	@:
$(gen)/%.h: $(gen)/%.c
	@:

$(gen_obj): | $(generated)
