package kernels

// fieldIn is the definition of the input's transform, for a tile of 6 by 6 pixels and its first channels.
func fieldIn(v []float32, plane int, x []float32, row, pixel, channels int) {
	for c := range channels {
		var cols [6][6]float32
		for i := range 6 {
			var d [6]float32
			for j := range 6 {
				d[j] = x[j*row+i*pixel+c]
			}
			cols[i] = transformIn(d)
		}
		for j := range 6 {
			for i, r := range transformIn([6]float32{cols[0][j], cols[1][j], cols[2][j], cols[3][j], cols[4][j], cols[5][j]}) {
				v[(6*j+i)*plane+c] = r
			}
		}
	}
}

// transformIn are the values of a tile's row or column at the points. Conversions forbid fused multiplications.
func transformIn(d [6]float32) (r [6]float32) {
	const a, b, a2, b2 = float32(pointA), float32(pointB), float32(pointA * pointA), float32(pointB * pointB)
	ends := func(x, y, z float32) float32 { return (z - float32((a2+b2)*y)) + float32(a2*b2*x) }
	two := func(p, q2 float32) (float32, float32) {
		even, odd := d[4]-float32(q2*d[2]), float32(p*(d[3]-float32(q2*d[1])))
		return even + odd, even - odd
	}
	r[0], r[5] = ends(d[0], d[2], d[4]), ends(d[1], d[3], d[5])
	r[1], r[2] = two(a, b2)
	r[3], r[4] = two(b, a2)
	return r
}

// transformOut are the results of a row or column of sums.
func transformOut(m [6]float32) [4]float32 {
	const a, b, a2, b2, a3, b3 = float32(pointA), float32(pointB), float32(pointA * pointA), float32(pointB * pointB), float32(pointA * pointA * pointA),
		float32(pointB * pointB * pointB)
	p, q, s, t := m[1]+m[2], m[3]+m[4], m[1]-m[2], m[3]-m[4]
	return [4]float32{(m[0] + p) + q, float32(a*s) + float32(b*t), float32(a2*p) + float32(b2*q), (float32(a3*s) + float32(b3*t)) + m[5]}
}

// portableOut is the definition of output for a tile.
func (q *fieldWinograd) portableOut(s *winogradScratch, p *floatPart, y, add []float32, tile, at int, relu bool) {
	width := len(p.w) / positions / q.C
	for l := range min(width, q.out.Step-p.channel) {
		var cols [6][4]float32
		for i := range 6 {
			var m [6]float32
			for j := range 6 {
				m[j] = s.m[(at*positions+6*j+i)*width+l]
			}
			cols[i] = transformOut(m)
		}
		for j := range 4 {
			for i, r := range transformOut([6]float32{cols[0][j], cols[1][j], cols[2][j], cols[3][j], cols[4][j], cols[5][j]}) {
				s.patch[(4*j+i)*q.out.Step+l] = r + q.bias[p.channel+l]
			}
		}
	}
	q.part(y, add, s.patch, p, tile, relu)
}
