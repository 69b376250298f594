// SPDX-License-Identifier: Apache-2.0
//
// A whole board, clock by clock: the design sees its pins and nothing else. Compiled beside the
// generated C++ of a board top (prefix Vphy) into a shared library; hls/sim/board_native.py
// calls the functions at the end of this file through ctypes.
//
// clk_i runs at the rate of the PLL's output (the simulation model of the PLL passes it
// through). The host's side of the serial line is a UART of its own: it drives uart_rx_i and
// samples uart_tx_o in every cycle, bit by bit, with its own bit length in cycles, which need
// not be a whole number nor quite that of the board. Bytes come from and go to a file descriptor
// (the master side of a pseudo-terminal) or two queues.

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <memory>
#include <stdexcept>
#include <string>

#include <poll.h>
#include <unistd.h>

#include "Vphy.h"
#include "verilated.h"

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

constexpr int64_t kPollCycles = 256;   // between looks at the file descriptor
constexpr size_t kQueueBytes = 65536;  // bytes read ahead of the line

// Host to board: one byte after the other, each for ten bits.
struct Sender {
    double bit_cycles = 0;
    double end = 0;  // cycle in which the bit that is on the line ends
    int left = 0;    // bits
    unsigned shift = 0;
    bool level = true;
    std::deque<uint8_t> queue;
    bool busy() const { return left > 0 || !queue.empty(); }
    void step(int64_t cycle) {
        const double now = static_cast<double>(cycle);
        if (left > 0 && now < end) return;
        if (left == 0) {
            if (queue.empty()) return;
            shift = (static_cast<unsigned>(queue.front()) << 1) | 0x200u;
            queue.pop_front();
            left = 11;
            end = now;
        }
        if (--left == 0) {
            level = true;
            if (!queue.empty()) step(cycle);
            return;
        }
        level = shift & 1u;
        shift >>= 1;
        end += bit_cycles;
    }
};

// Board to host: sees a start bit, samples in the middle of each bit.
struct Receiver {
    double bit_cycles = 0;
    double next = 0;
    int left = 0;
    unsigned shift = 0;
    bool last = true;
    int64_t framing_errors = 0;
    std::deque<uint8_t> queue;
    void step(int64_t cycle, bool level) {
        if (left == 0) {
            if (last && !level) {
                left = 10;
                next = static_cast<double>(cycle) + 0.5 * bit_cycles;
            }
            last = level;
            return;
        }
        if (static_cast<double>(cycle) < next) return;
        next += bit_cycles;
        --left;
        if (left == 9) {
            if (level) left = 0;  // a glitch
        } else if (left > 0) {
            shift = (shift >> 1) | (level ? 0x80u : 0u);
        } else if (level) {
            queue.push_back(static_cast<uint8_t>(shift));
        } else {
            ++framing_errors;
        }
        last = level;
    }
};

struct Sim {
    std::unique_ptr<VerilatedContext> context = std::make_unique<VerilatedContext>();
    std::unique_ptr<Vphy> top;
    std::string error;
    Sender to;
    Receiver from;
    int fd = -1;
    int64_t cycle = 0;
    int64_t quiet_since = 0;  // no bit has moved on either line since this cycle

    // Bytes from and to the file descriptor; true if there were any.
    bool exchange() {
        if (fd < 0) return false;
        bool moved = false;
        uint8_t buffer[4096];
        if (to.queue.size() < kQueueBytes) {
            const ssize_t n = read(fd, buffer, sizeof buffer);
            if (n > 0) to.queue.insert(to.queue.end(), buffer, buffer + n);
            moved = n > 0;
        }
        while (!from.queue.empty()) {
            size_t n = 0;
            while (n < sizeof buffer && n < from.queue.size()) {
                buffer[n] = from.queue[n];
                ++n;
            }
            const ssize_t written = write(fd, buffer, n);
            if (written <= 0) break;  // nobody reads at the moment: kept
            from.queue.erase(from.queue.begin(), from.queue.begin() + written);
            moved = true;
        }
        return moved;
    }

    void run(int64_t cycles) {
        const int64_t end = cycle + cycles;
        while (cycle < end) {
            if (cycle % kPollCycles == 0 && exchange()) quiet_since = cycle;
            to.step(cycle);
            top->uart_rx_i = to.level;
            top->clk_i = 0;
            top->eval();
            top->clk_i = 1;
            top->eval();
            from.step(cycle, top->uart_tx_o);
            if (to.left > 0 || from.left > 0) quiet_since = cycle;
            ++cycle;
        }
    }
};

}  // namespace

#define PHY_API extern "C" __attribute__((visibility("default")))

PHY_API void* board_open(double to_bit_cycles, double from_bit_cycles, uint64_t seed, char* error,
                         int64_t error_bytes) {
    auto sim = std::make_unique<Sim>();
    try {
        sim->context->randReset(2);  // what the design does not reset holds any value
        sim->context->randSeed(static_cast<int>(seed));
        sim->context->fatalOnError(false);
        sim->to.bit_cycles = to_bit_cycles;
        sim->from.bit_cycles = from_bit_cycles;
        sim->top = std::make_unique<Vphy>(sim->context.get(), "TOP");
        sim->top->uart_rx_i = 1;
#ifdef PHY_BOARD_RESET
        sim->top->reset_i = 0;
#endif
        sim->top->eval();  // initial blocks: reads the memory files
    } catch (const std::exception& e) {
        std::snprintf(error, static_cast<size_t>(error_bytes), "%s", e.what());
        return nullptr;
    }
    return sim.release();
}

PHY_API void board_close(void* handle) { delete static_cast<Sim*>(handle); }

PHY_API const char* board_error(void* handle) { return static_cast<Sim*>(handle)->error.c_str(); }

// From now on bytes come from and go to `fd` (non-blocking).
PHY_API void board_attach(void* handle, int fd) { static_cast<Sim*>(handle)->fd = fd; }

// Runs so many cycles; 0, or -1 if the design stopped (board_error says why).
PHY_API int board_run(void* handle, int64_t cycles) {
    Sim& sim = *static_cast<Sim*>(handle);
    try {
        sim.run(cycles);
    } catch (const std::exception& e) {
        sim.error = e.what();
        return -1;
    }
    return 0;
}

// Waits for a byte at the file descriptor, up to so many milliseconds; 1 if there is one.
PHY_API int board_wait(void* handle, int milliseconds) {
    pollfd descriptor{static_cast<Sim*>(handle)->fd, POLLIN, 0};
    return poll(&descriptor, 1, milliseconds) > 0 ? 1 : 0;
}

PHY_API void board_send(void* handle, const uint8_t* bytes, int64_t count) {
    auto& queue = static_cast<Sim*>(handle)->to.queue;
    queue.insert(queue.end(), bytes, bytes + count);
}

// Takes up to `room` received bytes; returns how many.
PHY_API int64_t board_receive(void* handle, uint8_t* bytes, int64_t room) {
    auto& queue = static_cast<Sim*>(handle)->from.queue;
    int64_t count = 0;
    while (count < room && !queue.empty()) {
        bytes[count++] = queue.front();
        queue.pop_front();
    }
    return count;
}

// Holds the board's reset button.
PHY_API void board_reset(void* handle, int pressed) {
#ifdef PHY_BOARD_RESET
    static_cast<Sim*>(handle)->top->reset_i = static_cast<uint8_t>(pressed);
#else
    (void)handle;
    (void)pressed;
#endif
}

// Cycles run, cycles since the lines were busy, bytes that wait to be sent, bad stop bits, lights.
PHY_API void board_state(void* handle, int64_t* state) {
    const Sim& sim = *static_cast<Sim*>(handle);
    state[0] = sim.cycle;
    state[1] = sim.cycle - sim.quiet_since;
    state[2] = static_cast<int64_t>(sim.to.queue.size()) + (sim.to.left > 0);
    state[3] = sim.from.framing_errors;
    state[4] = sim.top->led_o;
}
