#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "passes/pipeline.h"
#include "plan/device.h"
#include "runtime/executor.h"
#include "runtime/options.h"
#include "runtime/profiler.h"
#include "runtime/session_settings.h"

namespace fastort {

// An input or output of a model as the user sees it.
struct NodeArgInfo {
  std::string name;
  ValueType type;
  // A size, a symbol's name, or nothing where neither is known.
  std::vector<std::variant<std::monostate, int64_t, std::string>> dims;
  bool has_shape = false;
};

// A model made ready to run. All methods but `close` may be called from several threads at once.
class Session {
 public:
  static std::unique_ptr<Session> from_file(const std::string& path, const SessionOptions& options);
  // `keep_alive` holds `bytes`, which weights then view; without it they are copied.
  static std::unique_ptr<Session> from_bytes(std::span<const std::byte> bytes, std::shared_ptr<Buffer> keep_alive,
                                             const SessionOptions& options);
  ~Session();

  const std::vector<NodeArgInfo>& inputs() const { return inputs_; }
  const std::vector<NodeArgInfo>& outputs() const { return outputs_; }
  const std::vector<NodeArgInfo>& overridable() const { return overridable_; }
  // The index of an output by name: one of outputs(), or a number behind them for any other value of the model, which
  // a run then hands out too. -1 where there is no such value.
  int find_output(std::string_view name) const;
  // What is known of an output behind such an index.
  NodeArgInfo output_info(int index) const;
  const ModelInfo& model_info() const { return model_.info; }
  const SessionOptions& options() const { return options_; }

  // Runs the model. `feeds[i]` belongs to `input_indices[i]`, an index into inputs(), or inputs().size() + k for the
  // overridable initializer k; `results[i]` to `output_indices[i]`, see find_output(). An empty result is made by the
  // run; a tensor of the right type and shape is written into. Throws Error; the session stays usable.
  void run(std::span<const int> input_indices, std::span<const Value> feeds, std::span<const int> output_indices,
           std::span<Value> results, const RunOptions* options);

  // Records every step of the runs that begin from now on.
  void start_profiling();
  std::vector<ProfileEvent> stop_profiling();
  void clear_profile();  // forgets what was recorded so far
  bool is_profiling() const { return profiler_.load(std::memory_order_relaxed) != nullptr; }
  int64_t profiling_start_time_ns() const;

  // For each node: where it runs, with which kernel, and why not with the others. Plans exist after the first run.
  std::string explain() const;
  // The rewritten graph, and the same as text.
  const Graph& graph() const { return executor_->program().graph(); }
  std::string print_graph() const;
  const std::vector<PassReport>& passes() const { return passes_; }
  // Frees idle arenas, pooled buffers and all plans but the latest; returns the bytes freed.
  size_t trim();
  // Bytes of the arenas of contexts that no run uses.
  size_t idle_arena_bytes() const;
  // Of the session's device, which others may share; nothing for the CPU alone.
  DeviceMemory device_memory() const { return device_ ? device_->memory() : DeviceMemory{}; }
  size_t plan_count() const;
  size_t plan_bytes() const;

 private:
  Session(Model model, const SessionOptions& options, SessionSettings settings, std::unique_ptr<Profiler> profiler);

  // Infers, rewrites and compiles the model.
  void prepare(const SessionOptions& options);
  std::shared_ptr<Executor> compile(std::shared_ptr<Graph> graph);
  // What runs instead of the whole model: some overridable initializers turned into inputs, and only some values handed
  // out (indices as of find_output; none for all outputs).
  struct Variant {
    std::vector<int> overridden;
    std::vector<int> fetched;
    bool profiled = false;
    auto operator<=>(const Variant&) const = default;
  };
  std::shared_ptr<Executor> executor_of(const Variant& variant);
  std::shared_ptr<Graph> rewritten(const Variant& variant) const;
  PassOptions pass_options() const;
  void save_optimized(const SessionOptions& options) const;
  void run_variant(std::span<const int> input_indices, std::span<const Value> feeds,
                   std::span<const int> output_indices, std::span<Value> results, const RunOptions* options);
  void run_on(Executor& executor, std::span<const Value> inputs, std::span<Value> outputs, const RunOptions* options);
  std::vector<std::shared_ptr<Executor>> executors() const;
  void check_feed(const NodeArgInfo& info, const Value& value) const;

  SessionOptions options_;
  SessionSettings settings_;
  std::shared_ptr<const DeviceProvider> device_;  // nullptr for the CPU alone
  Model model_;                                   // as loaded
  std::vector<NodeArgInfo> inputs_, outputs_, overridable_;
  std::vector<PassReport> passes_;
  std::shared_ptr<Executor> executor_;
  mutable std::mutex mutex_;
  std::map<Variant, std::shared_ptr<Executor>> variants_;
  // Set while profiling; a profiler lives as long as the session, because runs in flight may still use it.
  std::atomic<Profiler*> profiler_{nullptr};
  std::vector<std::unique_ptr<Profiler>> profilers_;
};

}  // namespace fastort
