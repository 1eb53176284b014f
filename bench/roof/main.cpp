// Measures what the machine can do at best and prints it as JSON: the peak of fused multiply-adds, the bandwidth of
// reads from each cache level and from memory, and the clock that the cores really run at.

#include <unistd.h>

#include <algorithm>
#include <barrier>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "kernels.h"

namespace fastort::bench {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

struct Options {
  int threads = 1;
  int repeats = 15;
  double slice = 0.05;  // seconds that one repeat of one measurement lasts
};

// Runs `work(thread)` on every thread at once, `repeats` times, and returns the shortest time of a repeat. The time of
// one runs from the common start to the last thread's end.
double best_time(int threads, int repeats, const std::function<void(int)>& work) {
  double best = 1e30;
  Clock::time_point start;
  std::barrier begin(threads, [&]() noexcept { start = Clock::now(); });
  std::barrier end(threads, [&]() noexcept { best = std::min(best, seconds_since(start)); });
  const auto body = [&](int thread) {
    for (int i = 0; i < repeats; ++i) {
      begin.arrive_and_wait();
      work(thread);
      end.arrive_and_wait();
    }
  };
  std::vector<std::thread> others;
  for (int thread = 1; thread < threads; ++thread) others.emplace_back(body, thread);
  body(0);
  for (std::thread& other : others) other.join();
  return best;
}

// Returns how often `work(rounds)` must be asked to turn for one slice of time.
int64_t rounds_for(double slice, const std::function<void(int64_t)>& work) {
  int64_t rounds = 16;
  for (;;) {
    const auto start = Clock::now();
    work(rounds);
    const double took = seconds_since(start);
    if (took > slice / 4) return std::max<int64_t>(1, static_cast<int64_t>(rounds * slice / took));
    rounds *= 4;
  }
}

double clock_ghz(const Options& options) {
  // Volatile, so that neither the operands nor the use of the result are known.
  volatile uint64_t seed = 0x9e3779b97f4a7c15u;
  volatile uint64_t sink = 0;
  const auto work = [&](int64_t rounds) { sink = dependent_chain(rounds, seed, seed + 1); };
  const int64_t rounds = rounds_for(options.slice, work);
  const double time = best_time(1, options.repeats, [&](int) { work(rounds); });
  return static_cast<double>(rounds * kChainCycles) / time * 1e-9;
}

double fma_gflops(const Options& options, int threads) {
  std::vector<float> sinks(static_cast<size_t>(threads) * 16);  // a cache line for each thread
  const int64_t rounds = rounds_for(options.slice, [&](int64_t n) { fma_rounds(n, sinks.data()); });
  const double operations = static_cast<double>(fma_rounds(1, sinks.data())) * static_cast<double>(rounds);
  const double time = best_time(threads, options.repeats, [&](int t) { fma_rounds(rounds, &sinks[t * size_t{16}]); });
  return operations * threads / time * 1e-9;
}

struct FreeDeleter {
  void operator()(void* memory) const { std::free(memory); }
};

double read_gbps(const Options& options, int threads, size_t bytes) {
  std::vector<std::unique_ptr<void, FreeDeleter>> buffers;
  for (int thread = 0; thread < threads; ++thread) {
    buffers.emplace_back(std::aligned_alloc(4096, bytes));
    if (!buffers.back()) return 0;
    std::memset(buffers.back().get(), thread + 1, bytes);
  }
  std::vector<uint64_t> sinks(static_cast<size_t>(threads) * 8);
  const auto work = [&](int thread, int64_t passes) {
    uint64_t sum = 0;
    for (int64_t pass = 0; pass < passes; ++pass) sum += read_once(buffers[thread].get(), bytes);
    sinks[thread * size_t{8}] = sum;
  };
  const int64_t passes = rounds_for(options.slice, [&](int64_t n) { work(0, std::max<int64_t>(1, n / 16)); }) / 16 + 1;
  const double time = best_time(threads, options.repeats, [&](int thread) { work(thread, passes); });
  return static_cast<double>(bytes) * static_cast<double>(passes) * threads / time * 1e-9;
}

std::string processor() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

size_t cache_bytes(int name, size_t otherwise) {
  const long bytes = sysconf(name);
  return bytes > 0 ? static_cast<size_t>(bytes) : otherwise;
}

struct Level {
  const char* name;
  size_t bytes;
  bool shared;  // by all cores, so that each thread reads its share of it
};

void print(const Options& options) {
  const size_t l1 = cache_bytes(_SC_LEVEL1_DCACHE_SIZE, size_t{32} << 10);
  const size_t l2 = cache_bytes(_SC_LEVEL2_CACHE_SIZE, size_t{512} << 10);
  const size_t l3 = cache_bytes(_SC_LEVEL3_CACHE_SIZE, size_t{8} << 20);
  // Half of a private cache leaves room for what else lives there. A shared one may be cut into parts that one core
  // does not see as a whole, so a quarter of it is read.
  const Level levels[] = {
      {"L1", l1 / 2, false},
      {"L2", l2 / 2, false},
      {"L3", std::max(l2 * 2, std::min(l3 / 4, size_t{8} << 20)), true},
      {"memory", std::clamp(l3 * 4, size_t{256} << 20, size_t{512} << 20), true},
  };
  std::vector<int> counts = {1};
  if (options.threads > 1) counts.push_back(options.threads);

  std::printf("{\n  \"processor\": \"%s\",\n  \"target\": \"%s\",\n  \"threads\": %d,\n", processor().c_str(),
              target_name(), options.threads);
  std::printf("  \"cache_bytes\": {\"L1\": %zu, \"L2\": %zu, \"L3\": %zu},\n", l1, l2, l3);
  std::printf("  \"clock_ghz\": %.3f,\n  \"fma_gflops\": {", clock_ghz(options));
  for (int count : counts) std::printf("%s\"%d\": %.1f", count == 1 ? "" : ", ", count, fma_gflops(options, count));
  std::printf("},\n  \"read_gbps\": {");
  for (const Level& level : levels) {
    std::printf("%s\n    \"%s\": {", &level == levels ? "" : ",", level.name);
    for (int count : counts) {
      const size_t share = level.shared ? level.bytes / static_cast<size_t>(count) : level.bytes;
      const size_t bytes = std::max<size_t>(4096, share / 4096 * 4096);
      std::printf("%s\"%d\": %.1f", count == 1 ? "" : ", ", count, read_gbps(options, count, bytes));
    }
    std::printf("}");
  }
  std::printf("\n  }\n}\n");
}

}  // namespace
}  // namespace fastort::bench

int main(int argc, char** argv) {
  fastort::bench::Options options;
  options.threads = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--quick") {
      options.repeats = 3;
      options.slice = 0.01;
    } else if (argument == "--threads" && i + 1 < argc && std::atoi(argv[i + 1]) > 0) {
      options.threads = std::atoi(argv[++i]);
    } else {
      std::fprintf(stderr, "usage: roof [--quick] [--threads N]\n");
      return 2;
    }
  }
  fastort::bench::print(options);
  return 0;
}
