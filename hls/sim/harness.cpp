// SPDX-License-Identifier: Apache-2.0
//
// Drives one Verilated accelerator with whole batches of frames. Compiled beside the generated C++ of
// every design (prefix Vphy) into a shared library; the Python side (hls/sim/worker.py) calls the
// functions at the end of this file through ctypes.
//
// One cycle: set the inputs with the clock low, settle, look at both handshakes, raise the clock.
// A beat that moves in cycle c is stamped c; cycle 0 is the first one after reset.
//
// Build variants: the fast one has neither probes nor traces; PHY_PROBE adds access to public
// signals by name; PHY_TRACE_VCD or PHY_TRACE_FST add a waveform.

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "Vphy.h"
#include "verilated.h"
#if defined(PHY_TRACE_VCD)
#include "verilated_vcd_c.h"
using TraceFile = VerilatedVcdC;
#elif defined(PHY_TRACE_FST)
#include "verilated_fst_c.h"
using TraceFile = VerilatedFstC;
#endif
#if defined(PHY_TRACE_VCD) || defined(PHY_TRACE_FST)
#define PHY_TRACE 1
#endif
#ifdef PHY_PROBE
#include "verilated_syms.h"
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

enum Status : int { kRunning = 0, kDone = 1, kDeadlock = 2, kProtocol = 3, kFailed = 4 };

// Mirrored by ctypes in hls/sim/native.py: same order, all 64 bits wide.
struct Batch {
    const uint8_t* in;   // [frames, in_beats, in_bytes]
    uint8_t* out;        // [frames, out_beats, out_bytes]
    int64_t* in_first;   // [frames] cycle in which the first beat was taken, and so on
    int64_t* in_last;
    int64_t* out_first;
    int64_t* out_last;
    int64_t frames;
    int64_t in_beats, in_bytes, out_beats, out_bytes;
    int64_t watchdog_cycles;  // give up after so many cycles in which no beat moved at the borders
    int64_t drain_cycles;     // look for surplus beats so long after the last one
    uint64_t seed;
    double gap_probability;    // before each input beat
    double stall_probability;  // in each cycle at the output
    int64_t max_run;           // a gap or stall lasts 1 to max_run cycles
    int64_t trace_first, trace_last;  // frames, both inclusive
    int64_t pace_cycles;  // input frames are offered no faster than this, beats evenly; 0: no limit
};

// Mirrored by ctypes.
struct StreamCount {
    int64_t beats, stall_cycles, starve_cycles, high_water;
    int64_t valid, ready;  // now
};

struct Random {
    uint64_t state;
    uint64_t next() {
        uint64_t z = (state += 0x9E3779B97F4A7C15ull);
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
        return z ^ (z >> 31);
    }
    // Length of a disturbance that begins now: 0 with probability 1 - p, else 1 to max_run.
    int64_t run(double p, int64_t max_run) {
        if (static_cast<double>(next() >> 11) * 0x1.0p-53 >= p) return 0;
        return 1 + static_cast<int64_t>(next() % static_cast<uint64_t>(max_run));
    }
};

#ifdef PHY_PROBE
// One side of a stream: pointers into the model.
struct Side {
    const uint8_t* valid = nullptr;
    const uint8_t* ready = nullptr;
    bool fires() const { return *valid && *ready; }
};
struct Probe {
    Side up, down;  // producer and consumer; the same for a wire
    const uint8_t* data = nullptr;
    int64_t bytes = 0;
    uint8_t* capture = nullptr;
    int64_t capture_bytes = 0, captured = 0;
    StreamCount count{};
    int64_t level = 0;
};
#endif

struct Sim {
    std::unique_ptr<VerilatedContext> context = std::make_unique<VerilatedContext>();
    std::unique_ptr<Vphy> top;
    std::string error;
    Batch b{};
    int64_t cycle = 0, last_move = 0, drain = 0;
    int64_t in_frame = 0, in_beat = 0, out_frame = 0, out_beat = 0;
    bool held = false;  // an output beat was offered and not taken in the cycle before
    std::vector<uint8_t> held_data;
    Random gap{}, stall{};
    int64_t gap_left = 0, stall_left = 0;
#ifdef PHY_PROBE
    std::vector<Probe> probes;
#endif
#ifdef PHY_TRACE
    std::unique_ptr<TraceFile> trace;
    bool tracing = false;
#endif

    void dump(int half) {
#ifdef PHY_TRACE
        if (tracing) trace->dump(static_cast<uint64_t>(cycle) * 10 + (half ? 0 : 5) + 100);
#else
        (void)half;
#endif
    }

    void reset() {
        top->ap_rst_n = 0;
        top->s_axis_tvalid = 0;
        top->m_axis_tready = 0;
        for (int i = 0; i < 8; ++i) {
            top->ap_clk = 0;
            top->eval();
            top->ap_clk = 1;
            top->eval();
        }
        top->ap_rst_n = 1;
    }

    template <bool Disturb>
    void drive() {
        const int64_t due = (in_frame * b.in_beats + in_beat) * b.pace_cycles;
        if (!top->s_axis_tvalid && in_frame < b.frames && cycle * b.in_beats >= due) {
            bool offer = true;
            if (Disturb) {
                if (gap_left == 0) gap_left = gap.run(b.gap_probability, b.max_run) + 1;
                offer = --gap_left == 0;
                if (!offer) std::memset(&top->s_axis_tdata, 0xA5, static_cast<size_t>(b.in_bytes));
            }
            if (offer) {
                const uint8_t* beat = b.in + (in_frame * b.in_beats + in_beat) * b.in_bytes;
                std::memcpy(&top->s_axis_tdata, beat, static_cast<size_t>(b.in_bytes));
                top->s_axis_tvalid = 1;
            }
        }
        if (Disturb) {
            if (stall_left == 0) stall_left = stall.run(b.stall_probability, b.max_run) + 1;
            top->m_axis_tready = --stall_left == 0;
        }
    }

    void take_input() {
        if (in_beat == 0) b.in_first[in_frame] = cycle;
        if (++in_beat == b.in_beats) {
            b.in_last[in_frame] = cycle;
            in_beat = 0;
            ++in_frame;
        }
        last_move = cycle;
    }

    void take_output() {
        uint8_t* beat = b.out + (out_frame * b.out_beats + out_beat) * b.out_bytes;
        std::memcpy(beat, &top->m_axis_tdata, static_cast<size_t>(b.out_bytes));
        if (out_beat == 0) b.out_first[out_frame] = cycle;
        if (++out_beat == b.out_beats) {
            b.out_last[out_frame] = cycle;
            out_beat = 0;
            ++out_frame;
        }
        last_move = cycle;
    }

    // The stream rules at the output: an offered beat stays, unchanged, until it is taken.
    bool stable(bool valid, bool fire) {
        bool good = true;
        const size_t bytes = static_cast<size_t>(b.out_bytes);
        if (held && !valid) {
            error = "m_axis_tvalid fell before the beat was taken, cycle " + std::to_string(cycle);
            good = false;
        } else if (held && std::memcmp(held_data.data(), &top->m_axis_tdata, bytes) != 0) {
            error = "m_axis_tdata changed before the beat was taken, cycle " + std::to_string(cycle);
            good = false;
        }
        held = valid && !fire;
        if (held) std::memcpy(held_data.data(), &top->m_axis_tdata, bytes);
        return good;
    }

#ifdef PHY_PROBE
    void watch() {
        for (Probe& p : probes) {
            const bool out = p.down.fires();
            StreamCount& c = p.count;
            c.valid = *p.down.valid;
            c.ready = *p.down.ready;
            c.beats += out;
            c.stall_cycles += c.valid && !c.ready;
            c.starve_cycles += c.ready && !c.valid;
            p.level += p.up.fires() - out;
            if (p.level > c.high_water) c.high_water = p.level;
            if (out && p.captured + p.bytes <= p.capture_bytes) {
                std::memcpy(p.capture + p.captured, p.data, static_cast<size_t>(p.bytes));
                p.captured += p.bytes;
            }
        }
    }
#endif

    // Runs up to max_cycles and returns a Status.
    template <bool Disturb>
    int run(int64_t max_cycles) {
        const int64_t end = cycle + max_cycles;
        if (!Disturb) top->m_axis_tready = 1;
        while (cycle < end) {
            drive<Disturb>();
            top->ap_clk = 0;
            top->eval();
#ifdef PHY_TRACE
            tracing = trace && in_frame >= b.trace_first && out_frame <= b.trace_last;
#endif
            dump(0);
#ifdef PHY_PROBE
            watch();
#endif
            const bool in_fire = top->s_axis_tvalid && top->s_axis_tready;
            const bool out_valid = top->m_axis_tvalid;
            const bool out_fire = out_valid && top->m_axis_tready;
            if (in_fire) take_input();
            if (Disturb && !stable(out_valid, out_fire)) return kProtocol;
            if (out_fire) {
                if (out_frame >= b.frames) {
                    error = "surplus output beat in cycle " + std::to_string(cycle);
                    return kProtocol;
                }
                take_output();
            }
            top->ap_clk = 1;
            top->eval();
            dump(1);
            if (in_fire) top->s_axis_tvalid = 0;
            ++cycle;
            if (out_frame >= b.frames) {
                if (++drain > b.drain_cycles) return kDone;
            } else if (cycle - last_move > b.watchdog_cycles) {
                return kDeadlock;
            }
        }
        return kRunning;
    }
};

}  // namespace

#define PHY_API extern "C" __attribute__((visibility("default")))

PHY_API void* phy_open(char* error, int64_t error_bytes) {
    auto sim = std::make_unique<Sim>();
    try {
        sim->context->randReset(2);  // what the design does not reset holds any value
        sim->context->randSeed(12345);
        sim->context->fatalOnError(false);
#ifdef PHY_TRACE
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

PHY_API void phy_close(void* handle) { delete static_cast<Sim*>(handle); }

PHY_API const char* phy_error(void* handle) { return static_cast<Sim*>(handle)->error.c_str(); }

// Resets the design and begins a batch; the arrays of `batch` stay the caller's.
PHY_API int phy_begin(void* handle, const Batch* batch) {
    Sim& sim = *static_cast<Sim*>(handle);
    sim.b = *batch;
    sim.cycle = sim.last_move = sim.drain = 0;
    sim.in_frame = sim.in_beat = sim.out_frame = sim.out_beat = 0;
    sim.held = false;
    sim.held_data.assign(static_cast<size_t>(batch->out_bytes), 0);
    sim.gap.state = batch->seed;
    sim.stall.state = ~batch->seed;
    sim.gap_left = sim.stall_left = 0;
#ifdef PHY_PROBE
    for (Probe& p : sim.probes) {
        p.count = StreamCount{};
        p.level = p.captured = 0;
    }
#endif
    if (sizeof(sim.top->s_axis_tdata) < static_cast<size_t>(batch->in_bytes)
        || sizeof(sim.top->m_axis_tdata) < static_cast<size_t>(batch->out_bytes)) {
        sim.error = "tdata is narrower than the stream's beats";
        return kFailed;
    }
    try {
        sim.reset();
    } catch (const std::exception& e) {
        sim.error = e.what();
        return kFailed;
    }
    return kRunning;
}

PHY_API int phy_run(void* handle, int64_t max_cycles) {
    Sim& sim = *static_cast<Sim*>(handle);
    const bool disturb = sim.b.gap_probability > 0 || sim.b.stall_probability > 0;
    try {
        return disturb ? sim.run<true>(max_cycles) : sim.run<false>(max_cycles);
    } catch (const std::exception& e) {
        sim.error = e.what();
        return kFailed;
    }
}

// Cycles run, input frames taken, output frames delivered, and the four border wires.
PHY_API void phy_state(void* handle, int64_t* state) {
    Sim& sim = *static_cast<Sim*>(handle);
    state[0] = sim.cycle;
    state[1] = sim.in_frame;
    state[2] = sim.out_frame;
    state[3] = sim.top->s_axis_tvalid;
    state[4] = sim.top->s_axis_tready;
    state[5] = sim.top->m_axis_tvalid;
    state[6] = sim.top->m_axis_tready;
}

#ifdef PHY_PROBE
namespace {
void* find(Sim& sim, const char* scope_name, const char* name) {
    const VerilatedScope* scope = sim.context->scopeFind(scope_name);
    VerilatedVar* var = scope ? scope->varFind(name) : nullptr;
    return var ? var->datap() : nullptr;
}
}  // namespace

// Adds a stream by the names of its five wires in `scope`; returns its number or -1 if one is not there.
PHY_API int phy_probe(void* handle, const char* scope, const char* const* names, int64_t bytes) {
    Sim& sim = *static_cast<Sim*>(handle);
    Probe p;
    p.up.valid = static_cast<const uint8_t*>(find(sim, scope, names[0]));
    p.up.ready = static_cast<const uint8_t*>(find(sim, scope, names[1]));
    p.down.valid = static_cast<const uint8_t*>(find(sim, scope, names[2]));
    p.down.ready = static_cast<const uint8_t*>(find(sim, scope, names[3]));
    p.data = static_cast<const uint8_t*>(find(sim, scope, names[4]));
    p.bytes = bytes;
    if (!p.up.valid || !p.up.ready || !p.down.valid || !p.down.ready || !p.data) return -1;
    sim.probes.push_back(p);
    return static_cast<int>(sim.probes.size()) - 1;
}

// Keeps the beats that leave stream `probe` in `buffer`, until it is full.
PHY_API void phy_capture(void* handle, int probe, uint8_t* buffer, int64_t bytes) {
    Probe& p = static_cast<Sim*>(handle)->probes.at(static_cast<size_t>(probe));
    p.capture = buffer;
    p.capture_bytes = bytes;
    p.captured = 0;
}

// Copies the counters of stream `probe`; returns the bytes captured.
PHY_API int64_t phy_count(void* handle, int probe, StreamCount* count) {
    const Probe& p = static_cast<Sim*>(handle)->probes.at(static_cast<size_t>(probe));
    *count = p.count;
    return p.captured;
}

// Writes a 32-bit public signal; returns 0, or -1 if there is none of that name.
PHY_API int phy_poke(void* handle, const char* scope, const char* name, uint32_t value) {
    void* signal = find(*static_cast<Sim*>(handle), scope, name);
    if (!signal) return -1;
    std::memcpy(signal, &value, sizeof value);
    return 0;
}
#endif

#ifdef PHY_TRACE
PHY_API void phy_trace(void* handle, const char* path) {
    Sim& sim = *static_cast<Sim*>(handle);
    sim.trace = std::make_unique<TraceFile>();
    sim.top->trace(sim.trace.get(), 99);
    sim.trace->open(path);
}
PHY_API void phy_trace_end(void* handle) {
    Sim& sim = *static_cast<Sim*>(handle);
    if (sim.trace) sim.trace->close();
}
#endif
