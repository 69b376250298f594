// SPDX-License-Identifier: Apache-2.0
//
// The two functions of zlib that Verilator's FST writer calls, for machines without zlib's headers.
// The output is a valid zlib stream of stored blocks: the writer then keeps the plain bytes, which are
// fewer.

#ifndef PHYFOLD_ZLIB_H_
#define PHYFOLD_ZLIB_H_

#include <cstdint>
#include <cstring>

using Bytef = unsigned char;
using uLong = unsigned long;
using uLongf = unsigned long;
constexpr int Z_OK = 0, Z_BUF_ERROR = -5;

inline uLong compressBound(uLong size) { return size + size / 65535 * 5 + 16; }

inline int compress2(Bytef* out, uLongf* out_size, const Bytef* in, uLong size, int) {
    if (*out_size < compressBound(size)) return Z_BUF_ERROR;
    Bytef* p = out;
    *p++ = 0x78;
    *p++ = 0x01;
    uLong at = 0;
    do {
        const uLong block = size - at < 65535 ? size - at : 65535;
        *p++ = at + block == size;
        *p++ = static_cast<Bytef>(block & 255);
        *p++ = static_cast<Bytef>(block >> 8);
        *p++ = static_cast<Bytef>(~block & 255);
        *p++ = static_cast<Bytef>((~block >> 8) & 255);
        if (block > 0) std::memcpy(p, in + at, block);
        p += block;
        at += block;
    } while (at < size);
    uint32_t a = 1, b = 0;  // Adler-32
    for (uLong i = 0; i < size; ++i) {
        a = (a + in[i]) % 65521;
        b = (b + a) % 65521;
    }
    for (int shift = 24; shift >= 0; shift -= 8) *p++ = static_cast<Bytef>((b << 16 | a) >> shift);
    *out_size = static_cast<uLong>(p - out);
    return Z_OK;
}

#endif
