#include "ops/core/evaluate.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "base/thread_pool.h"
#include "ops/core/infer.h"

namespace fastort {
namespace {

// Packs anew for every caller: nothing evaluated here is evaluated twice.
class UncachedPacks final : public PackStore {
 public:
  std::shared_ptr<Buffer> get(const Tensor&, std::string_view, size_t bytes, FnRef<void(std::byte*)> fill) override {
    auto buffer = Buffer::allocate(bytes);
    fill(buffer->data());
    return buffer;
  }
};

class EvaluationFrame final : public Frame {
 public:
  EvaluationFrame(const Node& node, std::span<const Value> inputs, size_t max_bytes)
      : node_(node), inputs_(inputs), outputs_(node.outputs.size()), bytes_left_(max_bytes) {}

  Value input(int i) override { return node_.inputs.size() > static_cast<size_t>(i) ? inputs_[index(i)] : Value(); }
  void set_output(int i, Value value) override {
    if (node_.has_output(i)) outputs_[index(i)] = std::move(value);
  }
  Tensor allocate_output(int i, DataType type, const Shape& shape) override {
    const auto count = checked_count(shape);
    if (!count || static_cast<size_t>(*count) > bytes_left_ / std::max<size_t>(element_size(type), 1)) {
      fail(ErrorCode::Fail, describe(node_) + ": its output " + std::string(name(type)) + to_string(shape) +
                                " is too large to be computed here");
    }
    Tensor tensor(type, shape);
    bytes_left_ -= tensor.bytes();
    set_output(i, tensor);
    return tensor;
  }
  std::vector<Value>& outputs() { return outputs_; }

 private:
  static size_t index(int i) { return static_cast<size_t>(i); }

  const Node& node_;
  std::span<const Value> inputs_;
  std::vector<Value> outputs_;
  size_t bytes_left_;
};

ValueType type_of(const Value& value) {
  if (value.is_tensor()) return ValueType::tensor(value.tensor().type(), value.tensor().shape());
  if (value.is_sequence()) return ValueType::sequence(ValueType::tensor(value.sequence().element));
  if (value.is_map())
    return {
        ValueKind::Map, value.map().key, false, {}, std::make_shared<ValueType>(ValueType::tensor(value.map().value))};
  if (value.is_sparse())
    return {ValueKind::SparseTensor, value.sparse().values.type(), true, value.sparse().shape, nullptr};
  return {};
}

bool takes_plain(const Candidate& candidate) {
  return std::any_of(candidate.variants.begin(), candidate.variants.end(), [](const Variant& variant) {
    return variant.in == Layout::Plain && variant.out == Layout::Plain;
  });
}

std::unique_ptr<Kernel> prepare_first(const OpDef& op, const OpContext& context) {
  std::string reasons;
  for (const Candidate& candidate : op.cpu) {
    if (!takes_plain(candidate)) continue;
    const Refusal refusal = candidate.accepts != nullptr ? candidate.accepts(context) : std::nullopt;
    if (!refusal) return candidate.prepare(context);
    reasons += (reasons.empty() ? "" : "; ") + std::string(candidate.name) + ": " + *refusal;
  }
  not_implemented(describe(context.node) + ": no implementation takes it" +
                  (reasons.empty() ? "" : " (" + reasons + ")"));
}

class Evaluation {
 public:
  Evaluation(const OpDef& op, const Node& node, std::span<const Value> inputs, size_t max_bytes)
      : op_(op), node_(node), inputs_(inputs), frame_(node, inputs, max_bytes) {
    for (size_t i = 0; i < inputs.size(); ++i) {
      types_.push_back(type_of(inputs[i]));
      known_.push_back({inputs[i].is_tensor() ? &inputs[i].tensor() : nullptr, std::nullopt});
    }
  }

  std::vector<Value> run() {
    const InferredNode inferred = infer_node(op_, node_, types_, known_, symbols_);
    if (!(op_.flags & kDynamic) && make_outputs(inferred)) return std::move(frame_.outputs());
    run_kernel(inferred);
    return std::move(frame_.outputs());
  }

 private:
  // Allocates the outputs; true where there is nothing left to compute.
  bool make_outputs(const InferredNode& inferred) {
    bool any_items = false;
    for (size_t i = 0; i < node_.outputs.size(); ++i) {
      if (node_.outputs[i] == kNoValue) continue;
      const ValueType& type = inferred.types[i];
      if (i == 0 && (op_.flags & kView) && node_.outputs.size() == 1 && make_view(type)) return true;
      if (!type.is_concrete())
        fail(ErrorCode::Fail, describe(node_) + ": the shape of output " + std::to_string(i) + " is not known");
      any_items |= frame_.allocate_output(static_cast<int>(i), type.element, type.shape).count() != 0;
    }
    return !any_items;
  }

  bool make_view(const ValueType& type) {
    if (inputs_.empty()) return false;
    const Value& input = inputs_[0];
    if (!input.is_tensor()) {  // Identity of a sequence
      frame_.set_output(0, input);
      return true;
    }
    const Tensor& tensor = input.tensor();
    if (!type.is_concrete() || type.element != tensor.type() || checked_count(type.shape) != tensor.count())
      return false;
    const bool lasts = tensor.buffer() == nullptr || !tensor.buffer()->borrowed();
    frame_.set_output(0, (lasts ? tensor : tensor.clone()).reshaped(type.shape));
    return true;
  }

  void run_kernel(const InferredNode& inferred) {
    std::vector<TensorDesc> in(node_.inputs.size()), out(node_.outputs.size());
    std::vector<std::byte*> pointers(in.size() + out.size(), nullptr);
    for (size_t i = 0; i < in.size(); ++i) {
      if (!inputs_[i].is_tensor()) continue;
      const Tensor& tensor = inputs_[i].tensor();
      const bool value_needed = i < 32 && ((op_.value_inputs >> i) & 1u) != 0;
      in[i] = {tensor.type(), tensor.shape(), Layout::Plain, value_needed ? &tensor : nullptr};
      pointers[i] = tensor.raw();
    }
    for (size_t i = 0; i < out.size(); ++i) {
      const Value& value = frame_.outputs()[i];
      if (value.is_tensor()) {
        out[i] = {value.tensor().type(), value.tensor().shape(), Layout::Plain, nullptr};
        pointers[in.size() + i] = value.tensor().raw();
      } else if (node_.outputs[i] != kNoValue && inferred.types[i].is_tensor()) {
        out[i].type = inferred.types[i].element;
        if (inferred.types[i].is_concrete()) out[i].shape = inferred.types[i].shape;
      }
    }
    const EngineOptions options;
    UncachedPacks packs;
    const OpContext context{
        node_, in, out, options, packs, [this](const std::shared_ptr<Graph>&) -> std::shared_ptr<Body> {
          not_implemented(describe(node_) + ": subgraphs are not evaluated ahead of a run");
        }};
    const std::unique_ptr<Kernel> kernel = prepare_first(op_, context);
    const auto workspace = Buffer::allocate(kernel->workspace_bytes());
    const std::unique_ptr<KernelState> state = kernel->make_state();
    // A pool without workers, so that loading a model does not start the process's threads.
    static ThreadPool* const kAlone = new ThreadPool(1);
    const Parallel parallel(*kAlone, 1);
    kernel->run({pointers.data(), static_cast<int>(in.size()), workspace->data(), state.get(), parallel,
                 (op_.flags & kDynamic) ? &frame_ : nullptr});
  }

  const OpDef& op_;
  const Node& node_;
  std::span<const Value> inputs_;
  SymbolTable symbols_;
  std::vector<ValueType> types_;
  std::vector<KnownValue> known_;
  EvaluationFrame frame_;
};

}  // namespace

std::vector<Value> evaluate_node(const OpDef& op, const Node& node, std::span<const Value> inputs,
                                 size_t max_output_bytes) {
  if (inputs.size() != node.inputs.size()) invalid_argument(describe(node) + ": wrong number of inputs");
  try {
    return Evaluation(op, node, inputs, max_output_bytes).run();
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    fail(ErrorCode::Fail, describe(node) + ": " + error.what());
  }
}

}  // namespace fastort
