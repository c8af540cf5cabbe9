# Two commands are enough: make drill, make test. Everything else is named here so that it can be found.
SHELL := /bin/bash
GO    ?= go
export CGO_ENABLED ?= 0
LDFLAGS := -s -w
# Programs, checks and tests are compiled with the same flags: otherwise everything is compiled once for each.
export GOFLAGS := $(strip $(filter-out -trimpath,$(shell $(GO) env GOFLAGS 2>/dev/null)) -trimpath)
# make check has vetted every package, and what a test prints needs no debugger's tables: together they
# are half of the time in which a hundred test programs are linked.
QUICK   := -vet=off -ldflags=-w

# What runs without the race detector: whole drills, their judge and benchmarks want the machine for
# themselves, the documents' tests build programs, and the attacks, the scripts of the command line and
# the column engine are tests of whole programs whose packages are all raced on their own. Of the table what
# one goroutine does to it is left out of the race, of the columns most tables, of app the folders whose
# every file is altered, and of console what Chromium does: a browser waits for pages, and the handlers
# behind them are raced by the tests without one.
APART := /internal/drill$$|/internal/judge$$|/internal/bench$$|/internal/docs$$|/internal/arrows$$|/internal/attack$$|/internal/cli$$|/cmd/tocsin$$|/cmd/tocsin-query$$

# Packages in which one goroutine does everything have nothing that the race detector could find; whoever
# uses them is raced. A test of internal/arrows holds them to it.
ALONE := ./detect ./detect/baseline ./detect/metric ./incident
# What takes longest begins first, so that the end is not one package on one core.
FIRST := ./internal/desk ./internal/app ./internal/console

.PHONY: help man build drill drill-all test test-deps check unit race rest drills soak vuln generate pictures fmt bench clean

help:
	@printf '%s\n' \
	  'make drill      build, then play a breach from first event to published review (about a minute)' \
	  'make drill-all  every scenario under every policy; writes the table of docs/promises.md (minutes)' \
	  'make test       everything that has to hold before a change lands (about 11 minutes on two cores)' \
	  'make check      its quick part: format, vet, staticcheck, generated files' \
	  'make unit       the tests without the race detector and without whole drills' \
	  'make man        the manual pages of every command, in bin/man/man1; PREFIX=/usr/local installs them' \
	  'make build      leaves bin/tocsin, bin/tocsin-query (the column engine) and bin/tocsin-verify' \
	  'make soak       long runs: kills, seeds, sabotages, fuzzing (up to 60 minutes; SOAK=full for all)' \
	  'make bench      the figures of the README' \
	  'make vuln       known vulnerabilities in what the programs call (asks vuln.go.dev)' \
	  'make pictures   take the pictures of the README again, from a drill; look at the difference' \
	  'make generate   regenerate templates and the test column of docs/promises.md'

build:
	@mkdir -p bin
	@[ -x bin/tocsin ] || echo 'building bin/tocsin and bin/tocsin-verify: the first build fetches and compiles everything, which takes a few minutes'
	@$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/tocsin ./cmd/tocsin-verify
# The column engine needs cgo and a C++ linker; without them tocsin counts by itself, which is slower on millions of events.
	@CGO_ENABLED=1 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/tocsin-query 2>bin/.query || { rm -f bin/tocsin-query; echo 'bin/tocsin-query was not built: scopes are counted event by event. It needs cgo:' >&2; head -3 bin/.query >&2; }
	@rm -f bin/.query

# make man PREFIX=/usr/local puts the pages where man looks for them.
man: build
	@bin/tocsin man bin/man/man1
	@[ -z '$(PREFIX)' ] || { install -d '$(PREFIX)/share/man/man1' && install -m 644 bin/man/man1/*.1 '$(PREFIX)/share/man/man1/'; }

# make drill DRILL='--seed 9 --sabotage mail-drop-1' passes flags on.
drill: build
	@bin/tocsin drill $(DRILL)

# Every scenario under every shipped policy, some minutes; the table goes into docs/promises.md.
drill-all: build
	@bin/tocsin drill --all --table docs/promises.md

# What the tests need beside Go, gcc, Node and make: a browser, PDF tools, PostgreSQL.
test-deps:
	@bash scripts/test-deps.sh

check:
	@bash scripts/check.sh

unit: build
	$(GO) test -timeout 10m $$($(GO) list ./... | grep -v '/internal/drill$$')

race:
	CGO_ENABLED=1 $(GO) test $(QUICK) -race -timeout 15m $(FIRST) $$($(GO) list ./... | grep -vE '$(APART)' | grep -vxFf <($(GO) list $(ALONE)))

# One package more than there are cores: servers, browsers and databases are waited for.
rest:
	$(GO) test $(QUICK) -p $$(($$(getconf _NPROCESSORS_ONLN) + 1)) -timeout 10m ./cmd/tocsin ./internal/console $$($(GO) list ./... | grep -E '$(APART)' | grep -vE '/internal/drill$$|/cmd/tocsin-query$$') $(ALONE) ./accesslog/table ./scope/columns
	$(GO) test $(QUICK) -timeout 10m -run 'AnAltered' ./internal/app
	CGO_ENABLED=1 $(GO) test ./cmd/tocsin-query

# A drill waits now and then, for a mail or a probe: three at a time keep two cores busy.
drills: build
	$(GO) test $(QUICK) -timeout 20m -count=1 -parallel 3 -v ./internal/drill

test:
	@MAKE='$(MAKE)' bash scripts/steps.sh test-deps check build race rest drills

soak: test-deps build
	@bash scripts/soak.sh

bench: build
	@bin/tocsin bench all

# The programs alone: what only the tests or the tools use does not reach a user.
vuln:
	$(GO) run golang.org/x/vuln/cmd/govulncheck@v1.1.4 ./cmd/...

generate:
	$(GO) tool templ generate
	$(GO) test -count=1 -run TestEveryRowNamesTheTestsThatShowIt ./internal/docs -update

# Needs Chromium. A picture that has not changed is left as it is.
pictures: build
	TOCSIN_TEST_BIN='$(CURDIR)/bin' $(GO) test $(QUICK) -count=1 -v -run TestThePicturesAreWhatADrillShows ./internal/drill -approve

fmt:
	gofmt -w $$(git ls-files '*.go')

clean:
	rm -rf bin .drill
