package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// inMemory is how much of a body is kept in memory, in bytes. Most notifications are smaller.
const inMemory = 1 << 20

// spool keeps a body so that it can be read again: Alertmanager writes some fields after the alerts, and they must be
// sent with the first of them. Bytes beyond inMemory are in an unlinked file, which disappears with the process.
type spool struct {
	memory bytes.Buffer
	file   *os.File
}

// errSpool is a file that cannot be written or read.
var errSpool = errors.New("the body cannot be written to a file in TMPDIR")

func (s *spool) Write(p []byte) (int, error) {
	n := min(len(p), max(0, inMemory-s.memory.Len()))
	s.memory.Write(p[:n])
	if n == len(p) {
		return n, nil
	}
	if s.file == nil {
		file, err := os.CreateTemp("", "alertmanager-source-*")
		if err != nil {
			return n, fmt.Errorf("%w: %w", errSpool, err)
		}
		s.file = file
		if err := os.Remove(file.Name()); err != nil {
			return n, fmt.Errorf("%w: %w", errSpool, err)
		}
	}
	more, err := s.file.Write(p[n:])
	if err != nil {
		err = fmt.Errorf("%w: %w", errSpool, err)
	}
	return n + more, err
}

// reader reads what was written from its beginning.
func (s *spool) reader() io.Reader {
	if s.file == nil {
		return bytes.NewReader(s.memory.Bytes())
	}
	return io.MultiReader(bytes.NewReader(s.memory.Bytes()), io.NewSectionReader(s.file, 0, 1<<62))
}

// close gives the file back.
func (s *spool) close() {
	if s.file != nil {
		_ = s.file.Close() // It has no name any more.
	}
}
