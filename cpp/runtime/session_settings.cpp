#include "runtime/session_settings.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "base/thread_pool.h"
#include "runtime/choice_store.h"
#include "runtime/config_entries.h"
#include "runtime/pack_store.h"

namespace fastort {
namespace {

// Threads that deterministic sessions plan for; more of them than these find little to do.
constexpr int kDeterministicSplit = 8;

// nullptr where the options ask for nothing but the process's.
std::unique_ptr<PackStore> pack_store(const SessionOptions& options) {
  const ConfigEntries entries(options.config_entries);
  const std::string_view folder = entries.text("fastort.cache_dir");
  const bool huge_pages = entries.flag("fastort.huge_pages", false);
  const size_t max_bytes = entries.number("fastort.cache_max_bytes", "bytes", size_t{4} << 30);
  if (folder.empty() && !huge_pages) return nullptr;
  return std::make_unique<SessionPackStore>(folder.empty() ? nullptr : PackCache::of(std::string(folder), max_bytes),
                                            huge_pages);
}

bool is_kernel(std::string_view name) {
  return std::ranges::any_of(all_ops(), [&](const OpDef* op) {
    return std::ranges::any_of(op->cpu, [&](const Candidate& candidate) { return name == candidate.name; });
  });
}

KernelChoice kernel_choice(const SessionOptions& options) {
  constexpr double kTrialSeconds = 2;
  const ConfigEntries entries(options.config_entries);
  KernelChoice choice;
  choice.prefer = entries.text("fastort.prefer_kernel");
  if (!choice.prefer.empty() && !is_kernel(choice.prefer))
    invalid_argument("fastort.prefer_kernel: no operator has a kernel '" + choice.prefer +
                     "'; InferenceSession.explain() shows the names of those that serve a model");
  const std::string_view mode = entries.text("fastort.kernel_choice");
  const double seconds = entries.number("fastort.trial_seconds", "seconds", kTrialSeconds);
  if (!mode.empty() && mode != "rule" && mode != "stored" && mode != "measure")
    invalid_argument("fastort.kernel_choice is 'rule', 'stored' or 'measure', not '" + std::string(mode) + "'");
  const std::string folder(entries.text("fastort.cache_dir"));
  const bool measure = mode == "measure";
  // Times differ from one day to the next, and with them the kernels and the last bits of the results.
  if (mode == "rule" || options.use_deterministic_compute || (!measure && folder.empty())) return choice;
  choice.measured = std::make_shared<ChoiceStore>(folder, measure ? seconds : 0);
  return choice;
}

}  // namespace

SessionSettings read_settings(const SessionOptions& options) {
  const ConfigEntries entries(options.config_entries);
  entries.check_names();
  SessionSettings settings;
  const int usable = ThreadPool::instance().size();
  settings.threads = options.intra_op_num_threads > 0 ? std::min(options.intra_op_num_threads, usable) : usable;
  EngineOptions& engine = settings.engine;
  engine.deterministic = options.use_deterministic_compute;
  // Kernels are chosen and work is split for one number of threads, so that the results are those of any number.
  engine.threads = engine.deterministic ? kDeterministicSplit : settings.threads;
  engine.allow_winograd = entries.flag("fastort.allow_winograd", true);
  engine.allow_amx = entries.flag("fastort.allow_amx", true);
  engine.allow_blocked_layouts = entries.flag("fastort.allow_blocked_layouts", true) && options.optimization_level >= 3;
  settings.packs = pack_store(options);
  settings.choice = kernel_choice(options);
  return settings;
}

}  // namespace fastort
