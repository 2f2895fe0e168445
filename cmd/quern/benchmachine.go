package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"quern/backends/kernels"
)

// machine is where figures were measured.
type machine struct {
	CPU        string `json:"cpu"` // as the system calls it; "" where it does not say
	Cores      int    `json:"cores"`
	OS         string `json:"os"`
	Arch       string `json:"arch"`
	Kernels    string `json:"kernels"` // instruction set of the native kernels: see QUERN_CPU
	Go         string `json:"go"`
	Quern      string `json:"quern"`
	LoadBefore string `json:"load_before"` // runnable tasks, mean of a minute (Linux)
	LoadAfter  string `json:"load_after"`
}

func thisMachine(level kernels.Level) machine {
	cpu, _ := procField("/proc/cpuinfo", "model name")
	return machine{CPU: cpu, Cores: runtime.GOMAXPROCS(0), OS: runtime.GOOS, Arch: runtime.GOARCH, Kernels: level.String(), Go: runtime.Version(), Quern: version, LoadBefore: load()}
}

// procField is the value of a line "name : value" of one of Linux' files; false if there is none.
func procField(file, name string) (string, bool) {
	f, err := os.Open(file)
	if err != nil {
		return "", false
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if k, v, ok := strings.Cut(s.Text(), ":"); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v), true
		}
	}
	return "", false
}

func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	return strings.Fields(string(b))[0]
}

// peakMemory is the most memory that the process ever had: resident, as Linux says, or else what Go took from the system.
func peakMemory() int64 {
	var kb int64
	if v, ok := procField("/proc/self/status", "VmHWM"); ok {
		if _, err := fmt.Sscanf(v, "%d kB", &kb); err == nil {
			return kb << 10
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.Sys)
}

// peak is the rate of the best inner product on data of the first-level cache: what layers are measured against.
type peak struct {
	Bits   int    `json:"bits"` // of elements and weights, at most
	Kernel string `json:"kernel"`
	GOPS   spread `json:"gops"`

	call func()
	ops  float64 // of a call
}

const (
	peakPixels, peakChannels = 64, 32
	peakBytes                = 256 // of a window: 16 KB of elements, 8 KB of weights, 8 KB of sums
)

// newPeaks are the kernels that the simulator has for narrow integers on this CPU.
func newPeaks(level kernels.Level) ([]*peak, error) {
	var r []*peak
	if level == kernels.AVX512 {
		p, err := nativePeak[uint8](level, 8)
		if err != nil {
			return nil, err
		}
		r = append(r, p)
	}
	if level != kernels.Generic {
		p, err := nativePeak[int16](level, 16)
		return append(r, p), err
	}
	w, bias := peakWeights(peakBytes)
	x := make([]uint8, peakPixels*peakBytes)
	acc := make([]int64, peakPixels*peakChannels)
	d := kernels.NewDot[uint8](kernels.Window{Off: []int{0}, Run: peakBytes, Step: peakBytes}, w, bias, 21)
	return append(r, &peak{Bits: 8, Kernel: "8 bits, portable Go", ops: 2 * peakPixels * peakBytes * peakChannels,
		call: func() { kernels.DotRow(d, acc, peakChannels, x, peakPixels) }}), nil
}

func nativePeak[X uint8 | int16](level kernels.Level, bits int) (*peak, error) {
	run := peakBytes * 8 / bits
	w, bias := peakWeights(run)
	var pixels []int
	for i := range peakPixels {
		pixels = append(pixels, i*run)
	}
	c, err := kernels.NewConv[X](level, pixels, []int{0}, run, w, bias)
	if err != nil {
		return nil, err
	}
	x := make([]X, peakPixels*run+kernels.Slack)
	acc := make([]int32, peakPixels*c.Width())
	return &peak{Bits: bits, Kernel: fmt.Sprintf("%d bits, %v", bits, level), ops: 2 * float64(peakPixels*run*peakChannels), call: func() { c.Run(acc, x, 0, peakPixels) }}, nil
}

func peakWeights(run int) ([]int32, []int64) {
	w := make([]int32, peakChannels*run)
	for i := range w {
		w[i] = int32(i%255) - 127
	}
	return w, make([]int64, peakChannels)
}

// rate is GOP/s over a duration, of the best hundredth of a second: a peak is what undisturbed code reaches.
func (p *peak) rate(seconds float64) float64 {
	best := 0.0
	for end := time.Now().Add(time.Duration(seconds * 1e9)); ; {
		n, start := 0, time.Now()
		for time.Since(start) < min(10*time.Millisecond, time.Duration(seconds*1e9)) {
			for range 16 {
				p.call()
			}
			n += 16
		}
		now := time.Now()
		best = max(best, p.ops*float64(n)/float64(now.Sub(start).Nanoseconds()))
		if !now.Before(end) {
			return best
		}
	}
}
