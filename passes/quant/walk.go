package quant

import (
	"fmt"
	"iter"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"quern/ir"
	"quern/ir/tensor"
	"quern/passes/calib"
)

// maker makes a graph ready to run; backends/interp does it. A package under passes may not import it.
type maker = func(*ir.Graph) (calib.Runner, error)

// walk runs a graph over many samples a piece at a time, so that constants of nodes ahead may still change. Between pieces it keeps, for
// each sample, what nodes ahead read.
type walk struct {
	g    *ir.Graph
	make maker
	at   int                       // nodes before it have run
	live []map[*ir.Value]*tensor.T // by sample
	last map[*ir.Value]int         // the index of the node that reads a value last
}

// newWalk starts at the inputs. Results that only the caller of the model reads are not kept.
func newWalk(g *ir.Graph, mk maker, samples [][]*tensor.T) *walk {
	w := &walk{g: g, make: mk, last: map[*ir.Value]int{}}
	for i, n := range g.Nodes {
		for _, v := range n.In {
			if v != nil && v.Const == nil {
				w.last[v] = i
			}
		}
	}
	for _, s := range samples {
		m := map[*ir.Value]*tensor.T{}
		for i, v := range g.Inputs {
			m[v] = s[i]
		}
		w.live = append(w.live, m)
	}
	return w
}

// to runs all nodes before n, on all cores.
func (w *walk) to(n *ir.Node) error {
	end := slices.Index(w.g.Nodes, n)
	if end < 0 {
		return fmt.Errorf("%v is not in the graph", n.Pos)
	}
	if end <= w.at {
		return nil
	}
	g, in, out := w.piece(w.at, end)
	w.at = end
	r, err := w.make(g)
	if err != nil {
		return err
	}
	return parallel(len(w.live), func(i int) error {
		m := w.live[i]
		args := make([]*tensor.T, len(in))
		for j, v := range in {
			args[j] = m[v]
		}
		res, err := r.Run(args, nil)
		if err != nil {
			return fmt.Errorf("calibration sample %d: %w", i, err)
		}
		for _, v := range in {
			if w.last[v] < end {
				delete(m, v)
			}
		}
		for j, v := range out {
			m[v] = res[j]
		}
		return nil
	})
}

// piece is a graph of its own of the nodes from, ..., end-1 that later nodes need, with the values of w.g that its inputs and outputs are. Inputs are
// reals: what is quantized already is on its grid.
func (w *walk) piece(from, end int) (g *ir.Graph, in, out []*ir.Value) {
	need := map[*ir.Value]bool{}
	var nodes []*ir.Node
	for _, n := range slices.Backward(w.g.Nodes[from:end]) {
		if !slices.ContainsFunc(n.Out, func(v *ir.Value) bool { return need[v] || w.last[v] >= end }) {
			continue
		}
		nodes = append(nodes, n)
		for _, v := range n.In {
			need[v] = true
		}
	}
	slices.Reverse(nodes)
	m := map[*ir.Value]*ir.Value{}
	g = &ir.Graph{Name: w.g.Name}
	for _, n := range nodes {
		k := &ir.Node{Op: n.Op, Pos: n.Pos, In: make([]*ir.Value, len(n.In))}
		for i, v := range n.In {
			switch {
			case v == nil:
				continue
			case m[v] != nil:
			case v.Const != nil:
				m[v] = &ir.Value{Name: v.Name, Type: v.Type.Clone(), Const: v.Const}
			default:
				m[v] = &ir.Value{Name: v.Name, Type: v.Type.Real().Clone()}
				g.Inputs = append(g.Inputs, m[v])
				in = append(in, v)
			}
			k.In[i] = m[v]
		}
		for _, v := range n.Out {
			m[v] = &ir.Value{Name: v.Name, Type: v.Type.Clone(), Def: k}
			k.Out = append(k.Out, m[v])
			if w.last[v] >= end {
				g.Outputs = append(g.Outputs, m[v])
				out = append(out, v)
			}
		}
		g.Nodes = append(g.Nodes, k)
	}
	return g, in, out
}

// parallel calls f for 0, ..., n-1 on all cores. Of several errors it returns that of the least index that failed.
func parallel(n int, f func(i int) error) error {
	errs := make([]error, n)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if errs[i] = f(i); errs[i] != nil {
					next.Store(int64(n)) // samples handed out still finish
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// take is the first n of a sequence of samples.
func take(samples iter.Seq2[[]*tensor.T, error], n int) ([][]*tensor.T, error) {
	var r [][]*tensor.T
	for s, err := range samples {
		if err != nil {
			return nil, err
		}
		if len(r) == n {
			break
		}
		r = append(r, s)
	}
	return r, nil
}

// footprint is the most bytes that the walk keeps for one sample between two nodes.
func footprint(g *ir.Graph) int {
	last := newWalk(g, nil, nil).last
	size := func(v *ir.Value) int {
		n := 4
		for _, d := range v.Type.Shape {
			if d > 0 {
				n *= d
			}
		}
		return n
	}
	live, most := 0, 0
	for _, v := range g.Inputs {
		live += size(v)
	}
	for i, n := range g.Nodes {
		for _, v := range n.Out {
			if last[v] > i {
				live += size(v)
			}
		}
		most = max(most, live)
		for j, v := range n.In {
			if v != nil && v.Const == nil && last[v] == i && slices.Index(n.In, v) == j {
				live -= size(v)
			}
		}
	}
	return most
}
