//go:build unix

package main

import "golang.org/x/sys/unix"

// cpuSeconds is the time that this process has had on all cores; false where the system does not say.
func cpuSeconds() (float64, bool) {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0, false
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9, true
}
