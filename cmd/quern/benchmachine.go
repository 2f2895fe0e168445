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

// newPeaks are the kernels of a backend on this CPU: those of the simulator for narrow integers, that of the interpreter for float32.
func newPeaks(backend string, level kernels.Level) ([]*peak, error) {
	var r []*peak
	if backend != "sim" {
		const channels = peakBytes / 4
		g := kernels.FloatGeometry{Groups: 1, C: channels, H: 1, W: peakPixels, OC: peakChannels, OH: 1, OW: peakPixels, KH: 1, KW: 1, SH: 1, SW: 1, DH: 1, DW: 1}
		f := kernels.NewFloatConv(level, g, make([]float32, peakChannels*channels), nil)
		x, y := make([]float32, channels*peakPixels), make([]float32, peakChannels*peakPixels)
		return append(r, &peak{Bits: 32, Kernel: fmt.Sprintf("float32, %v, products rounded before they are added", level), ops: 2 * peakPixels * channels * peakChannels,
			call: func() { f.Run(y, x) }}), nil
	}
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

// peakSpan is long for the clock, and short beside the time for which the system lets other programs run.
const peakSpan = 100 * time.Microsecond

// rate is the greatest rate within a duration, over spans of peakSpan, in GOP/s: a peak is what undisturbed code reaches.
func (p *peak) rate(seconds float64) float64 {
	best := 0.0
	for end := time.Now().Add(time.Duration(seconds * 1e9)); ; {
		n, start := 0, time.Now()
		now := start
		for now.Sub(start) < peakSpan {
			for range 8 {
				p.call()
			}
			n += 8
			now = time.Now()
		}
		best = max(best, p.ops*float64(n)/float64(now.Sub(start).Nanoseconds()))
		if !now.Before(end) {
			return best
		}
	}
}
