/* ap_int.h: a stand-in for the header of the HLS tools, so that the design builds with a C++11 compiler alone. It has what the printed
 * code uses and computes the same values: numbers of up to 64 bits and words of any width with ranges of bits. Arithmetic is done in
 * long long, which holds every value of a design (quern proves that none needs more than 63 bits); the tools' own ap_int grows with each
 * operation instead, which comes to the same.
 */
#ifndef QUERN_AP_INT_H
#define QUERN_AP_INT_H

#include <cstddef>

/* The value of the low W bits of x, with and without a sign. */
template <int W> constexpr unsigned long long q_low(unsigned long long x)
{
    return W == 64 ? x : x & ((1ULL << (W % 64)) - 1);
}

template <int W> constexpr long long q_low_signed(unsigned long long x)
{
    return static_cast<long long>((q_low<W>(x) ^ (1ULL << (W - 1))) - (1ULL << (W - 1)));
}

template <int W> class ap_int {
    static_assert(W >= 1 && W <= 64, "the stand-in has signed numbers of 1 to 64 bits");
    long long v;

public:
    constexpr ap_int() : v(0) {}
    constexpr ap_int(int x) : v(q_low_signed<W>(static_cast<unsigned long long>(static_cast<long long>(x)))) {}
    constexpr ap_int(unsigned x) : v(q_low_signed<W>(x)) {}
    constexpr ap_int(long x) : v(q_low_signed<W>(static_cast<unsigned long long>(x))) {}
    constexpr ap_int(unsigned long x) : v(q_low_signed<W>(x)) {}
    constexpr ap_int(long long x) : v(q_low_signed<W>(static_cast<unsigned long long>(x))) {}
    constexpr ap_int(unsigned long long x) : v(q_low_signed<W>(x)) {}
    template <int M> constexpr ap_int(const ap_int<M> &x) : v(q_low_signed<W>(static_cast<unsigned long long>(static_cast<long long>(x)))) {}
    constexpr operator long long() const { return v; }
    int to_int() const { return static_cast<int>(v); }
    template <class T> ap_int &operator+=(const T &x)
    {
        v = q_low_signed<W>(static_cast<unsigned long long>(v) + static_cast<unsigned long long>(static_cast<long long>(x)));
        return *this;
    }
};

/* A number up to 64 bits, or a word of any width. */
template <int W, bool Word = (W > 64)> class ap_uint;

template <int W> class ap_uint<W, false> {
    static_assert(W >= 1, "a width of 1 or more");
    unsigned long long v;

public:
    constexpr ap_uint() : v(0) {}
    constexpr ap_uint(int x) : v(q_low<W>(static_cast<unsigned long long>(static_cast<long long>(x)))) {}
    constexpr ap_uint(unsigned x) : v(q_low<W>(x)) {}
    constexpr ap_uint(long x) : v(q_low<W>(static_cast<unsigned long long>(x))) {}
    constexpr ap_uint(unsigned long x) : v(q_low<W>(x)) {}
    constexpr ap_uint(long long x) : v(q_low<W>(static_cast<unsigned long long>(x))) {}
    constexpr ap_uint(unsigned long long x) : v(q_low<W>(x)) {}
    operator long long() const { return static_cast<long long>(v); }
    int to_int() const { return static_cast<int>(v); }
    template <class T> ap_uint &operator+=(const T &x)
    {
        v = q_low<W>(v + static_cast<unsigned long long>(static_cast<long long>(x)));
        return *this;
    }
    /* Bits from lo on; up to 64 of them, and those beyond the word are 0. */
    unsigned long long q_bits(int lo, int n) const
    {
        const unsigned long long x = lo < 64 ? v >> lo : 0;
        return n < 64 ? x & ((1ULL << n) - 1) : x;
    }
    void q_set(int lo, int n, unsigned long long x)
    {
        const unsigned long long ones = n < 64 ? (1ULL << n) - 1 : ~0ULL;
        v = q_low<W>((v & ~(ones << lo)) | ((x & ones) << lo));
    }
};

template <int W> class ap_uint<W, true> {
    unsigned long long part[(W + 63) / 64];

public:
    ap_uint()
    {
        for (int i = 0; i < (W + 63) / 64; i++) part[i] = 0;
    }
    explicit ap_uint(unsigned long long x) : ap_uint() { part[0] = x; }
    /* Hexadecimal digits behind 0x. */
    ap_uint(const char *s) : ap_uint()
    {
        int n = 0;
        while (s[n] != 0) n++;
        for (int i = 0; i < n - 2; i++) {
            const char c = s[n - 1 - i];
            const int d = c <= '9' ? c - '0' : c - 'a' + 10;
            part[i / 16] |= static_cast<unsigned long long>(d) << (4 * (i % 16));
        }
    }
    unsigned long long q_bits(int lo, int n) const
    {
        unsigned long long x = part[lo / 64] >> (lo % 64);
        if (lo % 64 != 0 && lo / 64 + 1 < (W + 63) / 64) x |= part[lo / 64 + 1] << (64 - lo % 64);
        return n < 64 ? x & ((1ULL << n) - 1) : x;
    }
    void q_set(int lo, int n, unsigned long long x)
    {
        for (int i = 0; i < n; i++) {
            const unsigned long long bit = 1ULL << ((lo + i) % 64);
            unsigned long long &p = part[(lo + i) / 64];
            p = ((x >> i) & 1) != 0 ? p | bit : p & ~bit;
        }
    }
};

/* range(hi, lo) of the tools' headers, as far as the printed code goes through q_get and q_put of stream.h. */
#define QUERN_AP_STAND_IN 1

#endif
