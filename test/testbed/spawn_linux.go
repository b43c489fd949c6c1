package testbed

import "syscall"

// childAttributes give a child a process group, so that it is stopped together with its own children, and have the
// kernel kill it when this process dies, however it dies.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
