// SPDX-License-Identifier: Apache-2.0
//
// The two functions of lz4 that Verilator's FST writer calls, for machines without lz4's headers. The
// output is an ordinary LZ4 block (greedy search, one candidate per hash), readable by any viewer.

#ifndef PHYFOLD_LZ4_H_
#define PHYFOLD_LZ4_H_

#include <cstdint>
#include <cstring>
#include <vector>

inline int LZ4_compressBound(int size) { return size + size / 255 + 16; }

namespace phyfold_lz4 {

constexpr int kMinMatch = 4, kHashBits = 14;
constexpr int kLastLiterals = 5, kMatchMargin = 12;  // rules of the block format for its end

inline uint32_t load(const uint8_t* p) {
    uint32_t word;
    std::memcpy(&word, p, sizeof word);
    return word;
}

// The part of a length that does not fit the token's four bits.
inline uint8_t* put_length(uint8_t* out, int length) {
    if (length < 15) return out;
    length -= 15;
    for (; length >= 255; length -= 255) *out++ = 255;
    *out++ = static_cast<uint8_t>(length);
    return out;
}

inline uint8_t* put_literals(uint8_t* out, const uint8_t* from, int count, int match_code) {
    const int high = count < 15 ? count : 15, low = match_code < 15 ? match_code : 15;
    *out++ = static_cast<uint8_t>(high << 4 | low);
    out = put_length(out, count);
    if (count > 0) std::memcpy(out, from, static_cast<size_t>(count));
    return out + count;
}

}  // namespace phyfold_lz4

// Compresses `size` bytes into at most `capacity`, which must be LZ4_compressBound(size) or more.
inline int LZ4_compress_default(const char* source, char* target, int size, int capacity) {
    using namespace phyfold_lz4;
    if (capacity < LZ4_compressBound(size)) return 0;
    const uint8_t* const in = reinterpret_cast<const uint8_t*>(source);
    uint8_t* out = reinterpret_cast<uint8_t*>(target);
    std::vector<int> seen(size_t{1} << kHashBits, -1);
    int anchor = 0, at = 0;
    while (at + kMatchMargin < size) {
        int& slot = seen[(load(in + at) * 2654435761u) >> (32 - kHashBits)];
        const int candidate = slot;
        slot = at;
        if (candidate < 0 || at - candidate > 65535 || load(in + candidate) != load(in + at)) {
            ++at;
            continue;
        }
        int length = kMinMatch;
        while (at + length < size - kLastLiterals && in[candidate + length] == in[at + length]) ++length;
        out = put_literals(out, in + anchor, at - anchor, length - kMinMatch);
        *out++ = static_cast<uint8_t>((at - candidate) & 255);
        *out++ = static_cast<uint8_t>((at - candidate) >> 8);
        out = put_length(out, length - kMinMatch);
        at += length;
        anchor = at;
    }
    out = put_literals(out, in + anchor, size - anchor, 0);
    return static_cast<int>(out - reinterpret_cast<uint8_t*>(target));
}

#endif
