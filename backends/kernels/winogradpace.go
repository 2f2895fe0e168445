package kernels

import "unsafe"

// winogradPace is what the estimate of pays counts with on CPUs of a level.
type winogradPace struct {
	multiplications int    // of registers in a cycle
	elements        [2]int // by stride: cycles that the transform of a tile of elements takes for a register of channels
	products        [3]int // by way: cycles that it takes back
	far             int    // bytes in a cycle of weights that are more than core
}

// core is the bytes of weights that are not waited for, about a second-level cache: in ResNet-8, 32 to 64 channels with a stride of 2 and
// 0.3 MB of weights were 1.35 times as fast as a Conv on a Zen 3.
const core = 512 << 10

// direct is how many cycles a Conv takes: see pays.
func (r *Winograd[X]) direct() int {
	step, lanes := 4/int(unsafe.Sizeof(X(0))), 2*r.k.lanes
	return r.oh * r.ow * 3 * ((3*r.c + step - 1) / step) * ((r.oc + lanes - 1) / lanes) / r.k.winograd.pace.multiplications
}

// pays tells whether Winograd takes fewer cycles than given.
//
// With AVX2 the estimate is of a Zen 3. There, 3 channels to 16 were 0.76 times as fast, 16 to 16 and 64 to 64 three times. With a stride of
// 2, where stores were counted, 8 to 16 were 0.72 times as fast, 16 to 16 1.26 times, 16 to 32 1.4 and 32 to 64 1.57 times. Weights that
// are more than core come from memory at 6 bytes in a cycle or more: 1.8 MB of them for four tiles took 1.4 times as long as a Conv at
// worst, and 0.7 times as long when they were in a cache.
//
// With AVX-512 it is of a Zen 4, within a tenth of what was measured for 8 to 128 channels and images of 4x4 to 32x32; 4.7 MB of weights for
// four tiles did not wait. A Conv takes four bytes to a lane there, so 8 to 16 channels were as fast, 12 to 16 1.17 times, 16 to 16 1.3 times,
// 32 to 16 1.4 times; with a stride of 2, 32 to 64 were 0.76 times as fast.
func (r *Winograd[X]) pays(direct int) bool {
	pace := &r.k.winograd.pace
	rows := (r.oh + winogradOut - 1) / winogradOut
	all := rows / r.group * r.form.groups(r.group*r.strip)
	all += r.form.groups(rows % r.group * r.strip)
	steps := 0
	for _, s := range r.runs {
		steps += s.points * r.steps(s.terms)
	}
	products := all * r.form.tiles * 2 * steps * r.columns * r.form.blocks / pace.multiplications
	lanes := 2 * r.k.lanes
	transforms := rows * r.strip * (pace.elements[r.stride-1]*r.width/(2*lanes) + pace.products[r.way()]*r.Width()/lanes)
	weights := steps * 2 * r.Width() * 4 // bytes
	if r.parts*weights <= core {
		weights = 0
	}
	return r.parts*(max(products, weights/pace.far)+transforms) < direct
}
