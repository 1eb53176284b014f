// Measures what the machine can do at best and prints it as JSON: the peak of fused multiply-adds, the bandwidth of
// reads from each cache level and from memory, and the clock that the cores really run at. With --serve it answers each
// line of its input with what the machine does at that moment.

#include <unistd.h>

#include <algorithm>
#include <barrier>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <new>
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

// Fused multiply-adds on several threads.
class Arithmetic {
 public:
  Arithmetic(const Options& options, int threads) : threads_(threads), sinks_(static_cast<size_t>(threads) * 16) {
    rounds_ = rounds_for(options.slice, [&](int64_t n) { fma_rounds(n, sinks_.data()); });
    operations_ = static_cast<double>(fma_rounds(1, sinks_.data())) * static_cast<double>(rounds_) * threads;
  }

  double gflops(int repeats) {
    const auto work = [&](int thread) { fma_rounds(rounds_, &sinks_[thread * size_t{16}]); };
    return operations_ / best_time(threads_, repeats, work) * 1e-9;
  }

 private:
  int threads_;
  std::vector<float> sinks_;  // a cache line for each thread
  int64_t rounds_ = 0;
  double operations_ = 0;
};

struct FreeDeleter {
  void operator()(void* memory) const { std::free(memory); }
};

// Reads of `bytes` bytes by each thread.
class Reads {
 public:
  using Read = uint64_t (*)(const void* data, size_t bytes);

  Reads(const Options& options, int threads, size_t bytes)
      : threads_(threads), bytes_(bytes), sinks_(static_cast<size_t>(threads) * 8) {
    for (int thread = 0; thread < threads; ++thread) {
      buffers_.emplace_back(std::aligned_alloc(4096, bytes));
      if (!buffers_.back()) throw std::bad_alloc();
      std::memset(buffers_.back().get(), thread + 1, bytes);
    }
    passes_ = rounds_for(options.slice, [&](int64_t n) { work(read_once, 0, std::max<int64_t>(1, n / 16)); }) / 16 + 1;
  }

  // The faster way of two.
  double gbps(int repeats) {
    const auto time_of = [&](Read read) {
      return best_time(threads_, repeats, [&](int thread) { work(read, thread, passes_); });
    };
    const double time = std::min(time_of(read_once), time_of(read_streams));
    return static_cast<double>(bytes_) * static_cast<double>(passes_) * threads_ / time * 1e-9;
  }

 private:
  void work(Read read, int thread, int64_t passes) {
    uint64_t sum = 0;
    for (int64_t pass = 0; pass < passes; ++pass) sum += read(buffers_[thread].get(), bytes_);
    sinks_[thread * size_t{8}] = sum;
  }

  int threads_;
  size_t bytes_;
  std::vector<std::unique_ptr<void, FreeDeleter>> buffers_;
  std::vector<uint64_t> sinks_;  // a cache line for each thread
  int64_t passes_ = 0;
};

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

  size_t share(int threads) const {
    return std::max<size_t>(4096, (shared ? bytes / static_cast<size_t>(threads) : bytes) / 4096 * 4096);
  }
};

Level memory_level() {
  const size_t l3 = cache_bytes(_SC_LEVEL3_CACHE_SIZE, size_t{8} << 20);
  return {"memory", std::clamp(l3 * 4, size_t{256} << 20, size_t{512} << 20), true};
}

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
      memory_level(),
  };
  std::vector<int> counts = {1};
  if (options.threads > 1) counts.push_back(options.threads);

  std::printf("{\n  \"processor\": \"%s\",\n  \"target\": \"%s\",\n  \"threads\": %d,\n", processor().c_str(),
              target_name(), options.threads);
  std::printf("  \"cache_bytes\": {\"L1\": %zu, \"L2\": %zu, \"L3\": %zu},\n", l1, l2, l3);
  std::printf("  \"clock_ghz\": %.3f,\n  \"fma_gflops\": {", clock_ghz(options));
  for (int count : counts)
    std::printf("%s\"%d\": %.1f", count == 1 ? "" : ", ", count, Arithmetic(options, count).gflops(options.repeats));
  std::printf("},\n  \"read_gbps\": {");
  for (const Level& level : levels) {
    std::printf("%s\n    \"%s\": {", &level == levels ? "" : ",", level.name);
    for (int count : counts)
      std::printf("%s\"%d\": %.1f", count == 1 ? "" : ", ", count,
                  Reads(options, count, level.share(count)).gbps(options.repeats));
    std::printf("}");
  }
  std::printf("\n  }\n}\n");
}

// Answers each line of the input with what the machine does at that moment: a shared one does more or less from one
// minute to the next, so that what runs beside it is compared with the roof of the same moment.
void serve(const Options& options) {
  Arithmetic arithmetic(options, options.threads);
  Reads memory(options, options.threads, memory_level().share(options.threads));
  std::printf("{\"version\": \"%s\"}\n", target_name());
  std::fflush(stdout);
  for (std::string line; std::getline(std::cin, line);) {
    const double gflops = arithmetic.gflops(options.repeats), gbps = memory.gbps(options.repeats);
    std::printf("{\"fma_gflops\": %.1f, \"memory_gbps\": %.1f}\n", gflops, gbps);
    std::fflush(stdout);
  }
}

}  // namespace
}  // namespace fastort::bench

int main(int argc, char** argv) {
  fastort::bench::Options options;
  bool serving = false;
  options.threads = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--quick") {
      options.repeats = 3;
      options.slice = 0.01;
    } else if (argument == "--serve") {
      serving = true;
    } else if (argument == "--threads" && i + 1 < argc && std::atoi(argv[i + 1]) > 0) {
      options.threads = std::atoi(argv[++i]);
    } else {
      std::fprintf(stderr, "usage: roof [--quick] [--serve] [--threads N]\n");
      return 2;
    }
  }
  serving ? fastort::bench::serve(options) : fastort::bench::print(options);
  return 0;
}
