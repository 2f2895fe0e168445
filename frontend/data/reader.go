package data

// Reader gives the samples of a dataset as a model takes them, the bits of
// [Preprocess.Apply]. Bytes go through tables that Apply made, since a byte of a
// channel is one of 256 numbers. A Reader is safe for concurrent use.
type Reader struct {
	d *Dataset
	p Preprocess

	planes int            // channels of a sample: axis 0 of its shape
	tables [][256]float32 // of bytes, one for each channel or one for all; nil for F32
}

// NewReader prepares for a dataset a Preprocess that Check takes for the
// channels of its samples.
func NewReader(d *Dataset, p Preprocess) *Reader {
	r := &Reader{d: d, p: p, planes: 1}
	if len(d.Shape) > 0 {
		r.planes = d.Shape[0]
	}
	if d.U8 == nil {
		return r
	}
	n := max(1, len(p.Mean), len(p.Std))
	raw, real := make([]float32, 256*n), make([]float32, 256*n)
	for i := range raw {
		raw[i] = float32(i % 256)
	}
	p.Apply(real, raw, []int{n, 256})
	r.tables = make([][256]float32, n)
	for c := range r.tables {
		copy(r.tables[c][:], real[256*c:])
	}
	return r
}

// Len is the number of samples.
func (r *Reader) Len() int { return r.d.Len() }

// Size is the number of values of a sample.
func (r *Reader) Size() int { return r.d.sampleSize() }

// Sample is sample i in memory of its own.
func (r *Reader) Sample(i int) []float32 {
	x := make([]float32, r.Size())
	r.Read(x, i)
	return x
}

// Read writes sample i to dst, which has Size values.
func (r *Reader) Read(dst []float32, i int) {
	size := r.Size()
	dst = dst[:size]
	if r.tables == nil {
		r.p.Apply(dst, r.d.F32[i*size:(i+1)*size], r.d.Shape)
		return
	}
	raw := r.d.U8[i*size : (i+1)*size]
	plane, interleaved := size/r.planes, r.p.interleaves(r.d.Shape)
	for c := range r.planes {
		t, raw := &r.tables[c%len(r.tables)], raw[c*plane:(c+1)*plane]
		if interleaved {
			to := c
			for _, v := range raw {
				dst[to] = t[v]
				to += r.planes
			}
			continue
		}
		to := dst[c*plane:][:len(raw)]
		for j, v := range raw {
			to[j] = t[v]
		}
	}
}

// Bytes is what the samples are before preprocessing, for those who can do that
// themselves.
type Bytes struct {
	Planes      int            // equal parts of a sample, one for each channel
	Tables      [][256]float32 // what a byte becomes: one for each plane, or one for all
	Interleaved bool           // in the model's input the planes' elements take turns; else its order is theirs

	samples []uint8
	size    int
}

// Sample is sample i, in the dataset's own memory.
func (b *Bytes) Sample(i int) []uint8 { return b.samples[i*b.size:][:b.size:b.size] }

// Bytes is nil if samples are not bytes.
func (r *Reader) Bytes() *Bytes {
	if r.tables == nil {
		return nil
	}
	return &Bytes{r.planes, r.tables, r.p.interleaves(r.d.Shape), r.d.U8, r.Size()}
}
