# Krait's build. Every target goes through ./krait, which installs what is missing first; `./krait --help` shows more options.

PROFILE ?= release

.PHONY: build run debug test lint iso flash clean

build:
	@./krait build --profile $(PROFILE)

# The command is handed over through the environment, so that make does not expand its dollar signs.
run: export KRAIT_COMMAND = $(value CMD)
run:
	@if [ -n "$$KRAIT_COMMAND" ]; then ./krait run --profile $(PROFILE) $(if $(SSH),--ssh) --command "$$KRAIT_COMMAND"; \
	else ./krait run --profile $(PROFILE) $(if $(SSH),--ssh); fi

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
