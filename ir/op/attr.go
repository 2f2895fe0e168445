package op

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"quern/ir"
)

// Attr is one attribute of an operator, as reflection sees it.
type Attr struct {
	Name    string
	Value   any  // int, float32, bool, string, []int or []float32
	Default bool // has the value that Def.New gives
}

// Attrs lists the attributes of an operator in the order of its fields.
func Attrs(o ir.Op) []Attr {
	def := reflect.ValueOf(Of(o).New()).Elem()
	v := reflect.ValueOf(o).Elem()
	var r []Attr
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("attr")
		if name == "" {
			continue
		}
		x := v.Field(i).Interface()
		r = append(r, Attr{name, x, sameAttr(x, def.Field(i).Interface())})
	}
	return r
}

func sameAttr(a, b any) bool {
	switch a := a.(type) {
	case []int:
		return slices.Equal(a, b.([]int))
	case []float32:
		return slices.Equal(a, b.([]float32))
	case float32:
		return math.Float32bits(a) == math.Float32bits(b.(float32))
	}
	return a == b
}

// SetAttr sets one attribute. The value's type must be that of the field; an int is also taken for a bool (0 or 1), an empty []int
// for an empty []float32.
func SetAttr(o ir.Op, name string, value any) error {
	v := reflect.ValueOf(o).Elem()
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("attr") != name {
			continue
		}
		f := v.Field(i)
		x := reflect.ValueOf(value)
		if n, ok := value.(int); ok && f.Kind() == reflect.Bool && (n == 0 || n == 1) {
			x = reflect.ValueOf(n == 1)
		}
		if l, ok := value.([]int); ok && len(l) == 0 {
			x = reflect.Zero(f.Type())
		}
		if x.Type() != f.Type() {
			return fmt.Errorf("attribute %s: want %s, got %s", name, TypeName(f.Interface()), TypeName(value))
		}
		f.Set(x)
		return nil
	}
	return fmt.Errorf("no attribute %q; %s has %s", name, o.OpName(), attrNames(o))
}

// TypeName says what kind of attribute a value is.
func TypeName(value any) string {
	switch value.(type) {
	case int:
		return "an integer"
	case float32:
		return "a float"
	case bool:
		return "0 or 1"
	case string:
		return "a string"
	case []int:
		return "a list of integers"
	case []float32:
		return "a list of floats"
	}
	return fmt.Sprintf("%T", value)
}

func attrNames(o ir.Op) string {
	var s []string
	for _, a := range Attrs(o) {
		s = append(s, a.Name)
	}
	if len(s) == 0 {
		return "none"
	}
	return strings.Join(s, ", ")
}

// Equal compares name and attributes.
func Equal(a, b ir.Op) bool {
	if a.OpName() != b.OpName() {
		return false
	}
	x, y := Attrs(a), Attrs(b)
	for i := range x {
		if !sameAttr(x[i].Value, y[i].Value) {
			return false
		}
	}
	return true
}

// Clone copies an operator with its attributes.
func Clone(o ir.Op) Op {
	c := Of(o).New()
	from, to := reflect.ValueOf(o).Elem(), reflect.ValueOf(c).Elem()
	for i := range from.NumField() {
		switch x := from.Field(i).Interface().(type) {
		case []int:
			to.Field(i).Set(reflect.ValueOf(slices.Clone(x)))
		case []float32:
			to.Field(i).Set(reflect.ValueOf(slices.Clone(x)))
		default:
			to.Field(i).Set(from.Field(i))
		}
	}
	return c
}

// FormatAttr prints an attribute's value in the textual form: 3, 0.5f, true, "text", [1,2], [0.5f]. Symbolic dimensions are names.
func FormatAttr(x any) string {
	switch x := x.(type) {
	case int:
		return ir.DimString(x)
	case float32:
		return formatFloat(x)
	case bool:
		return strconv.FormatBool(x)
	case string:
		return strconv.Quote(x)
	case []int:
		s := make([]string, len(x))
		for i, v := range x {
			s[i] = ir.DimString(v)
		}
		return "[" + strings.Join(s, ",") + "]"
	case []float32:
		s := make([]string, len(x))
		for i, v := range x {
			s[i] = formatFloat(v)
		}
		return "[" + strings.Join(s, ",") + "]"
	}
	panic(fmt.Sprintf("op: attribute of type %T", x))
}

func formatFloat(x float32) string { return strconv.FormatFloat(float64(x), 'g', -1, 32) + "f" }
