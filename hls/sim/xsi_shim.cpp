// SPDX-License-Identifier: Apache-2.0
//
// A Verilated design with its ports as data: found by name, read and written through pointers. Compiled
// beside the generated C++ (prefix Vphy) and beside xsi_ports.inc, which lists the ports. The Python side
// is hls/sim/finn_xsi_design.py, which offers the interface that FINN's simulation engine expects.
//
// One clock cycle, as FINN's engine drives it: rising edge with the inputs as they are, then the new
// inputs, then the falling edge. `xsi_run` does whole batches of stream beats in this rhythm.

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>

#include "Vphy.h"
#include "verilated.h"
#if defined(PHY_TRACE_FST)
#include "verilated_fst_c.h"
#endif

// Verilator's run time calls these instead of ending the process.
void vl_fatal(const char* file, int line, const char*, const char* msg) {
    throw std::runtime_error(std::string(msg) + " (" + file + ":" + std::to_string(line) + ")");
}
void vl_stop(const char* file, int line, const char*) {
    throw std::runtime_error("the design called $stop or $error (" + std::string(file) + ":"
                             + std::to_string(line) + ")");
}
void vl_finish(const char* file, int line, const char* hier) { vl_stop(file, line, hier); }
void vl_warn(const char* file, int line, const char* hier, const char* msg) {
    vl_fatal(file, line, hier, msg);  // a missing memory file is only a warning there
}

namespace {

// The structures are mirrored by ctypes: same order, all 64 bits wide.
struct Port {
    const char* name;
    uint8_t* data;  // little endian, padded with zeros to `bytes`
    int64_t bytes, width, input;
};

struct Stream {
    uint8_t *valid, *ready, *data, *buffer;
    int64_t bytes;     // of one beat, as the port stores it
    int64_t beats;     // to move
    int64_t moved;     // inputs: beats offered so far; outputs: beats taken
    int64_t watchdog;  // outputs: number of the watchdog that a beat resets, -1 for none
    int64_t busy;      // 0 once the stream has nothing left to do
    int64_t next;      // decided before the edge, done after it
};

struct Watchdog {
    int64_t ticks, limit;
};

struct Run {
    uint8_t *clk, *clk_twice;  // clk_twice: null, or a clock of twice the frequency
    Stream *inputs, *outputs;
    Watchdog* watchdogs;
    int64_t n_inputs, n_outputs, n_watchdogs;
    int64_t ticks;  // cycles run so far
};

enum Status : int { kRunning = 0, kDone = 1, kWoken = 2, kFailed = 3 };

struct Sim {
    std::unique_ptr<VerilatedContext> context = std::make_unique<VerilatedContext>();
    std::unique_ptr<Vphy> top;
    std::string error;
    uint64_t now = 0;
#ifdef PHY_TRACE_FST
    std::unique_ptr<VerilatedFstC> trace;
#endif

    void settle(uint64_t duration) {
        top->eval();
#ifdef PHY_TRACE_FST
        if (trace) trace->dump(now);
#endif
        now += duration;
    }

    // Before the edge: what will happen to the stream after it.
    static void decide_input(Stream& s) { s.next = !(*s.valid && !*s.ready); }

    static void decide_output(Stream& s, Watchdog* watchdogs) {
        s.next = *s.ready;
        if (*s.ready && *s.valid) {
            if (s.watchdog >= 0) watchdogs[s.watchdog].ticks = 0;
            std::memcpy(s.buffer + s.moved * s.bytes, s.data, static_cast<size_t>(s.bytes));
            s.next = ++s.moved < s.beats;
        } else if (!*s.ready) {
            s.next = s.moved < s.beats;
            s.busy = s.next;
        }
    }

    static void offer(Stream& s) {
        if (s.moved < s.beats) {
            std::memcpy(s.data, s.buffer + s.moved * s.bytes, static_cast<size_t>(s.bytes));
            *s.valid = 1;
            ++s.moved;
        } else if (*s.valid) {
            *s.valid = 0;
            std::memset(s.data, 0, static_cast<size_t>(s.bytes));
        } else {
            s.busy = 0;
        }
    }

    void cycle(Run& r) {
        for (int64_t i = 0; i < r.n_inputs; ++i) {
            if (r.inputs[i].busy) decide_input(r.inputs[i]);
        }
        for (int64_t i = 0; i < r.n_outputs; ++i) {
            if (r.outputs[i].busy) decide_output(r.outputs[i], r.watchdogs);
        }
        *r.clk = 1;
        if (r.clk_twice) *r.clk_twice = 1;
        settle(1);
        for (int64_t i = 0; i < r.n_inputs; ++i) {
            if (r.inputs[i].busy && r.inputs[i].next) offer(r.inputs[i]);
        }
        for (int64_t i = 0; i < r.n_outputs; ++i) {
            if (r.outputs[i].busy) *r.outputs[i].ready = r.outputs[i].next;
        }
        if (r.clk_twice) {
            *r.clk_twice = 0;
            settle(2500);
            *r.clk_twice = 1;
        }
        *r.clk = 0;
        settle(r.clk_twice ? 2500 : 4999);
        if (r.clk_twice) {
            *r.clk_twice = 0;
            settle(4999);
        }
    }

    // Up to max_ticks cycles; returns a Status.
    int run(Run& r, int64_t max_ticks) {
        for (const int64_t end = r.ticks + max_ticks; r.ticks < end; ++r.ticks) {
            bool busy = false;
            for (int64_t i = 0; i < r.n_inputs; ++i) busy |= r.inputs[i].busy != 0;
            for (int64_t i = 0; i < r.n_outputs; ++i) busy |= r.outputs[i].busy != 0;
            if (!busy) return kDone;
            for (int64_t i = 0; i < r.n_watchdogs; ++i) {
                if (r.watchdogs[i].ticks >= r.watchdogs[i].limit) return kWoken;
            }
            cycle(r);
            for (int64_t i = 0; i < r.n_watchdogs; ++i) ++r.watchdogs[i].ticks;
        }
        return kRunning;
    }
};

#define PORT(field, port_name, port_width, port_input)                                               \
    {port_name, reinterpret_cast<uint8_t*>(&top.field), static_cast<int64_t>(sizeof(top.field)),     \
     port_width, port_input},

int64_t list_ports(Vphy& top, Port* ports, int64_t room) {
    const Port all[] = {
#include "xsi_ports.inc"
    };
    const int64_t count = sizeof(all) / sizeof(all[0]);
    for (int64_t i = 0; i < count && i < room; ++i) ports[i] = all[i];
    return count;
}

}  // namespace

#define XSI_API extern "C" __attribute__((visibility("default")))

XSI_API void* xsi_open(char* error, int64_t error_bytes) {
    auto sim = std::make_unique<Sim>();
    try {
        sim->context->randReset(2);  // what the design does not reset holds any value
        sim->context->randSeed(12345);
        sim->context->fatalOnError(false);
#ifdef PHY_TRACE_FST
        sim->context->traceEverOn(true);
#endif
        sim->top = std::make_unique<Vphy>(sim->context.get(), "TOP");
        sim->top->eval();  // initial blocks: reads the memory files
    } catch (const std::exception& e) {
        std::snprintf(error, static_cast<size_t>(error_bytes), "%s", e.what());
        return nullptr;
    }
    return sim.release();
}

XSI_API void xsi_close(void* handle) {
    Sim* sim = static_cast<Sim*>(handle);
#ifdef PHY_TRACE_FST
    if (sim->trace) sim->trace->close();
#endif
    try {
        sim->top->final();
    } catch (const std::exception&) {  // nobody is left to be told
    }
    delete sim;
}

XSI_API const char* xsi_error(void* handle) { return static_cast<Sim*>(handle)->error.c_str(); }

// Fills `ports` with up to `room` ports and returns how many there are.
XSI_API int64_t xsi_ports(void* handle, void* ports, int64_t room) {
    return list_ports(*static_cast<Sim*>(handle)->top, static_cast<Port*>(ports), room);
}

// Lets the design settle and time go on; returns 0, or -1 with an error text.
XSI_API int xsi_settle(void* handle, uint64_t duration) {
    Sim& sim = *static_cast<Sim*>(handle);
    try {
        sim.settle(duration);
    } catch (const std::exception& e) {
        sim.error = e.what();
        return -1;
    }
    return 0;
}

XSI_API int xsi_run(void* handle, void* run, int64_t max_ticks) {
    Sim& sim = *static_cast<Sim*>(handle);
    try {
        return sim.run(*static_cast<Run*>(run), max_ticks);
    } catch (const std::exception& e) {
        sim.error = e.what();
        return kFailed;
    }
}

// Begins a waveform file; returns 0, or -1 if the library was built without.
XSI_API int xsi_trace(void* handle, const char* path) {
#ifdef PHY_TRACE_FST
    Sim& sim = *static_cast<Sim*>(handle);
    sim.trace = std::make_unique<VerilatedFstC>();
    sim.top->trace(sim.trace.get(), 99);
    sim.trace->open(path);
    return 0;
#else
    (void)handle;
    (void)path;
    return -1;
#endif
}
