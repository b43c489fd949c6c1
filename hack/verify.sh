#!/usr/bin/env bash
# Checks what a machine can check without running the tests. Every check runs; the end says which ones failed.
#
#   hack/verify.sh GENERATED...    the generated files and directories
set -uo pipefail
cd "$(dirname "$0")/.."
generated=("$@")
failed=()

check() {
	local name=$1
	shift
	echo "verify: $name"
	"$@" || failed+=("$name")
}

# The generated files are what make generate writes, and are all known to git. The comparison is with git's index, so that
# staged work passes.
fresh() {
	make --no-print-directory generate >/dev/null || return
	local unknown
	unknown=$(git ls-files --others --exclude-standard -- "${generated[@]}") || return
	if ! git diff --exit-code -- "${generated[@]}" || [ -n "$unknown" ]; then
		echo "make generate writes something else than git holds; look at it and add it:" "$unknown"
		return 1
	fi
}

formatted() {
	local files
	files=$(git ls-files --cached --others --exclude-standard -- '*.go' | while read -r f; do [ ! -f "$f" ] || echo "$f"; done | xargs -r gofmt -l) || return
	[ -z "$files" ] || { echo "gofmt would change:" "$files"; return 1; }
}

narrow() {
	git ls-files --cached --others --exclude-standard -- '*.go' '*.lua' | grep -v zz_generated | while read -r f; do [ ! -f "$f" ] || echo "$f"; done |
		xargs awk -f hack/columns.awk
}

check "generated files" fresh
check "gofmt" formatted
check "120 columns" narrow
check "go vet" go vet ./...
check "staticcheck" go tool staticcheck ./...
check "import rules" go test ./test -run '^TestImports$'
check "words and links" go test -count=1 ./test -run '^(TestWords|TestLinks)$'
check "documented tables" go test ./config ./internal/source ./function ./cmd/dead-letters ./api/... -run 'Documentation|Definition|Default'
check "go.mod" go mod tidy -diff

if [ ${#failed[@]} -gt 0 ]; then
	printf 'verify: FAILED: %s\n' "${failed[@]}" >&2
	exit 1
fi
echo "verify: clean"
