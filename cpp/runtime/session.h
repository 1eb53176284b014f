#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "passes/pipeline.h"
#include "runtime/executor.h"
#include "runtime/options.h"

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
  const ModelInfo& model_info() const { return model_.info; }
  const SessionOptions& options() const { return options_; }

  // Runs the model. `feeds[i]` belongs to `input_indices[i]`, an index into inputs(), or inputs().size() + k for the
  // overridable initializer k; `results[i]` to `output_indices[i]`, an index into outputs(). An empty result is made by
  // the run; a tensor of the right type and shape is written into. Throws Error; the session stays usable.
  void run(std::span<const int> input_indices, std::span<const Value> feeds, std::span<const int> output_indices,
           std::span<Value> results, const RunOptions* options, StepObserver* observer = nullptr);

  // For each node: where it runs, with which kernel, and why not with the others. Plans exist after the first run.
  std::string explain() const;
  // The rewritten graph as text.
  std::string print_graph() const;
  const std::vector<PassReport>& passes() const { return passes_; }
  // Frees idle arenas and pooled buffers; returns the bytes freed.
  size_t trim();
  size_t plan_count() const;
  size_t plan_bytes() const;

 private:
  Session(Model model, const SessionOptions& options);

  // Infers, rewrites and compiles the model.
  void prepare(const SessionOptions& options);
  std::shared_ptr<Executor> compile(std::shared_ptr<Graph> graph);
  // The executor of the model with the given overridable initializers turned into inputs.
  std::shared_ptr<Executor> overriding(const std::vector<int>& overridden);
  void check_feed(const NodeArgInfo& info, const Value& value) const;

  SessionOptions options_;
  EngineOptions engine_;
  Model model_;  // as loaded
  std::vector<NodeArgInfo> inputs_, outputs_, overridable_;
  std::vector<PassReport> passes_;
  std::shared_ptr<Executor> executor_;
  std::mutex mutex_;
  std::map<std::vector<int>, std::shared_ptr<Executor>> variants_;
};

}  // namespace fastort
