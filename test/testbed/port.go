package testbed

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
)

// The ports of servers are taken from below the range from which systems pick the local ports of outgoing connections
// (32768 and up on Linux). A port of that range, which listening on port 0 would give, can be taken by any client while
// its server is stopped; a client that keeps dialing a stopped server on loopback can even be connected to itself.
const (
	firstPort = 20000
	lastPort  = 32000
)

// reserved holds the locked files of the ports of this process. They are never closed: a server may come back on its
// port at any time, so the ports are given back by the end of the process.
var reserved struct {
	sync.Mutex
	files map[int]*os.File
}

// FreePort returns a loopback TCP port that nobody listens on, and that no other user of this package on the machine
// gets as long as this process lives.
func FreePort() (int, error) {
	home, err := Home()
	if err != nil {
		return 0, err
	}
	dir := filepath.Join(home, "ports")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, fmt.Errorf("create the directory of port locks: %w", err)
	}
	reserved.Lock()
	defer reserved.Unlock()
	for range 1000 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		if _, ours := reserved.files[port]; ours {
			continue
		}
		if taken, err := reserve(dir, port); taken || err != nil {
			return port, err
		}
	}
	return 0, fmt.Errorf("no free port found between %d and %d", firstPort, lastPort)
}

// Port is FreePort for tests.
func Port(t testing.TB) int {
	t.Helper()
	port, err := FreePort()
	if err != nil {
		t.Fatalf("testbed: %v", err)
	}
	return port
}

// reserve locks a port against other users of this package and reports whether that worked and nobody listens there.
func reserve(dir string, port int) (taken bool, err error) {
	file, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(port)), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return false, fmt.Errorf("open a port's lock: %w", err)
	}
	defer func() {
		if !taken {
			err = errors.Join(err, file.Close())
		}
	}()
	if locked, err := tryLock(file); err != nil || !locked {
		return false, err
	}
	listener, err := net.Listen("tcp", loopback(port))
	if err != nil {
		// Someone else has it: the next one may be free.
		return false, nil
	}
	if err := listener.Close(); err != nil {
		return false, fmt.Errorf("close the listener of a port: %w", err)
	}
	if reserved.files == nil {
		reserved.files = map[int]*os.File{}
	}
	reserved.files[port] = file
	return true, nil
}

func loopback(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}
