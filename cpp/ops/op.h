#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"
#include "kernels/activation.h"
#include "ops/kernel.h"

namespace fastort {

// ---- inference: types and shapes out of types, shapes and known values -------------------------------------------

// What an operator's inference sees. It runs with symbols when a session is made and with known sizes when a plan is
// made; one function serves both: sizes are combined through `symbols`, which computes what is known.
struct InferContext {
  const Node& node;
  std::span<const ValueType> inputs;                 // kind Unknown for one that is left out
  std::span<const Tensor* const> values;             // the value of an input where it is known, else nullptr
  std::span<const std::optional<Shape>> dim_values;  // integer inputs of rank <= 1 as sizes, symbols and -1 allowed
  SymbolTable& symbols;
  std::vector<ValueType>& outputs;                 // to be filled
  std::vector<std::optional<Shape>>& output_dims;  // optional: an integer output of rank <= 1 as sizes
  // Types of a body's outputs for the given input types.
  std::function<std::vector<ValueType>(const Graph& body, std::span<const ValueType> inputs)> infer_body;

  const Attributes& attributes() const { return node.attributes; }
  int num_inputs() const { return node.num_inputs(); }
  int num_outputs() const { return static_cast<int>(node.outputs.size()); }
  bool has_input(int i) const { return node.has_input(i); }
  const ValueType& in(int i) const { return inputs[static_cast<size_t>(i)]; }
  bool has_shape(int i) const { return has_input(i) && in(i).has_shape; }
  const Shape& shape(int i) const { return in(i).shape; }
  DataType type(int i) const { return in(i).element; }
  const Tensor* value(int i) const { return has_input(i) ? values[static_cast<size_t>(i)] : nullptr; }
  // The value of an integer input as int64s, where it is wholly known.
  std::optional<InlineVector<int64_t, 8>> ints(int i) const;
  // The value of an integer input of rank <= 1 as sizes; sizes may be symbols.
  std::optional<Shape> dims(int i) const;

  // What is said of an output that the node does not have is dropped.
  void out(int i, DataType type, Shape shape) {
    if (i < num_outputs()) outputs[static_cast<size_t>(i)] = ValueType::tensor(type, std::move(shape));
  }
  void out(int i, DataType type) {  // rank not known
    if (i < num_outputs()) outputs[static_cast<size_t>(i)] = ValueType::tensor(type);
  }
  void out_dims(int i, Shape dims) {
    if (i < num_outputs()) output_dims[static_cast<size_t>(i)] = std::move(dims);
  }
  // A size that depends on data.
  Dim unknown() const { return symbols.fresh(); }
  // Throws InvalidGraph with the node, the operator and the inputs' types in front of `what`.
  [[noreturn]] void fail(const std::string& what) const;
};

using InferFn = void (*)(InferContext&);

// Ready-made inference for the commonest operators.
void infer_same(InferContext& context);       // output 0 is like input 0
void infer_broadcast(InferContext& context);  // all inputs broadcast and have one type, that of the output
void infer_compare(InferContext& context);    // all inputs broadcast and have one type; the output is bool
Shape broadcast_shapes(const InferContext& context, const Shape& a, const Shape& b);
// `axis` counted from the front; throws InvalidGraph where it is outside [-rank, rank).
int normalize_axis(const InferContext& context, int64_t axis, int rank);
int normalize_axis(const Node& node, int64_t axis, int rank);

// ---- candidates: the ways to compute a node on the CPU -----------------------------------------------------------

// One input or output with concrete sizes.
struct TensorDesc {
  DataType type = DataType::Undefined;
  Shape shape;
  Layout layout = Layout::Plain;
  const Tensor* constant = nullptr;  // known now and for ever (always plain)
};

// Packed weights by contents and format, once per process while somebody uses them.
class PackStore {
 public:
  virtual ~PackStore() = default;
  // `format` names the packing and all that it depends on; `fill` is called at most once for equal weights.
  virtual std::shared_ptr<Buffer> get(const Tensor& weight, std::string_view format, size_t bytes,
                                      FnRef<void(std::byte*)> fill) = 0;
};

// A subgraph made ready to run. Inputs are the body's inputs in order, captures last.
class Body {
 public:
  virtual ~Body() = default;
  virtual std::vector<Value> run(std::vector<Value> inputs, const Parallel& parallel) = 0;
};

// What the session's options say to the kernels.
struct EngineOptions {
  int threads = 1;             // that one run may use
  bool allow_winograd = true;  // and other algorithms that trade rounding for speed
  bool allow_amx = true;       // products and convolutions of float32 by parts of bfloat16
  bool allow_blocked_layouts = true;
  bool deterministic = false;  // the same bits for any number of threads
};

// What `accepts`, `cost` and `prepare` of a candidate see: everything is concrete.
struct OpContext {
  const Node& node;
  std::span<const TensorDesc> inputs;
  std::span<const TensorDesc> outputs;
  const EngineOptions& options;
  PackStore& packs;
  std::function<std::shared_ptr<Body>(const std::shared_ptr<Graph>&)> compile_body;

  const Attributes& attributes() const { return node.attributes; }
  int num_inputs() const { return node.num_inputs(); }
  int num_outputs() const { return static_cast<int>(node.outputs.size()); }
  bool has_input(int i) const { return node.has_input(i); }
  bool has_output(int i) const { return node.has_output(i); }
  const TensorDesc& in(int i) const { return inputs[static_cast<size_t>(i)]; }
  const TensorDesc& out(int i) const { return outputs[static_cast<size_t>(i)]; }
  const Shape& shape(int i) const { return in(i).shape; }
  DataType type(int i) const { return in(i).type; }
  const Tensor* constant(int i) const { return has_input(i) ? in(i).constant : nullptr; }
  // Items of an integer input whose value is known; throws InvalidGraph where it is not (see OpDef::value_inputs).
  InlineVector<int64_t, 8> ints(int i) const;
  [[noreturn]] void fail(const std::string& what) const;
};

// Why a candidate does not serve; nothing where it does.
using Refusal = std::optional<std::string>;
using AcceptFn = Refusal (*)(const OpContext&);
using CostFn = double (*)(const OpContext&);  // estimated nanoseconds with the layouts in the context
using PrepareFn = std::unique_ptr<Kernel> (*)(const OpContext&);

// Layouts that a candidate takes: `in` for the inputs of Candidate::layout_inputs that have the rank of output 0 (at
// least 3), `out` for the outputs of rank >= 3. All other inputs are plain. `accepts` sees them in the context.
struct Variant {
  Layout in = Layout::Plain;
  Layout out = Layout::Plain;
};
inline constexpr Variant kPlainOnly[] = {{}};
inline constexpr Variant kAnyLayout[] = {
    {}, {Layout::C8, Layout::C8}, {Layout::C16, Layout::C16}, {Layout::Nhwc, Layout::Nhwc}};

struct Candidate {
  const char* name;
  AcceptFn accepts = nullptr;  // nullptr: serves always
  PrepareFn prepare = nullptr;
  std::span<const Variant> variants = kPlainOnly;
  CostFn cost = nullptr;  // nullptr: as cheap as moving its bytes once
  uint32_t layout_inputs = ~0u;
};

// ---- the operator ------------------------------------------------------------------------------------------------

enum OpFlags : uint32_t {
  kNone = 0,
  kView = 1,     // output 0 is input 0's memory under another shape: nothing to run
  kInPlace = 2,  // output 0 may be written over an input of the same size and type that nobody reads later
  kDynamic = 4,  // the kernel uses Frame: values that are no planned tensors, or shapes that depend on data
  kImpure = 8,   // random: never folded, never merged with its equal
};

// How a GPU computes a node (ops/gpu.h).
struct GpuRecipe;

// One operator in its newest form.
struct OpDef {
  std::string_view domain;
  std::string_view name;
  InferFn infer;
  std::span<const Candidate> cpu;  // in order of preference; the last is the plain reference and serves always
  TypeMask types = kAllTypes;      // of the first input
  uint32_t flags = kNone;
  uint32_t value_inputs = 0;       // bit i: `infer` or `prepare` needs the value of input i (shapes, axes, pads)
  const GpuRecipe* gpu = nullptr;  // nullptr where the operator runs on the CPU alone
};

// The table entry, or nullptr where fastort has no such operator.
const OpDef* find_op(std::string_view domain, std::string_view name);
std::span<const OpDef* const> all_ops();

// Whether memory of this shape reads the same in both layouts (a [N,C,1,1] with whole blocks, say).
bool same_memory(const Shape& shape, Layout a, Layout b) noexcept;

}  // namespace fastort
