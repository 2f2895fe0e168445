package data

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	stddraw "image/draw"
	_ "image/jpeg" // registers the format with image.Decode
	_ "image/png"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/image/draw"
)

// maxPixels bounds one image; maxPixelsPerByte is above what deflate can
// make of one byte of a 1-bit PNG (1032 bytes of 8 pixels). The image decoders
// take memory by the header, so it is compared with the file first.
const (
	maxPixels        = 1 << 26
	maxPixelsPerByte = 8300
)

// class is one class folder.
type class struct {
	name  string
	files []string // paths, sorted by name
}

func isImageName(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".png", ".jpg", ".jpeg":
		return !strings.HasPrefix(name, ".") // macOS leaves ._x.png beside x.png
	}
	return false
}

// findClasses lists the class folders, sorted by name (os.ReadDir sorts), and
// their images. Hidden folders and files of other kinds are passed over. Nil if
// no folder has an image; but one folder without images among others with is an
// error, as every label after it would be in doubt.
func findClasses(dir string, entries []os.DirEntry) ([]class, error) {
	var classes []class
	images, without := 0, ""
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if strings.HasPrefix(e.Name(), ".") || e.Name() == "__MACOSX" {
			continue
		}
		// Stat and not e.IsDir, for links to folders.
		if st, err := os.Stat(path); err != nil || !st.IsDir() {
			continue
		}
		sub, err := os.ReadDir(path)
		if err != nil {
			return nil, fileError(path, err)
		}
		c := class{name: e.Name()}
		for _, f := range sub {
			if isImageName(f.Name()) {
				c.files = append(c.files, filepath.Join(path, f.Name()))
			}
		}
		if len(c.files) == 0 && without == "" {
			without = path
		}
		images += len(c.files)
		classes = append(classes, c)
	}
	switch {
	case images == 0:
		return nil, nil
	case without != "":
		return nil, fmt.Errorf("%s: a class folder without PNG or JPEG images", without)
	}
	return classes, nil
}

// readImages reads all images, class after class. Without o.Size the first
// image sets the size that all must have.
func readImages(classes []class, o Options) (*Dataset, error) {
	d := &Dataset{}
	total := 0
	for _, c := range classes {
		d.Classes = append(d.Classes, c.name)
		total += len(c.files)
	}
	var first image.Point
	for label, c := range classes {
		for _, path := range c.files {
			m, err := readImage(path, o)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			size := m.Bounds().Size()
			if d.U8 == nil {
				first = size
				d.Shape = []int{channels(o), size.Y, size.X}
				n, err := elements(append([]int{total}, d.Shape...), 1)
				if err != nil {
					return nil, fmt.Errorf("%s: %d images like it: %w", path, total, err)
				}
				d.U8 = make([]uint8, 0, n)
			}
			if size != first {
				return nil, fmt.Errorf("%s: %dx%d pixels (height x width), but %s has %dx%d: want one size, or a size to resize to", path, size.Y, size.X, classes[0].files[0], first.Y, first.X)
			}
			d.U8 = appendPlanes(d.U8, m)
			d.Labels = append(d.Labels, label)
		}
	}
	return d, nil
}

func channels(o Options) int {
	if o.Gray {
		return 1
	}
	return 3
}

// readImage decodes a PNG or JPEG file, whatever its name says, to an *image.Gray
// or an opaque *image.RGBA at the origin, resized if asked for. Transparency is
// dropped, as PIL does, not blended. EXIF orientation is not applied.
func readImage(path string, o Options) (image.Image, error) {
	f, size, err := openRegular(path)
	if err != nil {
		return nil, unwrapAll(err)
	}
	defer f.Close()
	raw, err := readGrow(f, int(min(size, maxBytes)))
	if err != nil {
		return nil, err
	}
	return decodeImage(raw, o)
}

func decodeImage(raw []byte, o Options) (image.Image, error) {
	cfg, _, err := image.DecodeConfig(bytes.NewReader(raw))
	if err != nil {
		return nil, imageError(err)
	}
	if cfg.Width <= 0 || cfg.Height <= 0 {
		return nil, errors.New("an image without pixels")
	}
	if cfg.Width > maxPixels/cfg.Height || cfg.Width*cfg.Height/maxPixelsPerByte > len(raw) {
		return nil, fmt.Errorf("header says %dx%d pixels (height x width), more than %d bytes can hold or %d can be read", cfg.Height, cfg.Width, len(raw), maxPixels)
	}
	src, _, err := image.Decode(bytes.NewReader(raw))
	if err != nil {
		return nil, imageError(err)
	}
	src = opaque(src)
	box := image.Rectangle{Max: src.Bounds().Size()}
	m := newImage(box, o)
	stddraw.Draw(m, box, src, src.Bounds().Min, stddraw.Src)
	if want := (image.Rectangle{Max: image.Pt(o.Size[1], o.Size[0])}); !want.Empty() && want != box {
		scaled := newImage(want, o)
		draw.BiLinear.Scale(scaled, want, m, box, draw.Src, nil)
		m = scaled
	}
	return m, nil
}

func imageError(err error) error {
	return fmt.Errorf("cannot read as PNG or JPEG: %w", err)
}

// newImage is what is converted to: setting a pixel of image.Gray goes through
// color.GrayModel.
func newImage(box image.Rectangle, o Options) draw.Image {
	if o.Gray {
		return image.NewGray(box)
	}
	return image.NewRGBA(box)
}

// opaque drops transparency: each pixel keeps its colour, whatever its alpha.
func opaque(m image.Image) image.Image {
	if o, ok := m.(interface{ Opaque() bool }); ok && o.Opaque() {
		return m
	}
	b := m.Bounds()
	out := image.NewNRGBA(b)
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			var c color.NRGBA
			// The model would go through premultiplied colour and lose it at alpha 0.
			switch v := m.At(x, y).(type) {
			case color.NRGBA:
				c = v
			case color.NRGBA64:
				c = color.NRGBA{R: uint8(v.R >> 8), G: uint8(v.G >> 8), B: uint8(v.B >> 8)}
			default:
				c = color.NRGBAModel.Convert(v).(color.NRGBA)
			}
			c.A = 0xff
			out.SetNRGBA(x, y, c)
		}
	}
	return out
}

// appendPlanes appends the pixels plane by plane (CHW).
func appendPlanes(dst []uint8, m image.Image) []uint8 {
	switch m := m.(type) {
	case *image.Gray: // newImage leaves no gap between rows
		return append(dst, m.Pix...)
	case *image.RGBA:
		for c := range 3 {
			for i := c; i < len(m.Pix); i += 4 {
				dst = append(dst, m.Pix[i])
			}
		}
		return dst
	}
	panic(fmt.Sprintf("data: image of type %T", m))
}
