package kernels

import "unsafe"

// rests are what the runs of windows leave after whole steps of 4 bytes, brought together so that those of several runs are one step: windows
// of 3 by 3 pixels of 3 bytes take 7 steps instead of 9. They are planes: where the image has a pixel, a plane has the rests of runs of its
// window, one behind the other. It is immutable.
type rests struct {
	planes []restPlane
	bands  []restBand
	tiles  int // of a band
	chunk  int // bytes of a plane that are made at a time: whole pixels
	size   int // bytes of a plane
}

// restRuns is the number of runs that a step can have something of.
const restRuns = 4

// restPlane says where a register of a plane comes from: distances in the image, and which bytes.
type restPlane struct {
	from [restRuns]int64
	mask [restRuns]uint64
}

// restBand is a part of the image.
type restBand struct{ from, chunks int }

// restArgs is what the kernel of gen/convrest.go takes.
type restArgs struct {
	x, dst, plane unsafe.Pointer
	chunks, chunk int
}

// dotRests are a part of dotArgs: planes, so many bytes apart, for pixels of an image that begins at x.
type dotRests struct {
	rest, x       unsafe.Pointer
	planes, apart int
}

// ConvSteps is the number of steps of windows of so many runs, for a RequantConv of pixels that lie so many bytes apart.
func ConvSteps(level Level, size, runs, run, pixel int) int {
	if n := restSteps(level, size, runs, run, pixel); n > 0 {
		return run/4*runs + n
	}
	return (run + 3) / 4 * runs
}

// restSteps is the number of steps that rests are, or 0 where they stay in their runs: where they are not fewer, would overlap in a plane, or
// planes cost more than the steps.
func restSteps(level Level, size, runs, run, pixel int) int {
	left := run % 4
	if level != AVX512 || size > 1 || run < 4 || left == 0 || pixel < min(4/left, runs)*left {
		return 0
	}
	n := (runs + 4/left - 1) / (4 / left)
	const time = 10 // cycles of a register of a plane, if every other row of it is in vain
	if (runs-n)*64 < time*pixel*n {
		return 0
	}
	return n
}

// cachedRests is the number of bytes that planes have, unless rows of the image are longer: they stay in the first-level cache.
const cachedRests = 1 << 12

// newRests is nil where rests stay in their runs.
func (c *Conv[X]) newRests(ow int) *rests {
	run, pixel := int(c.run), int(c.pixels[1]-c.pixels[0])
	steps := restSteps(c.level, int(unsafe.Sizeof(X(0))), len(c.off), run, pixel)
	if steps == 0 {
		return nil
	}
	r := &rests{chunk: 64 / pixel * pixel, planes: make([]restPlane, steps)}
	left := run % 4
	for i, off := range c.off {
		p, i := &r.planes[i/(4/left)], i%(4/left)
		p.from[i] = off + int64(run-left-i*left)
		for at := i * left; at < r.chunk; at += pixel {
			p.mask[i] |= (1<<left - 1) << at
		}
	}
	row := pixel * ow
	if len(c.pixels) > ow {
		row = int(c.pixels[ow] - c.pixels[0])
	}
	n := max(cachedRests/(steps*row), 1) * ow
	r.tiles = n / c.tile
	for first := 0; first < len(c.pixels); first += n {
		band := c.pixels[first:min(first+n, len(c.pixels))]
		b := restBand{from: int(band[0])}
		for _, p := range band {
			if at := int(p) - b.from; at < 0 || at%pixel > 0 {
				return nil
			}
			b.chunks = max(b.chunks, (int(p)-b.from)/r.chunk+1)
		}
		r.size = max(r.size, (b.chunks*r.chunk+64)&^3)
		r.bands = append(r.bands, b)
	}
	return r
}

// write makes the planes of a band of the image x.
func (r *rests) write(band int, x unsafe.Pointer, scratch []int32) dotRests {
	scratch = scratch[:r.scratch()]
	b := &r.bands[band]
	x = unsafe.Add(x, b.from)
	for i := range r.planes {
		a := restArgs{x: x, dst: unsafe.Pointer(&scratch[i*r.size/4]), plane: unsafe.Pointer(&r.planes[i]), chunks: b.chunks, chunk: r.chunk}
		restKernel.call(unsafe.Pointer(&a))
	}
	return dotRests{rest: unsafe.Pointer(&scratch[0]), x: x, planes: len(r.planes), apart: r.size}
}

func (r *rests) scratch() int { return len(r.planes) * r.size / 4 }

// pack brings weights of a part with so many blocks into the order of steps with rests.
func (r *rests) pack(w []byte, blocks, runs, run int) []byte {
	step := blocks * 64
	whole, left := run/4*step, run%4
	packed := make([]byte, 0, runs*whole+len(r.planes)*step)
	for i := range runs {
		packed = append(packed, w[i*(whole+step):][:whole]...)
	}
	ends := packed[len(packed):cap(packed)]
	for i := range runs {
		to, from := ends[i/(4/left)*step:][:step], w[i*(whole+step)+whole:][:step]
		for lane := 0; lane < step; lane += 4 {
			copy(to[lane+i%(4/left)*left:], from[lane:][:left])
		}
	}
	return packed[:cap(packed)]
}
