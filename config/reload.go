package config

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync/atomic"
	"time"
)

// Source is a policies file that may change while the process runs. It compares the file's content and trusts no time
// or size of it: a ConfigMap's volume swaps a symbolic link, which file notifications miss and copied times hide.
type Source struct {
	path     string
	interval time.Duration
	onError  func(error)
	onLoad   func(Policies)
	current  atomic.Pointer[Policies]
	// seen is the hash of the content that was last looked at, good or broken, and failed the last error of reading the
	// file. Only Run uses them.
	seen   [sha256.Size]byte
	failed string
}

// NewSource reads the policies file at a path, and is an error when that is not possible. An empty path is the built-in
// policies. Run then reads the file again every interval. It calls onError once for every invalid content and for every
// new reason why the file cannot be read, and onLoad for every other valid content. Both may be nil, and are called
// from Run only.
func NewSource(path string, interval time.Duration, onError func(error), onLoad func(Policies)) (*Source, error) {
	if onError == nil {
		onError = func(error) {}
	}
	if onLoad == nil {
		onLoad = func(Policies) {}
	}
	s := &Source{path: path, interval: interval, onError: onError, onLoad: onLoad}
	policies := Default()
	if path != "" {
		content, err := readPolicies(path)
		if err != nil {
			return nil, err
		}
		if policies, err = s.parse(content); err != nil {
			return nil, err
		}
	}
	s.current.Store(&policies)
	return s, nil
}

// Current is the last good policies. It may be called at any time.
func (s *Source) Current() Policies { return *s.current.Load() }

// Run looks at the file until the context ends. It must run once at a time.
func (s *Source) Run(ctx context.Context) {
	if s.path == "" {
		<-ctx.Done()
		return
	}
	ticker := time.NewTicker(s.interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.look()
		}
	}
}

// look reads the file once. What is broken changes nothing but what was seen.
func (s *Source) look() {
	content, err := readPolicies(s.path)
	if err != nil {
		if err.Error() != s.failed {
			s.failed = err.Error()
			s.onError(err)
		}
		// When the file is back, even with the old content, report it.
		s.seen = [sha256.Size]byte{}
		return
	}
	s.failed = ""
	if sha256.Sum256(content) == s.seen {
		return
	}
	policies, err := s.parse(content)
	if err != nil {
		s.onError(err)
		return
	}
	s.current.Store(&policies)
	s.onLoad(policies)
}

func (s *Source) parse(content []byte) (Policies, error) {
	s.seen = sha256.Sum256(content)
	policies, err := ParsePolicies(content)
	if err != nil {
		return Policies{}, fmt.Errorf("policies file %s: %w", s.path, err)
	}
	return policies, nil
}
