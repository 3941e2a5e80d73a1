# Krait's build. Every target goes through ./krait, which installs what is missing first; `./krait --help` shows more options.

PROFILE ?= release

.PHONY: build run debug test lint iso flash clean

build:
	@./krait build --profile $(PROFILE)

ifeq ($(value CMD),)
run:
	@./krait run --profile $(PROFILE) $(if $(SSH),--ssh)
else
# The command is handed over through the environment, so that make does not expand its dollar signs. Its status becomes
# make's own by a plug-in; a make that cannot load it says "Error 3" and exits with 2.
-load build/make_status.so
run: export KRAIT_COMMAND = $(value CMD)
run:
	@./krait run --profile $(PROFILE) $(if $(SSH),--ssh) --command "$$KRAIT_COMMAND" \
	    $(if $(status-file build/status),|| echo $$? >$(status-file build/status))

build/make_status.so: tools/make_status.c
	@mkdir -p build
	@$(CC) -shared -fPIC -O2 -Wall -Wextra -o $@ $<
endif

debug:
	@./krait debug

test:
	@./krait test

lint:
	@./krait lint

iso:
	@./krait iso --profile $(PROFILE)

flash:
	@if [ -z "$(DEV)" ]; then echo "usage: make flash DEV=/dev/…" >&2; exit 2; fi
	@./krait flash --profile $(PROFILE) "$(DEV)"

clean:
	rm -rf build
