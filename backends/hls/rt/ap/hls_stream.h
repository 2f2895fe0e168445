/* hls_stream.h: a stand-in for the header of the HLS tools: an unbounded queue that stops the program where the tools would hang. */
#ifndef QUERN_HLS_STREAM_H
#define QUERN_HLS_STREAM_H

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <string>

/* QUERN_STEPS prints every reading and writing, so that the loops can be compared with the cycle model. */
#ifdef QUERN_STEPS
#define QUERN_STEP(c) std::printf("%c%s\n", c, name.c_str())
#else
#define QUERN_STEP(c) static_cast<void>(0)
#endif

namespace hls {

template <class T> class stream {
    std::deque<T> words;
    std::string name;
    stream(const stream &);
    stream &operator=(const stream &);

public:
    stream() : words(), name("stream") {}
    explicit stream(const char *s) : words(), name(s) {}
    ~stream()
    {
        if (!words.empty()) {
            std::printf("FAIL: %zu words are left in %s\n", words.size(), name.c_str());
            std::exit(1);
        }
    }
    bool empty() const { return words.empty(); }
    void write(const T &x)
    {
        QUERN_STEP('>');
        words.push_back(x);
    }
    T read()
    {
        QUERN_STEP('<');
        if (words.empty()) {
            std::printf("FAIL: read from %s, which is empty\n", name.c_str());
            std::exit(1);
        }
        const T x = words.front();
        words.pop_front();
        return x;
    }
};

}

#endif
