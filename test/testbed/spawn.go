package testbed

import (
	"bytes"
	"os/exec"
	"runtime"
	"sync"
)

// starts carries the starts of child processes to one goroutine that never leaves its OS thread. Linux sends a child
// its parent-death signal when the thread that forked it ends, not the process, and Go ends threads as it likes.
var starts = sync.OnceValue(func() chan<- func() {
	queue := make(chan func())
	go func() {
		runtime.LockOSThread()
		for start := range queue {
			start()
		}
	}()
	return queue
})

// spawn starts a command in a process group of its own, where the system allows it bound to the life of this process.
func spawn(cmd *exec.Cmd) error {
	cmd.SysProcAttr = childAttributes()
	result := make(chan error, 1)
	starts() <- func() { result <- cmd.Start() }
	return <-result
}

// combinedOutput runs a command to its end, bound to the life of this process like a server, and returns all that it
// wrote.
func combinedOutput(cmd *exec.Cmd) ([]byte, error) {
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := spawn(cmd); err != nil {
		return nil, err
	}
	err := cmd.Wait()
	return output.Bytes(), err
}
