# A menu of the checks. `make` alone prints it.
.PHONY: help demo build test crash short-tokens fuzz bench power-cut lint
help: ## this menu
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12
demo: ## the whole product on this machine, no account needed
	go run ./cmd/mailbearer demo
build: ## one static binary, ./mailbearer
	CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o mailbearer ./cmd/mailbearer
test: ## what CI runs
	.ci/run
lint: ## formatting and vet, for every system we build for
	test -z "$$(gofmt -l .)"
	go vet ./... && GOOS=windows go vet ./... && GOOS=darwin go vet ./...
crash: ## kill -9 under load, 100 rounds
	MAILBEARER_CRASH_ROUNDS=100 go test -run 'Crash|KillUnderLoad' -count=1 -timeout 30m -v ./spool/sqlite ./cmd/mailbearer
short-tokens: ## tokens of 30 seconds in real time: no message waits for one
	MAILBEARER_TOKEN_LIFE=30s go test -run NoMessageWaits -count=1 -timeout 5m -v ./cmd/mailbearer
fuzz: ## every parser, a minute each (FUZZTIME=10m for more)
	.ci/fuzz $(or $(FUZZTIME),1m)
power-cut: ## the spool on a loop device, cut at random moments (root); ROUNDS=15 for more
	spool/sqlite/powercut.sh $(or $(ROUNDS),5)
bench: ## accept and end-to-end rates, round trips, memory
	go test -run '^$$' -bench . -benchtime 3s ./spool/sqlite ./upstream ./cmd/mailbearer
