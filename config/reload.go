package config

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync/atomic"
	"time"
)

// Source is a policies file that may change while the process runs. It compares the content and not the time or size: a
// ConfigMap's volume replaces a symbolic link, which file notifications miss.
type Source struct {
	path     string
	interval time.Duration
	onError  func(error)
	onLoad   func(Policies)
	current  atomic.Pointer[Policies]
	// seen is the hash of the content that was last read, valid or not, and failed the last error of reading the file.
	// Only Run uses them.
	seen   [sha256.Size]byte
	failed string
}

// NewSource reads the policies file at a path, and fails if it cannot. An empty path means the built-in policies. Run
// then reads the file again every interval. It calls onError once for every invalid content and for every new reason
// why the file cannot be read, and onLoad for every other valid content. Both may be nil, and are called from Run only.
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

// Current is the last valid policies. It may be called at any time.
func (s *Source) Current() Policies { return *s.current.Load() }

// Run reads the file again until the context ends. It must not run twice at the same time.
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

// look reads the file once. Invalid content changes only seen and failed.
func (s *Source) look() {
	content, err := readPolicies(s.path)
	if err != nil {
		if err.Error() != s.failed {
			s.failed = err.Error()
			s.onError(err)
		}
		// If the file can be read again, even with the old content, report it.
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
