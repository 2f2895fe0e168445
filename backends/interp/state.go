package interp

import "quern/ir/tensor"

// State is the memory of runs one after the other. It is used by one goroutine at a time.
type State struct {
	m    *Interp
	plan *plan
	mem  *memory
	out  []*tensor.T
}

// NewState is a State for inputs of any sizes.
func (m *Interp) NewState() *State { return &State{m: m, out: make([]*tensor.T, len(m.outputs))} }

// Run is as of Interp, but the results are the state's own memory or that of the inputs, overwritten by the next Run.
func (s *State) Run(in []*tensor.T) ([]*tensor.T, error) {
	p, err := s.m.planFor(in)
	if err != nil {
		return nil, err
	}
	if p != s.plan {
		s.plan, s.mem = p, p.newMemory(nil)
		s.mem.again = true
	}
	if err := s.m.run(p, s.mem, in, nil); err != nil {
		return nil, err
	}
	for i, k := range s.m.outputs {
		s.out[i] = s.mem.env[k]
	}
	return s.out, nil
}
