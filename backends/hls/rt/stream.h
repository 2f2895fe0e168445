/* stream.h: what the stages of a streaming design share. C++11 for Vitis HLS, Vivado HLS, and with the headers in ap/ any compiler. */
#ifndef QUERN_STREAM_H
#define QUERN_STREAM_H

#include <ap_axi_sdata.h>
#include <ap_int.h>
#include <hls_stream.h>

/* Labels on loops name them in the reports of HLS tools; to a C++ compiler they are unused. */
#if defined(__GNUC__) && !defined(__SYNTHESIS__)
#pragma GCC diagnostic ignored "-Wunused-label"
#endif

#ifdef QUERN_AP_STAND_IN
template <class T, int B, int N> inline T q_get(const ap_uint<N> &w, int lane)
{
    return T(w.q_bits(lane * B, B));
}

template <int B, int N, class T> inline void q_put(ap_uint<N> &w, int lane, const T &v)
{
    w.q_set(lane * B, B, static_cast<unsigned long long>(static_cast<long long>(v)));
}

template <int N, int M> inline void q_resize(ap_uint<N> &w, const ap_uint<M> &from)
{
    for (int i = 0; i < (N < M ? N : M); i += 64) w.q_set(i, (N < M ? N : M) - i < 64 ? (N < M ? N : M) - i : 64, from.q_bits(i, (N < M ? N : M) - i < 64 ? (N < M ? N : M) - i : 64));
}

template <int B, int N> inline void q_shift_out(ap_uint<N> &w)
{
    for (int i = 0; i < N - B; i += 64) w.q_set(i, N - B - i < 64 ? N - B - i : 64, w.q_bits(i + B, N - B - i < 64 ? N - B - i : 64));
}

template <int B, int N> inline void q_shift_in(ap_uint<N> &w, const ap_uint<B> &x)
{
    q_shift_out<B>(w);
    for (int i = 0; i < B; i += 64) w.q_set(N - B + i, B - i < 64 ? B - i : 64, x.q_bits(i, B - i < 64 ? B - i : 64));
}

template <class T, int K> inline T q_wrap(ap_int<K> a, int n)
{
    const unsigned long long sign = 1ULL << (n - 1);
    const unsigned long long low = static_cast<unsigned long long>(static_cast<long long>(a)) & (2 * sign - 1);
    return T(static_cast<long long>((low ^ sign) - sign));
}
#else
/* Element lane of a word of elements of B bits, as a T of B bits. */
template <class T, int B, int N> inline T q_get(const ap_uint<N> &w, int lane)
{
#pragma HLS INLINE
    T v;
    v.range(B - 1, 0) = w.range(lane * B + B - 1, lane * B);
    return v;
}

/* Sets element lane of a word: v is a T of B bits or more, of which the low B count. */
template <int B, int N, class T> inline void q_put(ap_uint<N> &w, int lane, const T &v)
{
#pragma HLS INLINE
    w.range(lane * B + B - 1, lane * B) = v.range(B - 1, 0);
}

/* The low bits of a word as one of another width; what is wider is filled with 0. */
template <int N, int M> inline void q_resize(ap_uint<N> &w, const ap_uint<M> &from)
{
#pragma HLS INLINE
    w = from;
}

/* Shifts a word by an element of B bits towards the lowest, which drops out. */
template <int B, int N> inline void q_shift_out(ap_uint<N> &w)
{
#pragma HLS INLINE
    w = w >> B;
}

/* The same, with a new highest element. */
template <int B, int N> inline void q_shift_in(ap_uint<N> &w, const ap_uint<B> &x)
{
#pragma HLS INLINE
    w = w >> B;
    w.range(N - 1, N - B) = x;
}

/* The low n bits of a as a two's complement number: a register of n bits that wraps around. */
template <class T, int K> inline T q_wrap(ap_int<K> a, int n)
{
#pragma HLS INLINE
    return T(ap_int<K>(a << (K - n)) >> (K - n));
}
#endif

/* a / b for b > 0, rounded towards minus infinity; C itself rounds towards zero. */
template <class T, int K> inline T q_div(ap_int<K> a, ap_int<K> b)
{
#pragma HLS INLINE
    return a < 0 ? T(-1 - ap_int<K>((-1 - a) / b)) : T(a / b);
}

/* Half a unit of the last place that stays after a shift by n; 0 for n = 0. */
template <int K> inline ap_int<K> q_half(int n)
{
#pragma HLS INLINE
    return n > 0 ? ap_int<K>(ap_int<K>(1) << (n - 1)) : ap_int<K>(0);
}

/* a / 2^n, rounded: a and a + 2^n fit K bits. The names and modes are those of fixed.h. */
template <class T, int K> inline T q_rsh_floor(ap_int<K> a, int n)
{
#pragma HLS INLINE
    return T(a >> n);
}

template <class T, int K> inline T q_rsh_half_up(ap_int<K> a, int n)
{
#pragma HLS INLINE
    return T(ap_int<K>(a + q_half<K>(n)) >> n);
}

template <class T, int K> inline T q_rsh_half_even(ap_int<K> a, int n)
{
#pragma HLS INLINE
    const ap_int<K> odd = ap_int<K>(a >> n) & 1;
    return n > 0 ? T(ap_int<K>(a + q_half<K>(n) - 1 + odd) >> n) : T(a);
}

template <class T, int K> inline T q_rsh_half_away(ap_int<K> a, int n)
{
#pragma HLS INLINE
    return T(ap_int<K>(a + q_half<K>(n) - (a < 0 && n > 0 ? 1 : 0)) >> n);
}

template <class T, int K> inline T q_rsh_ceil(ap_int<K> a, int n)
{
#pragma HLS INLINE
    return T(ap_int<K>(a + ap_int<K>(ap_int<K>(1) << n) - 1) >> n);
}

template <class T, int K> inline T q_rsh_away(ap_int<K> a, int n)
{
#pragma HLS INLINE
    return a < 0 ? q_rsh_floor<T, K>(a, n) : q_rsh_ceil<T, K>(a, n);
}

template <class T, int K> inline T q_rsh_to_zero(ap_int<K> a, int n)
{
#pragma HLS INLINE
    return a < 0 ? q_rsh_ceil<T, K>(a, n) : q_rsh_floor<T, K>(a, n);
}

template <class T, int K> inline T q_rsh_half_to_zero(ap_int<K> a, int n)
{
#pragma HLS INLINE
    return T(ap_int<K>(a + q_half<K>(n) - (a >= 0 && n > 0 ? 1 : 0)) >> n);
}

#endif
