#include "runtime/session.h"

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include <algorithm>

#include "base/fork.h"
#include "base/log.h"
#include "onnx/load.h"
#include "onnx/save.h"
#include "ops/core/infer.h"
#include "ops/core/merge_types.h"
#include "ops/op.h"
#include "runtime/config_entries.h"
#include "runtime/deadline.h"
#include "runtime/devices.h"
#include "runtime/pack_store.h"
#include "tensor/deferred.h"

namespace fastort {
namespace {

constexpr size_t kPlanCacheBytes = size_t{64} << 20;

// What the loader asks of the engine: which operators it has, and what they say of their results.
std::vector<ValueFacts> infer_facts(const Node& node, std::span<const ValueFacts> inputs, SymbolTable& symbols) {
  const OpDef* op = find_op(node.domain, node.op_type);
  if (!op) return std::vector<ValueFacts>(node.outputs.size());
  std::vector<ValueType> types;
  std::vector<KnownValue> known;
  for (const ValueFacts& facts : inputs) {
    types.push_back(facts.type);
    known.push_back({facts.constant, facts.dims});
  }
  const InferredNode inferred = infer_node(*op, node, types, known, symbols);
  std::vector<ValueFacts> outputs;
  for (size_t i = 0; i < inferred.types.size(); ++i) outputs.push_back({inferred.types[i], nullptr, inferred.dims[i]});
  return outputs;
}

LoadOptions load_options(const SessionOptions& options) {
  LoadOptions load;
  load.has_op = [](std::string_view domain, std::string_view op) { return find_op(domain, op) != nullptr; };
  load.infer = infer_facts;
  load.free_dimensions_by_name = options.free_dimension_by_name;
  load.free_dimensions_by_denotation = options.free_dimension_by_denotation;
  load.external_initializers = options.initializers;
  load.external_files = options.external_files;
  return load;
}

NodeArgInfo arg_info(const Graph& graph, ValueId id) {
  const ValueInfo& value = graph.value(id);
  NodeArgInfo info{value.name, value.type, {}, value.type.has_shape};
  for (Dim dim : value.type.shape) {
    if (is_known(dim)) {
      info.dims.emplace_back(dim);
    } else if (graph.symbols->is_named(dim)) {
      info.dims.emplace_back(graph.symbols->name(dim));
    } else {
      info.dims.emplace_back(std::monostate{});
    }
  }
  return info;
}

// Variants of a model that are kept at a time.
constexpr size_t kMaxVariants = 16;

void check_load(const SessionOptions& options) {
  if (options.load_cancelled && options.load_cancelled->load(std::memory_order_relaxed))
    fail(ErrorCode::Cancelled, "Model loading canceled due to user request.");
}

std::string shown(const NodeArgInfo& info) {
  std::string text = "[";
  for (size_t i = 0; i < info.dims.size(); ++i) {
    if (i) text += ",";
    if (const auto* size = std::get_if<int64_t>(&info.dims[i]))
      text += std::to_string(*size);
    else if (const auto* symbol = std::get_if<std::string>(&info.dims[i]))
      text += *symbol;
    else
      text += "?";
  }
  return text + "]";
}

}  // namespace

std::unique_ptr<Session> Session::from_file(const std::string& path, const SessionOptions& options) {
  const CustomOpsScope custom_ops(CustomOps::make(options.custom_ops));
  const ForkGuard guard;
  check_load(options);
  // First of all, because a large model takes its time.
  SessionSettings settings = read_settings(options);
  auto profiler = options.enable_profiling ? std::make_unique<Profiler>() : nullptr;
  Model model = load_model_file(path, load_options(options));
  if (profiler) profiler->add("model_loading_uri", 0);
  return std::unique_ptr<Session>(new Session(std::move(model), options, std::move(settings), std::move(profiler)));
}

std::unique_ptr<Session> Session::from_bytes(std::span<const std::byte> bytes, std::shared_ptr<Buffer> keep_alive,
                                             const SessionOptions& options) {
  // `keep_alive` is copied, so that what lends the bytes is not called while the guard is held.
  const CustomOpsScope custom_ops(CustomOps::make(options.custom_ops));
  const ForkGuard guard;
  check_load(options);
  // First of all, because a large model takes its time.
  SessionSettings settings = read_settings(options);
  auto profiler = options.enable_profiling ? std::make_unique<Profiler>() : nullptr;
  const std::string_view folder =
      ConfigEntries(options.config_entries).text("session.model_external_initializers_file_folder_path");
  Model model = load_model_bytes(bytes, keep_alive, load_options(options), std::string(folder));
  if (profiler) profiler->add("model_loading_array", 0);
  return std::unique_ptr<Session>(new Session(std::move(model), options, std::move(settings), std::move(profiler)));
}

Session::Session(Model model, const SessionOptions& options, SessionSettings settings,
                 std::unique_ptr<Profiler> profiler)
    : options_(options), settings_(std::move(settings)), model_(std::move(model)), profiler_(profiler.get()) {
  if (profiler) profilers_.push_back(std::move(profiler));
  for (const std::string& warning : model_.info.warnings) log(Severity::Warning, warning);
  device_ = open_device(options.providers);

  try {
    prepare(options);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::NotImplemented) throw;
    std::string opsets;
    for (const auto& [domain, version] : model_.info.opsets)
      opsets += (opsets.empty() ? "" : ", ") + (domain.empty() ? "ai.onnx" : domain) + " " + std::to_string(version);
    throw Error(error.code(), std::string(error.what()) + " (the model's opsets: " + opsets + ")");
  }
}

void Session::prepare(const SessionOptions& options) {
  Profiler* profiler = profiler_.load(std::memory_order_relaxed);
  const int64_t begin = profiler ? profiler->now_ns() : 0;
  check_load(options);
  const ReadScope scope;
  // The graph as loaded is kept as it is: a variant with other inputs starts from it.
  auto graph = deep_copy(*model_.graph);
  infer_graph(*graph);
  for (ValueId id : graph->inputs) inputs_.push_back(arg_info(*graph, id));
  // Users see the model's own names; the engine goes by how the sizes are computed.
  for (ValueId id : graph->outputs) {
    ValueInfo& value = graph->value(id);
    const ValueType computed = value.type;
    if (auto named = merge_types(model_.graph->value(id).type, computed, *graph->symbols, true)) value.type = *named;
    outputs_.push_back(arg_info(*graph, id));
    value.type = computed;
  }
  for (ValueId id : graph->overridable) overridable_.push_back(arg_info(*graph, id));
  check_load(options);
  passes_ = optimize(*graph, pass_options());
  check_load(options);
  if (!options.optimized_model_filepath.empty()) save_optimized(options);
  executor_ = compile(std::move(graph));
  check_load(options);
  if (profiler) profiler->add("session_initialization", begin);
}

PassOptions Session::pass_options() const {
  return {.level = options_.optimization_level,
          .disabled = {options_.disabled_passes.begin(), options_.disabled_passes.end()},
          .portable = false,
          .device = device_ != nullptr};
}

void Session::save_optimized(const SessionOptions& options) const {
  Model saved = model_;
  saved.graph = deep_copy(*model_.graph);
  infer_graph(*saved.graph);
  PassOptions passes = pass_options();
  passes.portable = true;
  optimize(*saved.graph, passes);
  for (const Node& node : saved.graph->nodes) {
    if (node.domain != "fastort") continue;
    not_implemented("optimized_model_filepath: " + describe(*saved.graph, node) + " (in the model: " +
                    node.origin.op_type + ") is an operator of fastort's own, which an ONNX file cannot hold");
  }
  SaveOptions save;
  const ConfigEntries entries(options.config_entries);
  save.external_file = entries.text("session.optimized_model_external_initializers_file_name");
  save.external_threshold = entries.number("session.optimized_model_external_initializers_min_size_in_bytes", "bytes",
                                           save.external_threshold);
  save_model_file(saved, options.optimized_model_filepath, save);
}

Session::~Session() = default;

std::shared_ptr<Executor> Session::compile(std::shared_ptr<Graph> graph) {
  return std::make_shared<Executor>(std::make_shared<Program>(std::move(graph)), settings_.engine,
                                    settings_.packs ? *settings_.packs : SharedPackStore::instance(), kPlanCacheBytes,
                                    settings_.choice, options_.enable_profiling, device_);
}

std::shared_ptr<Graph> Session::rewritten(const Variant& variant) const {
  const ReadScope scope;
  auto graph = deep_copy(*model_.graph);
  if (!variant.fetched.empty()) {
    graph->outputs.clear();
    for (int index : variant.fetched) {
      const auto at = static_cast<size_t>(index);
      graph->outputs.push_back(at < outputs_.size() ? model_.graph->outputs[at]
                                                    : static_cast<ValueId>(at - outputs_.size()));
    }
  }
  for (int k : variant.overridden) {
    const ValueId id = model_.graph->overridable[static_cast<size_t>(k)];
    graph->value(id).constant.reset();
    graph->inputs.push_back(id);
    std::erase(graph->overridable, id);
  }
  infer_graph(*graph);
  optimize(*graph, pass_options());
  return graph;
}

std::shared_ptr<Executor> Session::executor_of(const Variant& variant) {
  const CustomOpsScope custom_ops(executor_->program().custom_ops());
  const ForkGuard guard;
  std::lock_guard lock(mutex_);
  if (const auto found = variants_.find(variant); found != variants_.end()) return found->second;
  if (variants_.size() >= kMaxVariants) variants_.clear();  // runs in flight keep theirs
  const bool whole = variant.overridden.empty() && variant.fetched.empty();
  // The same program, whose plans keep what a profile tells.
  auto executor =
      whole ? std::make_shared<Executor>(executor_->shared_program(), settings_.engine, SharedPackStore::instance(),
                                         kPlanCacheBytes, settings_.choice, true, device_)
            : compile(rewritten(variant));
  return variants_[variant] = std::move(executor);
}

std::vector<std::shared_ptr<Executor>> Session::executors() const {
  const ForkGuard guard;
  std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<Executor>> all{executor_};
  for (const auto& [variant, executor] : variants_) all.push_back(executor);
  return all;
}

int Session::find_output(std::string_view name) const {
  for (size_t i = 0; i < outputs_.size(); ++i)
    if (outputs_[i].name == name) return static_cast<int>(i);
  const ValueId id = model_.graph->find(name);
  return id == kNoValue || name.empty() ? -1 : static_cast<int>(outputs_.size()) + id;
}

NodeArgInfo Session::output_info(int index) const {
  const auto at = static_cast<size_t>(index);
  if (at < outputs_.size()) return outputs_[at];
  return arg_info(*model_.graph, static_cast<ValueId>(at - outputs_.size()));
}

void Session::check_feed(const NodeArgInfo& info, const Value& value) const {
  const bool sparse = info.type.kind == ValueKind::SparseTensor;
  if (!info.type.is_tensor() && !sparse) return;
  if (sparse ? !value.is_sparse() : !value.is_tensor()) {
    invalid_argument("Unexpected input data type for input '" + info.name + "': expected: (" + type_string(info.type) +
                     "), got a value that is no " + (sparse ? "sparse " : "") + "tensor");
  }
  const DataType type = sparse ? value.sparse().values.type() : value.tensor().type();
  const Shape& shape = sparse ? value.sparse().shape : value.tensor().shape();
  if (info.type.element != DataType::Undefined && type != info.type.element) {
    invalid_argument(std::string("Unexpected input data type. Actual: (") + (sparse ? "sparse_tensor(" : "tensor(") +
                     std::string(name(type)) + ")) , expected: (" + type_string(info.type) + ") for input '" +
                     info.name + "' of shape " + to_string(shape) + "; convert it, with `.astype` for a NumPy array");
  }
  if (!info.has_shape) return;
  if (shape.size() != info.dims.size()) {
    invalid_argument("Invalid rank for input: " + info.name + " Got: " + std::to_string(shape.rank()) +
                     " Expected: " + std::to_string(info.dims.size()) +
                     " Please fix either the inputs/outputs or the model. The input has the shape " + to_string(shape) +
                     ", the model declares " + shown(info));
  }
  std::string wrong;
  for (size_t i = 0; i < info.dims.size(); ++i) {
    const auto* size = std::get_if<int64_t>(&info.dims[i]);
    if (!size || *size == shape[i]) continue;
    wrong +=
        "\n index: " + std::to_string(i) + " Got: " + std::to_string(shape[i]) + " Expected: " + std::to_string(*size);
  }
  if (wrong.empty()) return;
  invalid_argument("Got invalid dimensions for input: " + info.name + " for the following indices" + wrong +
                   "\n Please fix either the inputs/outputs or the model. The input has the shape " + to_string(shape) +
                   ", the model declares " + shown(info));
}

namespace {

// Places for a run's values; models with more of them take the slower way of a vector.
class Room {
 public:
  std::span<Value> of(size_t count) {
    if (count <= std::size(few_)) return {few_, count};
    many_.resize(count);
    return many_;
  }

 private:
  Value few_[16];
  std::vector<Value> many_;
};

}  // namespace

void Session::run(std::span<const int> input_indices, std::span<const Value> feeds, std::span<const int> output_indices,
                  std::span<Value> results, const RunOptions* options) {
  bool plain = options_.enable_profiling || !is_profiling();
  if (options && options->only_execute_path_to_fetches) plain &= output_indices.size() >= outputs_.size();
  for (int index : input_indices) plain &= static_cast<size_t>(index) < inputs_.size();
  for (int index : output_indices) plain &= static_cast<size_t>(index) < outputs_.size();
  if (!plain) return run_variant(input_indices, feeds, output_indices, results, options);
  Room input_room, output_room;
  const std::span<Value> inputs = input_room.of(inputs_.size()), outputs = output_room.of(outputs_.size());
  for (size_t i = 0; i < feeds.size(); ++i) {
    const auto index = static_cast<size_t>(input_indices[i]);
    check_feed(inputs_[index], feeds[i]);
    inputs[index] = feeds[i];
  }
  for (size_t i = 0; i < results.size(); ++i) outputs[static_cast<size_t>(output_indices[i])] = results[i];
  run_on(*executor_, inputs, outputs, options);
  for (size_t i = 0; i < results.size(); ++i) results[i] = outputs[static_cast<size_t>(output_indices[i])];
}

void Session::run_variant(std::span<const int> input_indices, std::span<const Value> feeds,
                          std::span<const int> output_indices, std::span<Value> results, const RunOptions* options) {
  const int fixed = static_cast<int>(inputs_.size());
  Variant variant;
  variant.profiled = is_profiling() && !options_.enable_profiling;
  for (int index : input_indices)
    if (index >= fixed) variant.overridden.push_back(index - fixed);
  std::vector<int>& overridden = variant.overridden;
  std::sort(overridden.begin(), overridden.end());
  bool some = options && options->only_execute_path_to_fetches && output_indices.size() < outputs_.size();
  for (int index : output_indices) some |= static_cast<size_t>(index) >= outputs_.size();
  std::vector<int>& fetched = variant.fetched;
  if (some) fetched.assign(output_indices.begin(), output_indices.end());
  std::sort(fetched.begin(), fetched.end());
  fetched.erase(std::unique(fetched.begin(), fetched.end()), fetched.end());
  const std::shared_ptr<Executor> executor = executor_of(variant);

  std::vector<Value> inputs(inputs_.size() + overridden.size());
  std::vector<Value> outputs(some ? fetched.size() : outputs_.size());
  auto place = [&](int index) -> Value& {
    if (!some) return outputs[static_cast<size_t>(index)];
    return outputs[static_cast<size_t>(std::lower_bound(fetched.begin(), fetched.end(), index) - fetched.begin())];
  };
  for (size_t i = 0; i < feeds.size(); ++i) {
    const int index = input_indices[i];
    if (index < fixed) {
      check_feed(inputs_[static_cast<size_t>(index)], feeds[i]);
      inputs[static_cast<size_t>(index)] = feeds[i];
      continue;
    }
    check_feed(overridable_[static_cast<size_t>(index - fixed)], feeds[i]);
    const auto at = std::lower_bound(overridden.begin(), overridden.end(), index - fixed) - overridden.begin();
    inputs[inputs_.size() + static_cast<size_t>(at)] = feeds[i];
  }
  for (size_t i = 0; i < results.size(); ++i) place(output_indices[i]) = results[i];
  run_on(*executor, inputs, outputs, options);
  for (size_t i = 0; i < results.size(); ++i) results[i] = place(output_indices[i]);
}

void Session::run_on(Executor& executor, std::span<const Value> inputs, std::span<Value> outputs,
                     const RunOptions* options) {
  const Deadline deadline(options ? options->timeout_seconds : 0, options ? &options->terminate : nullptr);
  const Parallel parallel(ThreadPool::instance(), settings_.threads, deadline.flag(), settings_.engine.threads);
  Profiler* profiler = profiler_.load(std::memory_order_acquire);
  if (!profiler) {
    const ObserverScope scope(nullptr);
    executor.run(inputs, outputs, parallel, nullptr);
    return;
  }
  RunRecorder recorder(*profiler, executor.program().graph());
  const ObserverScope scope(&recorder);
  executor.run(inputs, outputs, parallel, &recorder);
}

void Session::start_profiling() {
  const ForkGuard guard;
  std::lock_guard lock(mutex_);
  profilers_.push_back(std::make_unique<Profiler>());
  profiler_.store(profilers_.back().get(), std::memory_order_release);
}

std::vector<ProfileEvent> Session::stop_profiling() {
  Profiler* profiler = profiler_.exchange(nullptr, std::memory_order_acq_rel);
  return profiler ? profiler->take() : std::vector<ProfileEvent>();
}

void Session::clear_profile() {
  if (Profiler* profiler = profiler_.load(std::memory_order_acquire)) profiler->take();
}

int64_t Session::profiling_start_time_ns() const {
  const Profiler* profiler = profiler_.load(std::memory_order_acquire);
  return profiler ? profiler->start_time_ns() : 0;
}

namespace {

void explain_plans(Executor& executor, std::string& text) {
  const Graph& graph = executor.program().graph();
  for (const auto& plan : executor.plans().all()) {
    text += "plan of nodes " + std::to_string(plan->begin) + ".." + std::to_string(plan->end) + ": " +
            std::to_string(plan->steps.size()) + " steps, arena " + std::to_string(plan->arena_bytes) + " bytes\n";
    for (const auto& made : plan->decisions) {
      const Decision& decision = *made;
      const Node& node = graph.nodes[static_cast<size_t>(decision.node)];
      text += "  " + describe(graph, node) + ": " + std::string(decision.provider) + ", " + decision.candidate;
      if (decision.in != Layout::Plain || decision.out != Layout::Plain) {
        text += " (" + std::string(name(decision.in)) + " -> " + std::string(name(decision.out)) + ")";
      }
      text += "\n";
      for (const std::string& fused : node.origin.fused) text += "      with " + fused + "\n";
      for (const std::string& note : decision.notes) text += "      " + note + "\n";
      for (const std::string& refusal : decision.refusals) text += "      not " + refusal + "\n";
    }
  }
  for (const auto& body : executor.bodies()) {
    if (body->plans().size() == 0) continue;
    text += "subgraph '" + body->program().graph().name + "':\n";
    explain_plans(*body, text);
  }
}

}  // namespace

std::string Session::explain() const {
  std::string text;
  for (const PassReport& pass : passes_) {
    if (pass.changes) text += "pass " + pass.name + ": " + std::to_string(pass.changes) + " changes\n";
  }
  if (executor_->plans().size() == 0) text += "No plan yet: kernels are chosen when the first run shows the shapes.\n";
  explain_plans(*executor_, text);
  return text;
}

std::string Session::print_graph() const { return print(executor_->program().graph()); }

size_t Session::trim() {
  const ForkGuard guard;
  size_t bytes = BufferPool::instance().trim();
  for (const auto& executor : executors()) bytes += executor->trim();
  if (device_) bytes += device_->trim();
#if defined(__GLIBC__)
  ::malloc_trim(0);  // the allocator keeps what was freed until it is told
#endif
  return bytes;
}

size_t Session::idle_arena_bytes() const {
  size_t bytes = 0;
  for (const auto& executor : executors()) bytes += executor->idle_arena_bytes();
  return bytes;
}

size_t Session::plan_count() const { return executor_->plans().size(); }
size_t Session::plan_bytes() const { return executor_->plans().bytes(); }

}  // namespace fastort
