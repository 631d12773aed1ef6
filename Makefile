# killpoint: `make itest` and `make test` are the two commands.
#
#: ENGINE  engines under test, separated by commas: versions, image references, paths of binaries
#: RUN     regular expression of the scenarios that itest runs
#: OUT     a new folder for the run (out/TIME)
#: SEED    which actor is probed at which delay: a number, to run a trial again (random)
#: DELAYS  when TestIdleRestart asks, from the first good /health on: 0,250ms,3s
#: REPEATS how many actors it asks at each of them (1)
#: TRIALS  how often known-bugs carries each of them out (5)
#: STRIKES how often precision strikes by each way (200)
#: CELLS   how many cells run side by side (5): their trials mostly wait

comma   := ,
STAMP   := out/$(shell date +%Y%m%d-%H%M%S)
ENGINE  ?= 2.3.19
RUN     ?= .
OUT     ?= $(STAMP)
SEED    ?=
DELAYS  ?=
REPEATS ?=
KNOWN_BUGS ?=
PLATFORM ?=
CELLS   ?= 5
TRIALS  ?= 5
STRIKES ?= 200
FUZZ    ?= 40000x
BENCH   ?= .

ACTIONLINT_VERSION := v1.7.12
LINTER_VERSION := v2.15.0
LINTER         := .bin/golangci-lint-$(LINTER_VERSION)

# What a run needs to know of its images. Building them is the first step, once
# for all packages, so that no test waits for a compiler.
make_images = go run ./internal/cmd/images -engines '$(ENGINE)'
with_images = images=$$($(make_images)) && eval "$$images" &&
with_binary = images=$$($(make_images) -binary) && eval "$$images" &&
# The tests run in their own directory, where a relative path leads elsewhere.
with_out = mkdir -p '$(OUT)$(1)' && out=$$(CDPATH= cd '$(OUT)$(1)' && pwd) && KILLPOINT_SEED='$(SEED)' KILLPOINT_DELAYS='$(DELAYS)' KILLPOINT_REPEATS='$(REPEATS)' KILLPOINT_KNOWN_BUGS='$(KNOWN_BUGS)' KILLPOINT_PLATFORM='$(PLATFORM)' KILLPOINT_OUT="$$out"
unit_packages = $$(go list ./... | grep -v '/tests$$')

.PHONY: help setup browser images itest itest-dind scorecard matrix known-bugs platform precision unit test bench fuzz lint clean

help: ## list the targets (this is the default)
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 20
	@printf '\nsettings, as in make itest ENGINE=2.3.5 RUN=Idle:\n'
	@sed -n 's/^#: /  /p' Makefile

setup: ## start Docker and install what is missing; touches nothing that is there
	@scripts/docker-up.sh
	@scripts/npm-up.sh $(foreach e,$(subst $(comma), ,$(ENGINE)),'$(e)')

images: setup ## make the images of a run and print the settings that name them
	@$(make_images)

itest: setup ## run the scenarios on the real engine
	@$(with_images) $(call with_out,) go test -count=1 -timeout 20m -parallel '$(CELLS)' -v -skip '^(TestScorecard|TestByHand|TestDockerInDocker.*)$$' -run '$(value RUN)' ./tests

itest-dind: setup ## the same against a Docker daemon in a container of its own
	@go build -o .bin/dind ./internal/cmd/dind
	@.bin/dind $(MAKE) --no-print-directory itest
	@$(call with_out,-dind) KILLPOINT_DIND='$(CURDIR)/.bin/dind' go test -count=1 -timeout 10m -parallel '$(CELLS)' -v -run '^TestDockerInDocker' ./tests

scorecard: setup ## plant each bug in the fixture and show which invariant catches it
	@$(with_images) $(call with_out,-scorecard) go test -count=1 -timeout 5m -parallel '$(CELLS)' -v -run '^TestScorecard$$' ./tests

matrix: setup ## carry out the exit matrix: how a runtime goes, by signal, place and grace; print it
	@$(with_images) go run ./cmd/killpoint matrix --engines '$(ENGINE)' --cells '$(CELLS)' --out '$(OUT)-matrix'

known-bugs: setup ## reproduce every known bug of the engine, by name, and print their rates
	@$(with_images) $(call with_out,-known-bugs) KILLPOINT_KNOWN_BUGS=all go test -count='$(TRIALS)' -timeout 100m -parallel '$(CELLS)' -v -run '^TestKnownBugs$$' ./tests

precision: setup ## measure how long after its moment a strike is made, by each way
	@$(with_images) $(call with_out,-precision) KILLPOINT_STRIKES='$(STRIKES)' go test -count=1 -timeout 60m -v -run '^TestPrecision$$' ./tests

platform: setup ## end, replace and restart the parties as platforms do, in every way we know (CELLS=2 for its times)
	@$(with_images) $(call with_out,-platform) KILLPOINT_PLATFORM=all go test -count=1 -timeout 60m -parallel '$(CELLS)' -v -run '^Test(Handoff|BothKilled|EngineExit|PlatformRestart)$$' ./tests

browser: ## install a browser for the tests of the report's page, where none is
	@scripts/browser-up.sh

unit: setup browser ## run all other tests, with the race detector
	@$(with_binary) go test -race -timeout 10m $(unit_packages)

by-hand: setup ## run the guide's page on a race by hand, with compose.yaml
	@scripts/compose-up.sh
	@$(with_images) go test -count=1 -timeout 10m -run '^TestByHand$$' ./tests

test: unit itest scorecard by-hand ## run everything

bench: setup ## measure: cell start, engine restart, teardown, codec, reaper
	@$(with_binary) go test -p 1 -run '^$$' -bench '$(BENCH)' -benchmem -timeout 20m ./...

fuzz: ## run every fuzz target for FUZZ inputs (40000x), or for a time (10s)
	@scripts/fuzz.sh '$(FUZZ)'

lint: $(LINTER) ## check formats, go vet, golangci-lint, go.mod, shell syntax, workflows
	@test -z "$$(gofmt -l .)" || { echo 'not formatted by gofmt:'; gofmt -l .; exit 1; }
	@go vet ./...
	@go mod tidy -diff
	@for f in scripts/*.sh dind-image/*.sh; do sh -n "$$f" || exit 1; done; bash -n .ci/run
	@$(LINTER) run ./...
	@go run github.com/rhysd/actionlint/cmd/actionlint@$(ACTIONLINT_VERSION)

$(LINTER):
	@mkdir -p .bin
	@GOBIN='$(CURDIR)/.bin' go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINTER_VERSION)
	@mv .bin/golangci-lint $@

clean: ## remove the runs, the tools, the cache and the images that were made
	@go run ./internal/cmd/images -remove || echo 'the images are still there (no Docker?)'
	@rm -rf out .bin "$${XDG_CACHE_HOME:-$$HOME/.cache}/killpoint"
