# Two commands are enough: make drill, make test. Everything else is named here so that it can be found.
SHELL := /bin/bash
GO    ?= go
export CGO_ENABLED ?= 0
LDFLAGS := -s -w
PKGS  := ./...

.PHONY: help build drill drill-all test test-deps check race unit drills soak vuln generate fmt pictures bench clean

help:
	@printf '%s\n' \
	  'make drill      build, then play a breach from first event to published review (about a minute)' \
	  'make test       everything that has to hold before a change lands (up to 12 minutes)' \
	  'make build      leaves bin/tocsin and bin/tocsin-verify' \
	  'make soak       long runs: kills, seeds, sabotages (up to 60 minutes; SOAK=full for all)' \
	  'make bench      the figures of the README' \
	  'make generate   regenerate templates and the test column of docs/promises.md'

build:
	@mkdir -p bin
	@echo 'building bin/tocsin and bin/tocsin-verify (the first build takes a few minutes)'
	@$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/tocsin ./cmd/tocsin-verify

drill: build
	@bin/tocsin drill $(DRILL)

# What the tests need beside Go, gcc, Node and make: a browser, PDF tools, PostgreSQL.
test-deps:
	@bash scripts/test-deps.sh

check:
	@bash scripts/check.sh

unit: build
	$(GO) test -timeout 10m $$($(GO) list $(PKGS) | grep -v /internal/drill$$)

race:
	CGO_ENABLED=1 $(GO) test -race -timeout 15m $$($(GO) list $(PKGS) | grep -v -e /internal/drill$$ -e /internal/bench$$)

drills: build
	$(GO) test -timeout 12m -count=1 ./internal/drill

test: test-deps check build race drills

soak: build
	SOAK=$(or $(SOAK),sample) $(GO) test -timeout 60m -count=1 -run 'Soak' -v ./internal/drill ./internal/storetest/... ./internal/sqlite ./internal/postgres ./accesslog

bench: build
	@bin/tocsin bench all

vuln:
	$(GO) run golang.org/x/vuln/cmd/govulncheck@v1.1.4 ./...

generate:
	$(GO) tool templ generate
	$(GO) test -count=1 -run TestEveryRowNamesTheTestsThatShowIt ./internal/docs -update

fmt:
	gofmt -w .

clean:
	rm -rf bin .drill
