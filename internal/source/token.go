package source

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
)

// maxTokens is how large the file of tokens may be, in bytes.
const maxTokens = 64 << 10

// token checks the bearer token of a webhook. Without a file every webhook is accepted.
type token struct{ path string }

// newToken checks that the file can be used.
func newToken(path string) (*token, error) {
	t := &token{path: path}
	if path == "" {
		return t, nil
	}
	_, err := t.accepted()
	return t, err
}

// accepted reads the tokens, one a line. The file is small and is read for each webhook, so that a changed Secret
// counts at once. It may hold the old token and the new one, since Alertmanager does not repeat what was answered 401.
func (t *token) accepted() ([]string, error) {
	content, err := os.ReadFile(t.path)
	if err != nil {
		return nil, err
	}
	tokens := strings.Fields(string(content))
	switch {
	case len(content) > maxTokens:
		return nil, fmt.Errorf("%s is larger than %d bytes", shown(t.path), maxTokens)
	case len(tokens) == 0:
		return nil, errors.New(shown(t.path) + " contains no token")
	}
	return tokens, nil
}

func (t *token) check(r *http.Request) *refusal {
	if t.path == "" {
		return nil
	}
	accepted, err := t.accepted()
	if err != nil {
		return refuse(noToken, "the tokens that are accepted cannot be read: %s", err)
	}
	scheme, sent, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	// Of hashes the length tells nothing, and no comparison ends early.
	sum, match := sha256.Sum256([]byte(strings.TrimSpace(sent))), 0
	for _, a := range accepted {
		want := sha256.Sum256([]byte(a))
		match |= subtle.ConstantTimeCompare(sum[:], want[:])
	}
	if !strings.EqualFold(scheme, "Bearer") || match != 1 {
		return refuse(
			unauthorized,
			"the webhook needs a bearer token that is accepted here, from authorization in Alertmanager's http_config",
		)
	}
	return nil
}
