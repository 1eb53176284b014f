#include "base/fork.h"

#include <condition_variable>
#include <mutex>
#include <new>
#include <utility>

#if !defined(_WIN32)
#include <pthread.h>
#endif

namespace fastort {
namespace {

thread_local int t_depth = 0;

struct Gate {
  std::mutex mutex;
  std::condition_variable left;
  int holders = 0;  // threads, not guards
};

// Never destroyed: threads may work while the process ends.
alignas(Gate) unsigned char g_memory[sizeof(Gate)];
Gate* const g_gate = new (g_memory) Gate;

void enter() noexcept {
  const std::lock_guard lock(g_gate->mutex);
  ++g_gate->holders;
}

void leave() noexcept {
  const std::lock_guard lock(g_gate->mutex);
  if (--g_gate->holders <= 1) g_gate->left.notify_all();
}

#if !defined(_WIN32)
// A thread that forks inside a guard of its own does not wait for itself. Others may still enter while it waits,
// because a holder may depend on them.
void before_fork() noexcept {
  const int own = t_depth > 0 ? 1 : 0;
  std::unique_lock lock(g_gate->mutex);
  g_gate->left.wait(lock, [&] { return g_gate->holders <= own; });
  lock.release();
}

void after_fork_in_parent() noexcept { g_gate->mutex.unlock(); }

// The condition variable may still count waiting threads that the child does not have.
void after_fork_in_child() noexcept {
  Gate* const gate = new (g_memory) Gate;
  gate->holders = t_depth > 0 ? 1 : 0;
}

[[maybe_unused]] const int kForkHandler = pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
#endif

}  // namespace

ForkGuard::ForkGuard() noexcept {
  if (t_depth++ == 0) enter();
}

ForkGuard::~ForkGuard() {
  if (--t_depth == 0) leave();
}

ForkPause::ForkPause() noexcept : depth_(std::exchange(t_depth, 0)) {
  if (depth_ > 0) leave();
}

ForkPause::~ForkPause() {
  if (depth_ > 0) enter();
  t_depth = depth_;
}

}  // namespace fastort
