package quant

// maxSweeps bounds coordinate descent; it ends when a sweep changes nothing, which takes fewer as a rule.
const maxSweeps = 20

// descend changes one integer at a time to the one that is best given all others, until none is left to change: the error never grows.
func (o *objective) descend(q, w []float64, s, top float64) {
	k := o.k
	grad := make([]float64, k) // H (s q - w)
	for i := range grad {
		d := s*q[i] - w[i]
		if d == 0 {
			continue
		}
		for j, h := range o.h[i*k : (i+1)*k] {
			grad[j] += d * h
		}
	}
	for range maxSweeps {
		changed := false
		for _, i := range o.perm {
			h := o.h[i*k : (i+1)*k]
			to := clampRound(q[i]-grad[i]/(s*h[i]), top)
			d := s * (to - q[i])
			// A tie may round either way, and back again: what gains nothing stays.
			if to == q[i] || !(d*(2*grad[i]+d*h[i]) < -1e-12*h[i]*s*s) {
				continue
			}
			q[i] = to
			for j, x := range h {
				grad[j] += d * x
			}
			changed = true
		}
		if !changed {
			return
		}
	}
}

// fit are numerator and denominator of the scale that is best for the integers q of a row: q'Hw / q'Hq.
func (o *objective) fit(q, w []float64) (num, den float64) {
	for i, x := range q {
		if x == 0 {
			continue
		}
		h := o.h[i*o.k : (i+1)*o.k]
		num += x * dot(h, w)
		den += x * dot(h, q)
	}
	return num, den
}
