package onnx

import (
	"container/heap"
	"fmt"
	"slices"
	"strings"

	"quern/frontend/onnx/onnxpb"
	"quern/ir"
)

// sortNodes gives the indices of the nodes in topological order. A file that is sorted keeps its order, and else a node comes as early
// as its inputs and its place in the file allow. A cycle is an error that names the nodes on it.
func sortNodes(p *onnxpb.GraphProto, file string) ([]int, error) {
	maker := map[string]int{}
	for i, n := range p.Node {
		for _, o := range n.Output {
			if _, twice := maker[o]; o != "" && !twice {
				maker[o] = i
			}
		}
	}
	wait := make([]int, len(p.Node)) // inputs not yet made
	readers := make([][]int, len(p.Node))
	for i, n := range p.Node {
		for _, in := range n.Input {
			if m, ok := maker[in]; ok {
				wait[i]++
				readers[m] = append(readers[m], i)
			}
		}
	}
	var ready indexHeap
	for i, w := range wait {
		if w == 0 {
			ready = append(ready, i) // ascending, so it is a heap
		}
	}
	var order []int
	for len(ready) > 0 {
		i := heap.Pop(&ready).(int)
		order = append(order, i)
		for _, r := range readers[i] {
			if wait[r]--; wait[r] == 0 {
				heap.Push(&ready, r)
			}
		}
	}
	if len(order) == len(p.Node) {
		return order, nil
	}
	return nil, cycleError(p, file, maker, wait)
}

// cycleError walks from a node that never became ready along inputs that were never made until it comes round.
func cycleError(p *onnxpb.GraphProto, file string, maker map[string]int, wait []int) error {
	at := slices.IndexFunc(wait, func(w int) bool { return w > 0 })
	var path []int
	for !slices.Contains(path, at) {
		path = append(path, at)
		for _, in := range p.Node[at].Input {
			if m, ok := maker[in]; ok && wait[m] > 0 {
				at = m
				break
			}
		}
	}
	path = path[slices.Index(path, at):]
	slices.Reverse(path) // the walk went upstream
	const most = 10
	var s []string
	for k, i := range path {
		if k == most {
			s = append(s, fmt.Sprintf("%d more", len(path)-most))
			break
		}
		n := p.Node[i]
		s = append(s, fmt.Sprintf("%d %q (%s)", i, n.GetName(), n.GetOpType()))
	}
	first := p.Node[path[0]]
	return &ir.Error{
		Pos: ir.Pos{File: file, Node: path[0], Name: first.GetName()},
		Op:  first.GetOpType(),
		Err: fmt.Errorf("nodes depend on each other in a cycle: %s", strings.Join(s, ", ")),
	}
}

type indexHeap []int

func (h indexHeap) Len() int           { return len(h) }
func (h indexHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h indexHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *indexHeap) Push(x any)        { *h = append(*h, x.(int)) }
func (h *indexHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}
