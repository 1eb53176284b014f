#include "base/log.h"

#include <atomic>
#include <memory>
#include <mutex>
#include <utility>

#include "base/fork.h"

namespace fastort {
namespace {

struct SinkHolder {
  std::mutex mutex;
  std::shared_ptr<const LogSink> sink;
  std::atomic<bool> set{false};
};

// Never destroyed: threads may log while the process ends.
SinkHolder& holder() {
  static SinkHolder* const kHolder = new SinkHolder;
  return *kHolder;
}

}  // namespace

void set_log_sink(LogSink sink) {
  auto next = sink ? std::make_shared<const LogSink>(std::move(sink)) : nullptr;
  SinkHolder& here = holder();
  const bool set = next != nullptr;
  {
    const ForkGuard guard;
    std::lock_guard lock(here.mutex);
    here.sink.swap(next);
  }
  here.set.store(set, std::memory_order_release);
}

bool has_log_sink() noexcept { return holder().set.load(std::memory_order_acquire); }

void log(Severity severity, std::string_view text) noexcept {
  if (!has_log_sink()) return;
  try {
    std::shared_ptr<const LogSink> sink;
    {
      const ForkGuard guard;
      SinkHolder& here = holder();
      std::lock_guard lock(here.mutex);
      sink = here.sink;
    }
    const ForkPause pause;
    if (sink) (*sink)(severity, text);
  } catch (...) {
    return;
  }
}

}  // namespace fastort
