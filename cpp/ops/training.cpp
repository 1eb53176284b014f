// One step of an optimizer (ai.onnx.preview.training): Adagrad, Adam, Momentum. The inputs are the learning rate, the
// number of updates so far, then all variables, all gradients and all states of each kind; the outputs are the new
// variables and states in the same order.
#include <cmath>

#include "ops/op.h"

namespace fastort {
namespace {

constexpr int kFirstVariable = 2;

// ---- rules: one element each ---------------------------------------------------------------------------------------

template <class T>
struct Adagrad {
  static constexpr int kStates = 1;  // the accumulated squared gradient
  T norm, rate, epsilon;

  Adagrad(const Attributes& attributes, double learning_rate, double updates)
      : norm(attributes.get_float("norm_coefficient", 0)),
        rate(static_cast<T>(learning_rate / (1 + updates * attributes.get_float("decay_factor", 0)))),
        epsilon(attributes.get_float("epsilon", 1e-6f)) {}
  T operator()(T x, T gradient, T (&state)[kStates]) const {
    const T g = norm * x + gradient;
    state[0] += g * g;
    return x - rate * g / (std::sqrt(state[0]) + epsilon);
  }
};

template <class T>
struct Adam {
  static constexpr int kStates = 2;  // averages of the gradient and of its square
  T norm, norm_post, alpha, beta, rate, epsilon;

  Adam(const Attributes& attributes, double learning_rate, double updates)
      : norm(attributes.get_float("norm_coefficient", 0)),
        norm_post(attributes.get_float("norm_coefficient_post", 0)),
        alpha(attributes.get_float("alpha", 0.9f)),
        beta(attributes.get_float("beta", 0.999f)),
        epsilon(attributes.get_float("epsilon", 1e-6f)) {
    if (updates > 0)
      learning_rate *= std::sqrt(1 - std::pow(double{beta}, updates)) / (1 - std::pow(double{alpha}, updates));
    rate = static_cast<T>(learning_rate);
  }
  T operator()(T x, T gradient, T (&state)[kStates]) const {
    const T g = norm * x + gradient;
    state[0] = alpha * state[0] + (1 - alpha) * g;
    state[1] = beta * state[1] + (1 - beta) * g * g;
    return (1 - norm_post) * (x - rate * state[0] / (std::sqrt(state[1]) + epsilon));
  }
};

template <class T>
struct Momentum {
  static constexpr int kStates = 1;  // the momentum
  T norm, alpha, beta, rate;
  bool nesterov;

  Momentum(const Attributes& attributes, double learning_rate, double updates)
      : norm(attributes.get_float("norm_coefficient", 0)),
        alpha(attributes.get_float("alpha", 0)),
        beta(updates > 0 ? attributes.get_float("beta", 0) : 1),
        rate(static_cast<T>(learning_rate)),
        nesterov(attributes.get_string("mode", "") == "nesterov") {}
  T operator()(T x, T gradient, T (&state)[kStates]) const {
    const T g = norm * x + gradient;
    state[0] = alpha * state[0] + beta * g;
    return x - rate * (nesterov ? g + alpha * state[0] : state[0]);
  }
};

// ---- inference -----------------------------------------------------------------------------------------------------

bool is_real(DataType type) { return type == DataType::Float || type == DataType::Double; }

template <class Context>
int variables_of(const Context& context, int states) {
  const int tensors = context.num_inputs() - kFirstVariable, outputs = context.num_outputs();
  const int n = tensors / (2 + states);
  if (n < 1 || tensors % (2 + states) != 0)
    context.fail("needs the learning rate, the update count and " + std::to_string(2 + states) +
                 " tensors for each variable, got " + std::to_string(context.num_inputs()) + " inputs");
  if (outputs > n * (1 + states))
    context.fail("has " + std::to_string(n * (1 + states)) + " outputs for these inputs, not " +
                 std::to_string(outputs));
  for (int i = 0; i < context.num_inputs(); ++i)
    if (!context.has_input(i)) context.fail("input " + std::to_string(i) + " is missing");
  return n;
}

template <int kStates>
void infer_step(InferContext& context) {
  const int n = variables_of(context, kStates);
  if (context.type(1) != DataType::Int64) context.fail("the update count must be int64");
  for (int i = 0; i < n; ++i) {
    const int x = kFirstVariable + i;
    if (!is_real(context.type(x))) context.fail("variables must be float or double");
    for (int k = 1; k < 2 + kStates; ++k)
      if (context.type(x + k * n) != context.type(x))
        context.fail("a variable, its gradient and its states must have one type");
    for (int k = 0; k < 1 + kStates; ++k) {
      const int out = i + k * n;
      if (context.has_shape(x))
        context.out(out, context.type(x), context.shape(x));
      else
        context.out(out, context.type(x));
    }
  }
}

void infer_momentum(InferContext& context) {
  const Attributes& attributes = context.attributes();
  for (const char* name : {"norm_coefficient", "alpha", "beta"})
    if (!attributes.has(name)) context.fail(std::string("the attribute ") + name + " is needed");
  const std::string mode = attributes.get_string("mode", "");
  if (mode != "standard" && mode != "nesterov") context.fail("mode must be standard or nesterov, got '" + mode + "'");
  infer_step<1>(context);
}

// ---- kernels -------------------------------------------------------------------------------------------------------

template <class T, template <class> class Rule>
void update(const KernelArgs& args, const Rule<T>& rule, int variable, int n, int64_t count) {
  constexpr int kStates = Rule<T>::kStates;
  const T* x = args.in<T>(kFirstVariable + variable);
  const T* gradient = args.in<T>(kFirstVariable + n + variable);
  const T* state_src[kStates];
  T* state_dst[kStates];
  for (int k = 0; k < kStates; ++k) {
    state_src[k] = args.in<T>(kFirstVariable + (2 + k) * n + variable);
    state_dst[k] = args.out<T>((1 + k) * n + variable);
  }
  T* dst = args.out<T>(variable);
  args.parallel.range(count, 4096, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      T state[kStates];
      for (int k = 0; k < kStates; ++k) state[k] = state_src[k][i];
      dst[i] = rule(x[i], gradient[i], state);
      for (int k = 0; k < kStates; ++k) state_dst[k][i] = state[k];
    }
  });
}

template <template <class> class Rule>
std::unique_ptr<Kernel> prepare_step(const OpContext& context) {
  constexpr int kStates = Rule<float>::kStates;
  const int n = variables_of(context, kStates);
  for (int i = 0; i < kFirstVariable; ++i)
    if (context.shape(i).count() != 1)
      context.fail("the learning rate and the update count must hold one element each");
  struct Variable {
    DataType type;
    int64_t count;
  };
  std::vector<Variable> variables;
  for (int i = 0; i < n; ++i) {
    const TensorDesc& x = context.in(kFirstVariable + i);
    for (int k = 1; k < 2 + kStates; ++k)
      if (context.shape(kFirstVariable + k * n + i) != x.shape)
        context.fail("variable " + std::to_string(i) + " has the shape " + to_string(x.shape) +
                     ", but its gradient or a state has " + to_string(context.shape(kFirstVariable + k * n + i)));
    variables.push_back({x.type, x.shape.count()});
  }
  for (int i = 0; i < n * (1 + kStates); ++i)
    if (!context.has_output(i)) context.fail("output " + std::to_string(i) + " is missing");
  return make_kernel([=, attributes = context.attributes(), rate_type = context.type(0)](const KernelArgs& args) {
    const double rate = rate_type == DataType::Double ? *args.in<double>(0) : double{*args.in<float>(0)};
    const double updates = static_cast<double>(*args.in<int64_t>(1));
    for (int i = 0; i < n; ++i) {
      const Variable& variable = variables[static_cast<size_t>(i)];
      if (variable.type == DataType::Double)
        update<double, Rule>(args, Rule<double>(attributes, rate, updates), i, n, variable.count);
      else
        update<float, Rule>(args, Rule<float>(attributes, rate, updates), i, n, variable.count);
    }
  });
}

constexpr Candidate kAdagrad[] = {{"reference", nullptr, prepare_step<Adagrad>}};
constexpr Candidate kAdam[] = {{"reference", nullptr, prepare_step<Adam>}};
constexpr Candidate kMomentum[] = {{"reference", nullptr, prepare_step<Momentum>}};
constexpr TypeMask kRate{DataType::Float, DataType::Double};

constexpr OpDef kOps[] = {
    {"ai.onnx.preview.training", "Adagrad", infer_step<1>, kAdagrad, kRate},
    {"ai.onnx.preview.training", "Adam", infer_step<2>, kAdam, kRate},
    {"ai.onnx.preview.training", "Momentum", infer_momentum, kMomentum, kRate},
};

}  // namespace

std::span<const OpDef> training_ops() { return kOps; }

}  // namespace fastort
