package kernels

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestTable(t *testing.T) {
	for _, l := range Levels() {
		for seed := range uint64(200) {
			r := rand.New(rand.NewPCG(seed, 23))
			testTable[uint8, uint8](t, l, r, r.IntN(256), 256)
			testTable[uint8, int16](t, l, r, r.IntN(256), 256)
			testTable[uint8, int64](t, l, r, r.IntN(256), 256)
			testTable[int16, uint8](t, l, r, r.IntN(1<<16)-1<<15, 1<<15)
			testTable[int16, int16](t, l, r, r.IntN(1<<16)-1<<15, 1<<15)
			testTable[int16, int64](t, l, r, r.IntN(1<<16)-1<<15, 1<<15)
		}
	}
}

func testTable[X uint8 | int16, Y uint8 | int16 | int64](t *testing.T, l Level, r *rand.Rand, first, end int) {
	t.Helper()
	table := make([]Y, 1+r.IntN(end-first))
	for i := range table {
		table[i] = Y(r.Uint64())
	}
	x := make([]X, r.IntN(300))
	want := make([]Y, len(x))
	for i := range x {
		j := r.IntN(len(table))
		x[i], want[i] = X(first+j), table[j]
	}
	q := NewTable(l, X(first), table)
	got := make([]Y, len(x)+1)
	got[len(x)] = 77
	q.Run(got[:len(x)], x)
	if !slices.Equal(got[:len(x)], want) || got[len(x)] != 77 {
		t.Fatalf("%v: %d elements by a table of %d from %d on: got %v, want %v", l, len(x), len(table), first, got, want)
	}
	if same, ok := any(x).([]Y); ok {
		q.Run(same, x)
		if !slices.Equal(same, want) {
			t.Fatalf("%v: %d elements in place: got %v, want %v", l, len(x), same, want)
		}
	}
}

func TestPairTable(t *testing.T) {
	var table [256]uint8
	for _, l := range native() {
		q := NewPairTable(l, &table)
		if q == nil {
			continue // no VBMI
		}
		for seed := range uint64(200) {
			r := rand.New(rand.NewPCG(seed, 29))
			for i := range table {
				table[i] = uint8(r.Uint32())
			}
			p := Runs{N: r.IntN(300), Rows: 1 + r.IntN(3)}
			p.A, p.B, p.Dst = p.N+r.IntN(9), p.N+r.IntN(9), p.N+1+r.IntN(9)
			x, y, got := make([]uint8, p.Rows*p.A), make([]uint8, p.Rows*p.B), make([]uint8, p.Rows*p.Dst)
			for _, v := range [][]uint8{x, y, got} {
				for i := range v {
					v[i] = uint8(r.Uint32())
				}
			}
			want := slices.Clone(got)
			for row := range p.Rows {
				for i := range p.N {
					want[row*p.Dst+i] = table[x[row*p.A+i]%16*16+y[row*p.B+i]%16]
				}
			}
			if q.Run(got, x, y, p); !slices.Equal(got, want) {
				t.Fatalf("%v seed %d: %+v: got %v, want %v", l, seed, p, got, want)
			}
		}
	}
}

func BenchmarkTable(b *testing.B) {
	t, x := make([]uint8, 256), make([]uint8, 4096)
	b.SetBytes(int64(len(x)))
	for _, l := range Levels() {
		b.Run(l.String(), func(b *testing.B) {
			q := NewTable[uint8](l, 0, t)
			for b.Loop() {
				q.Run(x, x)
			}
		})
	}
}
