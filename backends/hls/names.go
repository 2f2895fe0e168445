package hls

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// names hands out C identifiers that are distinct and that no compiler, header or runtime of ours uses.
type names struct{ used map[string]bool }

// reserved are the keywords of C99 and C++11, what the included headers define, names that are macros in the GNU dialects, and the
// files of a project, which are named after the top function.
const reserved = `
	auto break case char const continue default do double else enum extern float for goto if inline int long register restrict return
	short signed sizeof static struct switch typedef union unsigned void volatile while
	alignas alignof and and_eq asm bitand bitor bool catch char16_t char32_t class compl const_cast constexpr decltype delete
	dynamic_cast explicit export false friend mutable namespace new noexcept not not_eq nullptr operator or or_eq private protected
	public reinterpret_cast static_assert static_cast template this thread_local throw true try typeid typename using virtual
	wchar_t xor xor_eq
	int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t intptr_t uintptr_t intmax_t uintmax_t size_t
	int_least8_t int_least16_t int_least32_t int_least64_t uint_least8_t uint_least16_t uint_least32_t uint_least64_t
	int_fast8_t int_fast16_t int_fast32_t int_fast64_t uint_fast8_t uint_fast16_t uint_fast32_t uint_fast64_t
	NULL EOF FILE BUFSIZ errno stdin stdout stderr printf linux unix i386 arm mips sparc main std TB_VECTORS
	q_max q_min q_half q_rsh_floor q_rsh_half_up q_rsh_half_even q_rsh_half_away q_wrap
	q_rsh_ceil q_rsh_away q_rsh_to_zero q_rsh_half_to_zero
	q_get q_put q_resize q_shift_in q_shift_out q_layer Q_TRACE QUERN_TRACE
	tb weights fixed stream vectors layers quantize_input manifest README Makefile`

// builtins are functions of the C library that compilers know even where no header declares them; each also with the suffixes f, l.
const builtins = `
	abs labs llabs acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh erf erfc exp exp2 expm1 fabs fdim floor fma
	fmax fmin fmod frexp hypot ilogb ldexp lgamma llrint llround log log10 log1p log2 logb lrint lround modf nan nearbyint nextafter
	nexttoward pow remainder remquo rint round scalbln scalbn sin sinh sqrt tan tanh tgamma trunc
	cabs cacos carg casin catan ccos cexp cimag clog conj cpow cproj creal csin csqrt ctan
	abort exit calloc malloc realloc free memchr memcmp memcpy memmove memset strcat strchr strcmp strcpy strcspn strlen strncat
	strncmp strncpy strpbrk strrchr strspn strstr puts putchar scanf fputs fputc fprintf fwrite sprintf snprintf vprintf
	isalnum isalpha isblank iscntrl isdigit isgraph islower isprint ispunct isspace isupper isxdigit tolower toupper
	index rindex gamma j0 j1 jn y0 y1 yn signbit isnan isinf finite drem significand alloca bcmp bcopy bzero ffs stpcpy strdup`

func newNames() *names {
	n := &names{used: map[string]bool{}}
	for _, w := range strings.Fields(reserved) {
		n.used[w] = true
	}
	for _, w := range strings.Fields(builtins) {
		n.used[w], n.used[w+"f"], n.used[w+"l"] = true, true, true
	}
	return n
}

// locals are the variables inside kernels, beside numbered ones (v0, x1, i2). Nothing global has such a name; parameters of the top
// function may, but for i.
const locals = "x y v p c g o i acc oy ox ky kx iy ix"

var numbered = regexp.MustCompile(`^[vxi][0-9]+$`)

// longest is how long the identifiers can be, but for a number at the end: tools make file names of them.
const longest = 48

// pick makes an identifier out of any text and a suffix: what is not a letter or digit of ASCII becomes an underscore, runs of them one
// (C++ reserves two), and a number follows where the name is taken.
func (n *names) pick(want, suffix string) string {
	return n.free(want, suffix, func(s string) bool { return slices.Contains(strings.Fields(locals), s) || numbered.MatchString(s) })
}

// param is pick for a parameter of the top function.
func (n *names) param(want string) string {
	return n.free(want, "", func(s string) bool { return s == "i" })
}

func (n *names) free(want, suffix string, bad func(string) bool) string {
	id := identifier(want)
	id = strings.TrimSuffix(id[:min(len(id), longest-len(suffix))], "_") + suffix
	s := id
	for i := 1; n.used[s] || bad(s); i++ {
		s = id + "_" + strconv.Itoa(i)
	}
	n.used[s] = true
	return s
}

func identifier(s string) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9')
	}), "_")
	if s == "" || s[0] <= '9' {
		s = "n" + s
	}
	return s
}

// short is a name that people can read: converters join the names of all operators that they fused.
func short(name, otherwise string) string {
	if len(identifier(name)) > 28 {
		return otherwise
	}
	return name
}
