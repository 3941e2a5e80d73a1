# Krait's build. Every target goes through ./krait, which installs what is missing first; `./krait --help` shows more options.

PROFILE ?= release

.PHONY: build run debug test lint iso flash wheel docs self clean help

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

wheel:
	@python3 -m tools.wheel

self:
	@./krait self-build

docs:
	@./krait docs

flash:
	@if [ -z "$(DEV)" ]; then echo "usage: make flash DEV=/dev/…" >&2; exit 2; fi
	@./krait flash --profile $(PROFILE) "$(DEV)"

help:
	@echo 'make build              compile the kernel, pack the root image'
	@echo 'make run                boot into a shell in QEMU; Ctrl-A X leaves'
	@echo "make run CMD='uname -a' run one command, and exit with its status"
	@echo 'make run SSH=1          start an SSH server too'
	@echo 'make debug              boot under gdb'
	@echo 'make test               run all tests'
	@echo 'make lint               check style and types'
	@echo 'make iso                make build/krait.iso, which boots from CD and disk'
	@echo 'make flash DEV=/dev/…   write that image to a disk, after asking'
	@echo "make wheel              make build/wheel/krait-….whl, for pip and pipx"
	@echo 'make self               compile Krait on Krait, and compare'
	@echo "make docs               make the pages as a site, build/site/index.html"
	@echo 'make clean              remove build/'
	@echo './krait --help shows more: images, machines in the background, options.'

clean:
	rm -rf build
