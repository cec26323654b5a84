# What single tests are linked with beside the library.
#
# llhttp is the oracle that our HTTP parser is compared with: Debian's node-llhttp ships its C
# sources, which are compiled here in strict mode for the tests and never for the product.
LLHTTP ?= /usr/share
llhttp_obj := $(patsubst %,$(BUILD)/tests/llhttp/%.o,llhttp api http)

$(BUILD)/tests/llhttp/%.o: $(LLHTTP)/llhttp/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) -O1 -g -w -fPIE -DLLHTTP_STRICT_MODE=1 -I$(LLHTTP)/include/llhttp -c -o $@ $<
$(LLHTTP)/llhttp/%.c:
	@echo "$@ is missing; it comes with Debian's node-llhttp (make deps-test)" >&2; false

llhttp_users := unit/http/oracle_test fuzz/head_fuzz fuzz/chunks_fuzz
$(patsubst %,$(BUILD)/tests/%.c.o,$(llhttp_users)): private BASE_FLAGS += \
	-DLLHTTP_STRICT_MODE=1 -I$(LLHTTP)/include/llhttp
$(patsubst %,$(BUILD)/tests/%,$(llhttp_users)): $(llhttp_obj)

# What tools/embed makes of the files in tests/unit/tools/embed is linked into its test.
embed_data := tests/unit/tools/embed
embed_out := $(BUILD)/tests/embed
embed_test := $(BUILD)/tests/unit/tools/embed_test
embed_c := $(patsubst %,$(embed_out)/%.c,sql migrations assets)

$(embed_c): $(embed_out)/%.c: $(BUILD)/tools/embed $(wildcard $(embed_data)/*/*.* $(embed_data)/*/*/*.*)
	@mkdir -p $(@D)
	@$(BUILD)/tools/embed $* $(embed_out)/$* $(sort $(wildcard $(embed_data)/$*/*.* $(embed_data)/$*/*/*.*))
$(embed_out)/%.c.o: $(embed_out)/%.c
	@$(CC) $(ALL_CFLAGS) -I$(BUILD)/tests -c -o $@ $<
$(embed_out)/%.S.o: $(embed_out)/%.c
	@$(CC) $(ALL_CFLAGS) -c -o $@ $(embed_out)/$*.S
$(embed_test).c.o: private BASE_FLAGS += -I$(BUILD)/tests
$(embed_test).c.o: | $(embed_c)
$(embed_test): $(patsubst %,$(embed_out)/%.o,sql.c migrations.c assets.c assets.S)

# And what tools/tmplc makes of the templates beside its test.
pages_data := tests/unit/tools/pages
pages_test := $(BUILD)/tests/unit/tools/tmplc_test

$(BUILD)/tests/gen/test_pages.c: $(BUILD)/tools/tmplc $(wildcard $(pages_data)/*)
	@mkdir -p $(@D)
	@$(BUILD)/tools/tmplc $(BUILD)/tests/gen/test_pages $(sort $(wildcard $(pages_data)/*.html))
$(BUILD)/tests/gen/test_pages.c.o: $(BUILD)/tests/gen/test_pages.c
	@$(CC) $(ALL_CFLAGS) -I$(BUILD)/tests -Itests/unit/tools -c -o $@ $<
$(pages_test).c.o: private BASE_FLAGS += -I$(BUILD)/tests -Itests/unit/tools
$(pages_test).c.o: | $(BUILD)/tests/gen/test_pages.c
$(pages_test): $(BUILD)/tests/gen/test_pages.c.o

# tests/e2e/test_broken.py breaks one line of a source and links a test with what has become of it:
# build/broken/NAME/explore from build/broken/NAME/broken.c and the objects in OF.
$(BUILD)/broken/%/broken.c.o: $(BUILD)/broken/%/broken.c
	$(call say,CC,$<)$(CC) $(ALL_CFLAGS) -I$(WHERE) -c -o $@ $<
$(BUILD)/broken/%/explore: $(BUILD)/broken/%/broken.c.o $(OF) $(BUILD)/libapp.a $(BUILD)/libusher.a
	$(call say,LINK,$@)$(CC) $(ALL_LDFLAGS) -o $@ $< $(OF) $(BUILD)/libapp.a $(BUILD)/libusher.a \
		$(shell pkg-config --libs check) $(LIBS)
