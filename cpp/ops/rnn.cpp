#include "kernels/rnn/rnn.h"

#include <cctype>
#include <string>
#include <type_traits>

#include "kernels/elementwise/half.h"
#include "ops/gpu/recurrent.h"

namespace fastort {

namespace {

using kernels::GateActivation;
using kernels::GateFunction;
using kernels::RnnKind;
using kernels::RnnProblem;
using kernels::RnnTensors;

enum Input { kX, kW, kR, kB, kLens, kInitialH, kInitialC, kP };

RnnKind kind_of(const Node& node) {
  if (node.op_type == "LSTM") return RnnKind::Lstm;
  return node.op_type == "GRU" ? RnnKind::Gru : RnnKind::Rnn;
}

int gates_of(const Node& node) {
  const RnnKind kind = kind_of(node);
  return kind == RnnKind::Lstm ? 4 : kind == RnnKind::Gru ? 3 : 1;
}

int directions_of(const Attributes& attributes) {
  const std::string direction = attributes.get_string("direction", "forward");
  if (direction == "bidirectional") return 2;
  if (direction != "forward" && direction != "reverse") invalid_graph("unknown direction '" + direction + "'");
  return 1;
}

struct FunctionRow {
  const char* name;
  GateFunction function;
  bool has_alpha, has_beta;
  float alpha, beta;
};
constexpr FunctionRow kFunctions[] = {
    {"sigmoid", GateFunction::Sigmoid, false, false, 0, 0},
    {"tanh", GateFunction::Tanh, false, false, 0, 0},
    {"relu", GateFunction::Relu, false, false, 0, 0},
    {"affine", GateFunction::Affine, true, true, 1, 0},
    {"leakyrelu", GateFunction::LeakyRelu, true, false, 0.01f, 0},
    {"thresholdedrelu", GateFunction::ThresholdedRelu, true, false, 1, 0},
    {"scaledtanh", GateFunction::ScaledTanh, true, true, 1, 1},
    {"hardsigmoid", GateFunction::HardSigmoid, true, true, 0.2f, 0.5f},
    {"elu", GateFunction::Elu, true, false, 1, 0},
    {"softsign", GateFunction::Softsign, false, false, 0, 0},
    {"softplus", GateFunction::Softplus, false, false, 0, 0},
};

// alpha and beta are consumed in order by the functions that have them.
template <class Context>
void read_activations(const Context& context, RnnProblem& problem) {
  const Attributes& attributes = context.attributes();
  const size_t each = problem.kind == RnnKind::Lstm ? 3 : problem.kind == RnnKind::Gru ? 2 : 1;
  std::vector<std::string> names = attributes.get_strings("activations");
  if (names.empty()) {
    for (int d = 0; d < problem.directions; ++d) {
      if (problem.kind != RnnKind::Rnn) names.push_back("sigmoid");
      names.push_back("tanh");
      if (problem.kind == RnnKind::Lstm) names.push_back("tanh");
    }
  }
  if (names.size() != each * static_cast<size_t>(problem.directions))
    context.fail("activations has " + std::to_string(names.size()) + " names; expected " + std::to_string(each) +
                 " for each direction");
  const std::vector<float> alphas = attributes.get_floats("activation_alpha");
  const std::vector<float> betas = attributes.get_floats("activation_beta");
  size_t alpha = 0, beta = 0;
  for (size_t i = 0; i < names.size(); ++i) {
    std::string name = names[i];
    for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const FunctionRow* found = nullptr;
    for (const FunctionRow& row : kFunctions)
      if (name == row.name) found = &row;
    if (!found) not_implemented("the activation '" + names[i] + "' of a recurrent layer");
    GateActivation& activation = problem.activations[i / each][i % each];
    activation = {found->function, found->alpha, found->beta};
    if (found->has_alpha && alpha < alphas.size()) activation.alpha = alphas[alpha++];
    if (found->has_beta && beta < betas.size()) activation.beta = betas[beta++];
  }
}

void infer_rnn(InferContext& context) {
  if (!context.has_input(kX) || !context.has_input(kW) || !context.has_input(kR))
    context.fail("X, W and R are required");
  const Attributes& attributes = context.attributes();
  RnnProblem problem;
  problem.kind = kind_of(context.node);
  problem.directions = directions_of(attributes);
  read_activations(context, problem);
  const DataType type = context.type(kX);
  const int outputs = context.num_outputs();
  for (int i = 1; i < context.num_inputs(); ++i) {
    const DataType want = i == kLens ? DataType::Int32 : type;
    if (!context.has_input(i) || context.type(i) == DataType::Undefined || type == DataType::Undefined) continue;
    if (context.type(i) != want)
      context.fail("input " + std::to_string(i) + " must be of type " + std::string(name(want)) + "; insert a Cast");
  }
  if (!context.has_shape(kX)) {
    for (int i = 0; i < outputs; ++i) context.out(i, type);
    return;
  }
  if (context.shape(kX).rank() != 3) context.fail("X must have the dimensions [steps, batch, inputs]");
  const bool batch_first = attributes.get_int("layout", 0) != 0;
  const Dim steps = context.shape(kX)[batch_first ? 1 : 0], batch = context.shape(kX)[batch_first ? 0 : 1];
  const Dim inputs = context.shape(kX)[2], directions = problem.directions, gates = gates_of(context.node);
  Dim hidden = attributes.has("hidden_size") ? attributes.get_int("hidden_size") : context.unknown();
  if (context.has_shape(kR) && context.shape(kR).rank() == 3) hidden = context.shape(kR)[2];
  if (attributes.has("hidden_size") && is_known(hidden) && hidden != attributes.get_int("hidden_size"))
    context.fail("hidden_size is " + std::to_string(attributes.get_int("hidden_size")) + ", but R has " +
                 std::to_string(hidden));
  const Dim rows = is_known(hidden) ? gates * hidden : context.unknown();
  const auto check = [&](int input, const Shape& want, const char* what) {
    if (!context.has_shape(input)) return;
    const Shape& shape = context.shape(input);
    bool fits = shape.rank() == want.rank();
    for (size_t d = 0; fits && d < want.size(); ++d)
      fits = shape[d] == want[d] || !is_known(shape[d]) || !is_known(want[d]);
    if (!fits) context.fail(std::string(what) + " must have the shape " + to_string(want));
  };
  const Shape state = batch_first ? Shape{batch, directions, hidden} : Shape{directions, batch, hidden};
  check(kW, {directions, rows, inputs}, "W");
  check(kR, {directions, rows, hidden}, "R");
  check(kB, {directions, is_known(rows) ? 2 * rows : context.unknown()}, "B");
  check(kLens, {batch}, "sequence_lens");
  check(kInitialH, state, "initial_h");
  if (problem.kind == RnnKind::Lstm) {
    check(kInitialC, state, "initial_c");
    check(kP, {directions, is_known(hidden) ? 3 * hidden : context.unknown()}, "P");
  }
  if (outputs > 0)
    context.out(0, type,
                batch_first ? Shape{batch, steps, directions, hidden} : Shape{steps, directions, batch, hidden});
  for (int i = 1; i < outputs; ++i) context.out(i, type, state);
}

RnnProblem read_problem(const OpContext& context) {
  const Attributes& attributes = context.attributes();
  RnnProblem problem;
  problem.kind = kind_of(context.node);
  problem.batch_first = attributes.get_int("layout", 0) != 0;
  const Shape& x = context.shape(kX);
  problem.steps = x[problem.batch_first ? 1 : 0];
  problem.batch = x[problem.batch_first ? 0 : 1];
  problem.inputs = x[2];
  problem.hidden = context.shape(kR)[2];
  problem.directions = directions_of(attributes);
  problem.reverse = attributes.get_string("direction", "forward") == "reverse";
  problem.input_forget = attributes.get_int("input_forget", 0) != 0;
  problem.linear_before_reset = attributes.get_int("linear_before_reset", 0) != 0;
  problem.has_bias = context.has_input(kB);
  problem.has_peepholes = problem.kind == RnnKind::Lstm && context.has_input(kP);
  problem.clip = attributes.get_float("clip", 0);
  read_activations(context, problem);
  return problem;
}

// T: the type of the computation; `half`: the tensors are float16 or bfloat16.
template <class T>
class RnnKernel final : public Kernel {
 public:
  explicit RnnKernel(const OpContext& context)
      : problem_(read_problem(context)),
        type_(context.type(kX)),
        half_(!std::is_same_v<T, double> && element_size(type_) == 2) {
    for (int i = 0; i <= kP; ++i) counts_[i] = context.has_input(i) ? context.shape(i).count() : -1;
    for (int i = 0; i < 3; ++i) out_counts_[i] = context.has_output(i) ? context.out(i).shape.count() : -1;
    if constexpr (std::is_same_v<T, float>) {
      if (!half_) {
        packed_w_ = pack(context, kW, false);
        packed_r_ = pack(context, kR, true);
      }
    }
    bytes_ = align_up(kernels::rnn_workspace_bytes<T>(problem_, packed_w_ != nullptr, packed_r_ != nullptr));
    if (half_) {
      for (int i = 0; i <= kP; ++i)
        if (i != kLens && counts_[i] > 0) take(in_at_[i], counts_[i]);
      for (int i = 0; i < 3; ++i)
        if (out_counts_[i] > 0) take(out_at_[i], out_counts_[i]);
    }
  }

  size_t workspace_bytes() const override { return bytes_; }

  uint32_t unread_inputs() const override { return (packed_w_ ? 1u << kW : 0) | (packed_r_ ? 1u << kR : 0); }

  void run(const KernelArgs& args) const override {
    RnnTensors<T> tensors{};
    tensors.x = in(args, kX);
    tensors.w = in(args, kW);
    tensors.r = in(args, kR);
    tensors.b = in(args, kB);
    tensors.initial_h = in(args, kInitialH);
    if (problem_.kind == RnnKind::Lstm) {
      tensors.initial_c = in(args, kInitialC);
      tensors.p = in(args, kP);
    }
    if (counts_[kLens] >= 0) tensors.sequence_lens = checked_lengths(args);
    tensors.y = out(args, 0);
    tensors.y_h = out(args, 1);
    tensors.y_c = out(args, 2);
    if (packed_w_) tensors.packed_w = reinterpret_cast<const float*>(packed_w_->data());
    if (packed_r_) tensors.packed_r = reinterpret_cast<const float*>(packed_r_->data());
    kernels::run_rnn<T>(problem_, tensors, args.workspace, args.parallel);
    if (!half_) return;
    for (int i = 0; i < 3; ++i)
      if (out_counts_[i] > 0)
        kernels::narrow(type_, float_at(args, out_at_[i]), args.out<std::byte>(i), out_counts_[i]);
  }

 private:
  std::shared_ptr<Buffer> pack(const OpContext& context, int input, bool recurrent) const {
    const Tensor* weights = context.constant(input);
    const size_t bytes = kernels::packed_rnn_bytes(problem_, recurrent);
    if (!weights || weights->count() == 0 || bytes == 0) return nullptr;
    const std::string format = std::string(recurrent ? "rnn-r-" : "rnn-w-") + std::to_string(problem_.gates()) + "-" +
                               std::to_string(problem_.hidden) + (problem_.linear_before_reset ? "-l-" : "-") +
                               std::to_string(problem_.inputs) + "-" + std::to_string(bytes);
    return context.packs.get(*weights, format, bytes, [&](std::byte* dst) {
      kernels::pack_rnn_weights(problem_, recurrent, weights->data<float>(), reinterpret_cast<float*>(dst));
    });
  }

  void take(size_t& at, int64_t count) {
    at = bytes_;
    bytes_ += align_up(static_cast<size_t>(count) * sizeof(float));
  }
  static float* float_at(const KernelArgs& args, size_t at) { return reinterpret_cast<float*>(args.workspace + at); }

  const T* in(const KernelArgs& args, int i) const {
    if (counts_[i] < 0) return nullptr;
    if constexpr (std::is_same_v<T, float>) {
      if (half_) {
        if (counts_[i] > 0) kernels::widen(type_, args.in<std::byte>(i), float_at(args, in_at_[i]), counts_[i]);
        return float_at(args, in_at_[i]);
      }
    }
    return args.in<T>(i);
  }

  T* out(const KernelArgs& args, int i) const {
    if (out_counts_[i] < 0) return nullptr;
    if constexpr (std::is_same_v<T, float>) {
      if (half_) return float_at(args, out_at_[i]);
    }
    return args.out<T>(i);
  }

  const int32_t* checked_lengths(const KernelArgs& args) const {
    const int32_t* const lengths = args.in<int32_t>(kLens);
    for (int64_t b = 0; b < problem_.batch; ++b) {
      if (lengths[b] >= 0 && lengths[b] <= problem_.steps) continue;
      invalid_argument("sequence_lens[" + std::to_string(b) + "] is " + std::to_string(lengths[b]) + ", outside [0, " +
                       std::to_string(problem_.steps) + "]");
    }
    return lengths;
  }

  RnnProblem problem_;
  DataType type_;
  bool half_;
  int64_t counts_[kP + 1], out_counts_[3];
  size_t in_at_[kP + 1] = {}, out_at_[3] = {};
  std::shared_ptr<Buffer> packed_w_, packed_r_;
  size_t bytes_ = 0;
};

std::unique_ptr<Kernel> prepare_rnn(const OpContext& context) {
  if (context.type(kX) == DataType::Double) return std::make_unique<RnnKernel<double>>(context);
  return std::make_unique<RnnKernel<float>>(context);
}

Refusal gpu_work(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const auto input = [&](int i) { return context.has_input(i) ? GpuWork::input(i) : GpuWork::none(); };
  const auto output = [&](int i) { return context.has_output(i) ? GpuWork::output(i) : GpuWork::none(); };
  const RnnProblem problem = read_problem(context);
  gpu::Recurrent operands;
  operands.x = input(kX);
  operands.w = input(kW);
  operands.r = input(kR);
  operands.b = input(kB);
  operands.lengths = input(kLens);
  operands.initial_h = input(kInitialH);
  if (problem.kind == RnnKind::Lstm) {
    operands.initial_c = input(kInitialC);
    operands.peepholes = input(kP);
  }
  operands.y = output(0);
  operands.y_h = output(1);
  operands.y_c = output(2);
  return gpu::add_recurrent(work, problem, operands, traits);
}
constexpr GpuRecipe kGpu{kFloat32, gpu_work};

constexpr Candidate kCandidates[] = {{.name = "recurrent", .prepare = prepare_rnn}};

constexpr OpDef kOps[] = {
    {"", "RNN", infer_rnn, kCandidates, kFloatTypes, kNone, 0, &kGpu},
    {"", "GRU", infer_rnn, kCandidates, kFloatTypes, kNone, 0, &kGpu},
    {"", "LSTM", infer_rnn, kCandidates, kFloatTypes, kNone, 0, &kGpu},
};

}  // namespace

std::span<const OpDef> rnn_ops() { return kOps; }

}  // namespace fastort
