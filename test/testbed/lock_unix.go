//go:build unix

package testbed

import (
	"errors"
	"os"
	"syscall"
)

// tryLock takes the exclusive lock of an open file and reports whether it got it. The lock lives as long as the open
// file, which children do not inherit.
func tryLock(file *os.File) (bool, error) {
	err := flock(file, syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

// lock waits for the exclusive lock of an open file.
func lock(file *os.File) error {
	return flock(file, syscall.LOCK_EX)
}

func flock(file *os.File, how int) error {
	for {
		err := syscall.Flock(int(file.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
