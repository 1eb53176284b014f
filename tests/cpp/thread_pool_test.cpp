#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "base/cpu_info.h"
#include "base/parallel.h"
#include "base/thread_pool.h"

#if !defined(_WIN32)
#include <sys/wait.h>
#include <unistd.h>
#endif
#if defined(__linux__)
#include <sched.h>
#endif

namespace fastort {
namespace {

#if defined(__SANITIZE_THREAD__)
constexpr bool kThreadSanitizer = true;
#else
constexpr bool kThreadSanitizer = false;
#endif

TEST_CASE("every chunk runs exactly once") {
  for (int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    CHECK(pool.size() == threads);
    for (int chunks : {0, 1, 2, 3, 7, 100, 1000}) {
      for (int max_threads : {0, 1, 2, 64}) {
        std::vector<std::atomic<int>> seen(static_cast<size_t>(chunks));
        pool.parallel_for(chunks, max_threads, [&](int i) { seen[static_cast<size_t>(i)].fetch_add(1); });
        for (auto& count : seen) CHECK(count.load() == 1);
      }
    }
  }
}

#if defined(__linux__)
TEST_CASE("workers that share their caller's processor leave it, and may come back") {
  cpu_set_t before;
  REQUIRE(sched_getaffinity(0, sizeof(before), &before) == 0);
  if (CPU_COUNT(&before) < 2) return;
  ThreadPool pool(2);
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(static_cast<size_t>(sched_getcpu()), &one);
  REQUIRE(sched_setaffinity(0, sizeof(one), &one) == 0);
  const auto caller = std::this_thread::get_id();
  std::atomic<int> done{0}, kept{0}, narrowed{0};
  for (int round = 0; round < 50; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));  // the worker sleeps
    pool.parallel_for(64, 2, [&](int) {
      done.fetch_add(1);
      const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(20);
      while (std::chrono::steady_clock::now() < end) {
      }
      if (std::this_thread::get_id() == caller) return;
      cpu_set_t own;
      if (sched_getaffinity(0, sizeof(own), &own) != 0) return;
      (CPU_EQUAL(&own, &before) ? kept : narrowed).fetch_add(1);
    });
  }
  CHECK(sched_setaffinity(0, sizeof(before), &before) == 0);
  CHECK(done.load() == 50 * 64);
  CHECK(kept.load() > 0);
  CHECK(narrowed.load() == 0);
}
#endif

TEST_CASE("no more threads than asked for take part") {
  ThreadPool pool(8);
  for (int max_threads : {1, 2, 3}) {
    for (int round = 0; round < 20; ++round) {
      std::atomic<int> inside{0}, most{0};
      pool.parallel_for(40, max_threads, [&](int) {
        const int now = inside.fetch_add(1) + 1;
        int before = most.load();
        while (before < now && !most.compare_exchange_weak(before, now)) {
        }
        std::this_thread::sleep_for(std::chrono::microseconds(20));
        inside.fetch_sub(1);
      });
      CHECK(most.load() <= max_threads);
    }
  }
}

TEST_CASE("workers take part, also after they went to sleep") {
  ThreadPool pool(4);
  for (int round = 0; round < 3; ++round) {
    std::atomic<int> arrived{0};
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    // Each chunk waits for all of them: with fewer than four threads this would end by the clock alone.
    pool.parallel_for(4, 4, [&](int) {
      arrived.fetch_add(1);
      while (arrived.load() < 4 && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    });
    CHECK(std::chrono::steady_clock::now() < end);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

TEST_CASE("as many callers as processors are left alone") {
  ThreadPool pool(2);
  std::atomic<bool> begun{false}, ended{false}, idle{false};
  std::thread other([&] {
    pool.parallel_for(2, 2, [&](int i) {
      if (i == 1) return idle.store(true);
      begun.store(true);
      while (!ended.load()) std::this_thread::yield();
    });
  });
  while (!begun.load() || !idle.load()) std::this_thread::yield();
  const auto self = std::this_thread::get_id();
  std::atomic<int> total{0}, strangers{0};
  for (int round = 0; round < 50; ++round) {
    pool.parallel_for(8, 2, [&](int) {
      if (std::this_thread::get_id() != self) strangers.fetch_add(1);
      total.fetch_add(1);
      std::this_thread::sleep_for(std::chrono::microseconds(50));  // time enough for a helper to come
    });
  }
  ended.store(true);
  other.join();
  CHECK(total.load() == 400);
  CHECK(strangers.load() == 0);
}

TEST_CASE("a nested region runs on the thread that started it") {
  ThreadPool pool(4);
  CHECK_FALSE(ThreadPool::in_parallel());
  std::atomic<int> total{0}, strangers{0};
  pool.parallel_for(16, 4, [&](int) {
    if (!ThreadPool::in_parallel()) strangers.fetch_add(1);
    const auto self = std::this_thread::get_id();
    pool.parallel_for(10, 4, [&](int) {
      if (std::this_thread::get_id() != self) strangers.fetch_add(1);
      total.fetch_add(1);
    });
  });
  CHECK(total.load() == 160);
  CHECK(strangers.load() == 0);
  CHECK_FALSE(ThreadPool::in_parallel());
}

TEST_CASE("the first exception reaches the caller and the rest is skipped") {
  ThreadPool pool(4);
  for (int round = 0; round < 200; ++round) {
    std::atomic<int> ran{0};
    const auto region = [&] {
      pool.parallel_for(10000, 4, [&](int i) {
        ran.fetch_add(1);
        if (i % 7 == 3) throw std::runtime_error("chunk");
      });
    };
    CHECK_THROWS_WITH_AS(region(), "chunk", std::runtime_error);
    CHECK(ran.load() < 10000);
    CHECK_FALSE(ThreadPool::in_parallel());
  }
  const auto serial = [&] { pool.parallel_for(3, 1, [](int) { throw std::runtime_error("serial"); }); };
  CHECK_THROWS_WITH_AS(serial(), "serial", std::runtime_error);
  CHECK_FALSE(ThreadPool::in_parallel());
  std::atomic<int> after{0};
  pool.parallel_for(100, 4, [&](int) { after.fetch_add(1); });
  CHECK(after.load() == 100);
}

TEST_CASE("many callers share one pool") {
  ThreadPool pool(4);
  constexpr int kCallers = 8, kRounds = kThreadSanitizer ? 300 : 3000;
  std::vector<std::thread> callers;
  std::atomic<int> wrong{0};
  for (int caller = 0; caller < kCallers; ++caller) {
    callers.emplace_back([&, caller] {
      for (int round = 0; round < kRounds; ++round) {
        const int chunks = 1 + (caller * 7 + round) % 23;
        std::vector<int> seen(static_cast<size_t>(chunks), 0);
        pool.parallel_for(chunks, 1 + round % 5, [&](int i) { ++seen[static_cast<size_t>(i)]; });
        for (int count : seen) wrong.fetch_add(count != 1);
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK(wrong.load() == 0);
}

TEST_CASE("more callers than the pool has places for") {
  ThreadPool pool(2);
  std::atomic<int> inside{0}, total{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 80; ++caller) {
    callers.emplace_back([&] {
      pool.parallel_for(2, 2, [&](int) {
        inside.fetch_add(1);
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
        total.fetch_add(1);
      });
    });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK(total.load() == 160);
}

TEST_CASE("pieces of a range cover it once") {
  ThreadPool pool(3);
  const Parallel parallel(pool, 3);
  for (int64_t n : {0, 1, 5, 63, 64, 65, 1000}) {
    for (int64_t grain : {0, 1, 7, 64, 5000}) {
      std::vector<std::atomic<int>> seen(static_cast<size_t>(n));
      parallel.range(n, grain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) seen[static_cast<size_t>(i)].fetch_add(1);
      });
      for (auto& count : seen) CHECK(count.load() == 1);
    }
  }
}

TEST_CASE("work that is split for a number of threads is split alike on any number") {
  using Pieces = std::set<std::pair<int64_t, int64_t>>;
  ThreadPool pool(7);
  const auto pieces = [&](int threads, int64_t n, int64_t grain) {
    const Parallel parallel(pool, threads, nullptr, 8);
    CHECK(parallel.threads() == 8);
    std::mutex mutex;
    Pieces found;
    parallel.range(n, grain, [&](int64_t begin, int64_t end) {
      const std::lock_guard lock(mutex);
      found.emplace(begin, end);
    });
    return found;
  };
  for (const int64_t n : {1, 100, 12345}) {
    const Pieces alone = pieces(1, n, 10);
    for (const int threads : {2, 3, 4, 7}) CHECK(pieces(threads, n, 10) == alone);
  }
  CHECK(pieces(1, 12345, 10).size() == 32);
}

TEST_CASE("a cancelled run stops between chunks") {
  ThreadPool pool(2);
  std::atomic<bool> cancelled{false};
  const Parallel parallel(pool, 2, &cancelled);
  std::atomic<int> ran{0};
  const auto run = [&] {
    parallel.chunks(1000, [&](int) {
      if (ran.fetch_add(1) == 10) cancelled.store(true);
    });
  };
  CHECK_THROWS_AS(run(), Error);
  CHECK(ran.load() < 1000);
}

TEST_CASE("the process's pool follows the machine") {
  CHECK(usable_cpus() >= 1);
  CHECK(ThreadPool::instance().size() == usable_cpus());
  CHECK(&ThreadPool::instance() == &ThreadPool::instance());
  CHECK(cache_sizes().l1d > 0);
  CHECK(cache_sizes().l2 >= cache_sizes().l1d);
  CHECK_FALSE(cpu_name().empty());
}

#if !defined(_WIN32)
TEST_CASE("a forked child gets a pool of its own") {
  if (kThreadSanitizer) return;  // it does not support threads that are started after a fork
  std::atomic<int> before{0};
  ThreadPool::instance().parallel_for(64, 8, [&](int) { before.fetch_add(1); });
  const ThreadPool* parent = &ThreadPool::instance();
  for (int round = 0; round < 5; ++round) {
    const pid_t child = fork();
    if (child == 0) {
      alarm(20);
      std::atomic<int> count{0};
      ThreadPool::instance().parallel_for(1000, 8, [&](int) { count.fetch_add(1); });
      _exit(count.load() == 1000 && &ThreadPool::instance() != parent ? 0 : 1);
    }
    REQUIRE(child > 0);
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
    CHECK(&ThreadPool::instance() == parent);
    std::atomic<int> after{0};
    ThreadPool::instance().parallel_for(64, 8, [&](int) { after.fetch_add(1); });
    CHECK(after.load() == 64);
  }
}
#endif

}  // namespace
}  // namespace fastort
