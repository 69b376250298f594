// SPDX-License-Identifier: Apache-2.0
//
// A design reads memory files of its own folder, the working folder, and nothing else. The names of
// such files may be computed in the RTL, so they are looked at when the file is about to be opened.
// Included in front of the generated C++, behind verilated.h.
#pragma once

#include <sys/stat.h>

#include <string>

#include "verilated.h"
#include "verilated_funcs.h"

inline void phy_readmem_n(bool hex, int bits, QData depth, int array_lsb, const std::string& name,
                          void* memp, QData start, QData end) {
    struct stat info;
    const bool plain = name.find('/') == std::string::npos && name.find('\0') == std::string::npos;
    // A file that is not there is said by Verilator's own function.
    const bool file = plain && (lstat(name.c_str(), &info) != 0 || S_ISREG(info.st_mode));
    if (!file) {
        const std::string text = "memory file " + name
                                 + ": must be a regular file in the folder of the design's memory files";
        vl_fatal("$readmemh", 0, "", text.c_str());
        return;
    }
    VL_READMEM_N(hex, bits, depth, array_lsb, name, memp, start, end);
}
#define VL_READMEM_N phy_readmem_n
