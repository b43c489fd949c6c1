package testbed

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

const (
	// stopGrace is how long a process may take to end after SIGTERM.
	stopGrace = 10 * time.Second
	// logLines is how much of the end of a log is shown when something failed.
	logLines = 60
)

// Command says what StartProcess starts.
type Command struct {
	Name string   // The name in messages and of the log file.
	Path string   // The executable.
	Args []string // The arguments, without the program's name.
	Env  []string // Entries "KEY=value" on top of this process' environment.
	Dir  string   // The working directory and the log's place; has to exist.
}

// Process is a running child process. Its methods may be called from several goroutines.
type Process struct {
	name    string
	logPath string
	cmd     *exec.Cmd
	done    chan struct{} // Closed when the process has ended and err is set.
	err     error
}

// StartProcess starts a child process that dies with this one. Its output goes to the file <name>.log in its
// directory, which is appended to when it exists, so that a restarted server has one log.
func StartProcess(c Command) (*Process, error) {
	p := &Process{name: c.Name, logPath: filepath.Join(c.Dir, c.Name+".log"), done: make(chan struct{})}
	log, err := os.OpenFile(p.logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", c.Name, err)
	}
	p.cmd = exec.Command(c.Path, c.Args...)
	p.cmd.Dir, p.cmd.Env = c.Dir, append(os.Environ(), c.Env...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	// The child has its own copy of the file.
	if err := errors.Join(spawn(p.cmd), log.Close()); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		// What the process started itself ends with it. An error says that there is nothing left.
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		close(p.done)
	}()
	return p, nil
}

// Start starts a child process for a test: it is stopped when the test ends, and the end of its log is printed when the
// test failed. The entries of env, "KEY=value", come on top of the test's environment.
func Start(t testing.TB, name string, env []string, binary string, args ...string) *Process {
	t.Helper()
	p, err := StartProcess(Command{Name: name, Path: binary, Args: args, Env: env, Dir: t.TempDir()})
	if err != nil {
		t.Fatalf("testbed: %v", err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Errorf("testbed: %v", err)
		}
		p.LogOnFailure(t)
	})
	return p
}

// Pid returns the process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Running reports whether the process has not ended yet. A paused process runs.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Wait waits until the process has ended. The error is that of exec.Cmd.Wait: nil after exit status 0.
func (p *Process) Wait() error {
	<-p.done
	return p.err
}

// Signal sends a signal to the process and to those that it started. It is not an error if the process has
// ended.
func (p *Process) Signal(signal syscall.Signal) error {
	if !p.Running() {
		return nil
	}
	if err := syscall.Kill(-p.Pid(), signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("send %v to %s: %w", signal, p.name, err)
	}
	return nil
}

// Stop ends the process by SIGTERM, and by SIGKILL when it takes longer than 10 s; neither is an error. It returns when
// the process has ended.
func (p *Process) Stop() error {
	// A paused process would not see the first signal before the second.
	if err := errors.Join(p.Signal(syscall.SIGTERM), p.Signal(syscall.SIGCONT)); err != nil {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(stopGrace):
		return p.Kill()
	}
}

// Kill ends the process by SIGKILL and returns when it has ended.
func (p *Process) Kill() error {
	if err := p.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.done
	return nil
}

// Pause stops the process from running without closing anything: its peers see a server that does not answer.
func (p *Process) Pause() error { return p.Signal(syscall.SIGSTOP) }

// Resume continues a paused process.
func (p *Process) Resume() error { return p.Signal(syscall.SIGCONT) }

// Log returns all that the process, and its predecessors of the same name and directory, wrote so far.
func (p *Process) Log() (string, error) {
	log, err := os.ReadFile(p.logPath)
	if err != nil {
		return "", fmt.Errorf("read the log of %s: %w", p.name, err)
	}
	return string(log), nil
}

// LogOnFailure prints the last lines of the log when the test has failed so far.
func (p *Process) LogOnFailure(t testing.TB) {
	t.Helper()
	if t.Failed() {
		t.Log(p.tail())
	}
}

// tail describes the end of the log for people; it has no error, since it is used where one is reported already.
func (p *Process) tail() string {
	log, err := os.ReadFile(p.logPath)
	if err != nil {
		return fmt.Sprintf("no log of %s: %v", p.name, err)
	}
	lines := bytes.Split(bytes.TrimSpace(log), []byte("\n"))
	lines = lines[max(0, len(lines)-logLines):]
	return fmt.Sprintf("end of the log of %s:\n%s", p.name, bytes.Join(lines, []byte("\n")))
}
