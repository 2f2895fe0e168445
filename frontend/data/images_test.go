package data

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"slices"
	"testing"
)

// pngOf encodes an image of one colour.
func pngOf(w, h int, c color.Color) string {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.Set(x, y, c)
		}
	}
	return encodePNG(m)
}

func encodePNG(m image.Image) string {
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		panic(err)
	}
	return b.String()
}

// hugePNG is a tiny PNG whose header claims 60000x60000 pixels.
func hugePNG(w, h uint32) string {
	b := []byte(pngOf(1, 1, color.White))
	binary.BigEndian.PutUint32(b[16:], w)
	binary.BigEndian.PutUint32(b[20:], h)
	binary.BigEndian.PutUint32(b[29:], crc32.ChecksumIEEE(b[12:29]))
	return string(b)
}

func TestOpenImages(t *testing.T) {
	red := color.NRGBA{R: 200, G: 10, B: 30, A: 255}
	blue := color.NRGBA{R: 5, B: 250, A: 255}
	clear := color.NRGBA{R: 77, A: 0} // the colour survives full transparency
	var jpg bytes.Buffer
	if err := jpeg.Encode(&jpg, image.NewGray(image.Rect(0, 0, 2, 2)), nil); err != nil {
		t.Fatal(err)
	}
	two := map[string]string{
		"c/cat/b.png":      pngOf(2, 2, blue),
		"c/cat/a.PNG":      pngOf(2, 2, red),
		"c/ant/x.jpg":      jpg.String(),
		"c/dog/y.jpeg":     pngOf(2, 2, clear), // by content, not by name
		"c/cat/._a.png":    "left by macOS",
		"c/cat/notes.txt":  "text",
		"c/.git/x.png":     "hidden",
		"c/list.txt":       "text",
		"c/__MACOSX/q.png": "left by macOS",
	}
	labels, first := []int{0, 1, 1, 2}, []float32{0, 200, 5, 77}
	one := func(content string) map[string]string { return map[string]string{"c/a/1.png": content} }
	sizes := map[string]string{"c/a/1.png": pngOf(2, 3, red), "c/b/2.png": pngOf(3, 2, red)}
	runOpen(t, []openCase{
		{name: "class folders", files: two, path: "c", shape: []int{3, 2, 2}, labels: labels, first: first},
		{name: "gray", files: two, path: "c", opts: Options{Gray: true}, shape: []int{1, 2, 2}, labels: labels,
			first: []float32{0, 69, 30, 23}}, // 0.299 R + 0.587 G + 0.114 B
		{name: "resize", files: sizes, path: "c", opts: Options{Size: [2]int{4, 5}}, shape: []int{3, 4, 5}, labels: []int{0, 1}, first: []float32{200, 200}},
		{name: "resize gray", files: sizes, path: "c", opts: Options{Size: [2]int{1, 1}, Gray: true}, shape: []int{1, 1, 1}, labels: []int{0, 1}, first: []float32{69, 69}},

		{name: "sizes", files: sizes, path: "c", err: "DIR/c/b/2.png: 2x3 pixels (height x width), but DIR/c/a/1.png has 3x2: want one size, or a size to resize to"},
		{name: "unreadable", files: one("hello"), path: "c", err: "DIR/c/a/1.png: cannot read as PNG or JPEG: image: unknown format"},
		{name: "empty", files: one(""), path: "c", err: "DIR/c/a/1.png: cannot read as PNG or JPEG: image: unknown format"},
		{name: "truncated", files: one(pngOf(9, 9, red)[:60]), path: "c", err: "DIR/c/a/1.png: cannot read as PNG or JPEG: png: invalid format: unexpected EOF"},
		{name: "claims 10 GB", files: one(hugePNG(60000, 60000)), path: "c", err: "DIR/c/a/1.png: header says 60000x60000 pixels (height x width), more than 73 bytes can hold or 67108864 can be read"},
		{name: "claims 100 MB", files: one(hugePNG(5000, 5000)), path: "c", err: "DIR/c/a/1.png: header says 5000x5000 pixels (height x width), more than 73 bytes can hold or 67108864 can be read"},
		{name: "class without images", files: map[string]string{"c/a/1.png": pngOf(1, 1, red), "c/b/x.txt": ""}, path: "c", err: "DIR/c/b: a class folder without PNG or JPEG images"},
		{name: "folder named like an image", files: map[string]string{"c/a/1.png/": ""}, path: "c", err: "DIR/c/a/1.png: not a regular file"},
	})
	d, err := Open(write(t, two)+"/c", Options{})
	if err != nil || !slices.Equal(d.Classes, []string{"ant", "cat", "dog"}) {
		t.Errorf("classes %v, %v", d.Classes, err)
	}
}

// Every model that the decoders give comes out as planes of the same bytes.
func TestImagePlanes(t *testing.T) {
	box := image.Rect(0, 0, 2, 1)
	pal := image.NewPaletted(box, color.Palette{color.NRGBA{1, 2, 3, 255}, color.NRGBA{4, 5, 6, 255}})
	pal.SetColorIndex(1, 0, 1)
	seethrough := image.NewPaletted(box, color.Palette{color.NRGBA{1, 2, 3, 0}, color.NRGBA{4, 5, 6, 9}})
	seethrough.SetColorIndex(1, 0, 1)
	deep := image.NewNRGBA64(box)
	deep.SetNRGBA64(0, 0, color.NRGBA64{0x01ff, 0x0200, 0x0300, 0xffff})
	deep.SetNRGBA64(1, 0, color.NRGBA64{0x0400, 0x0500, 0x06aa, 0x1000})
	gray := image.NewGray(box)
	gray.Pix = []byte{9, 255}
	gray16 := image.NewGray16(box)
	gray16.Pix = []byte{9, 200, 255, 0}
	// The luma of (1, 2, 3) is 1.8: color.GrayModel rounds down.
	for _, tc := range []struct {
		name      string
		m         image.Image
		rgb, luma []uint8
	}{
		{"paletted", pal, []uint8{1, 4, 2, 5, 3, 6}, []uint8{1, 4}},
		{"transparent palette", seethrough, []uint8{1, 4, 2, 5, 3, 6}, []uint8{1, 4}},
		{"16 bits", deep, []uint8{1, 4, 2, 5, 3, 6}, []uint8{1, 4}},
		{"gray", gray, []uint8{9, 255, 9, 255, 9, 255}, []uint8{9, 255}},
		{"gray 16 bits", gray16, []uint8{9, 255, 9, 255, 9, 255}, []uint8{9, 255}},
	} {
		for want, o := range map[*[]uint8]Options{&tc.rgb: {}, &tc.luma: {Gray: true}} {
			m, err := decodeImage([]byte(encodePNG(tc.m)), o)
			if err != nil {
				t.Fatal(err)
			}
			if got := appendPlanes(nil, m); !slices.Equal(got, *want) {
				t.Errorf("%s, %+v: %v, want %v", tc.name, o, got, *want)
			}
		}
	}
}
