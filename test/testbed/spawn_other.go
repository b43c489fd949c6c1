//go:build unix && !linux

package testbed

import "syscall"

// childAttributes give a child a process group, so that it is stopped together with its own children. Only Linux can
// bind its life to this process: elsewhere a killed test leaves its servers running.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
