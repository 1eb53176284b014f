#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "base/parallel.h"

namespace fastort::kernels {

enum class RnnKind : uint8_t { Rnn, Gru, Lstm };

enum class GateFunction : uint8_t {
  Sigmoid,
  Tanh,
  Relu,
  Affine,
  LeakyRelu,
  ThresholdedRelu,
  ScaledTanh,
  HardSigmoid,
  Elu,
  Softsign,
  Softplus
};

struct GateActivation {
  GateFunction function = GateFunction::Sigmoid;
  float alpha = 0, beta = 0;

  template <class T>
  T operator()(T x) const {
    const T a = static_cast<T>(alpha), b = static_cast<T>(beta);
    switch (function) {
      case GateFunction::Sigmoid:
        return 1 / (1 + std::exp(-x));
      case GateFunction::Tanh:
        return std::tanh(x);
      case GateFunction::Relu:
        return x < 0 ? T{0} : x;
      case GateFunction::Affine:
        return a * x + b;
      case GateFunction::LeakyRelu:
        return x < 0 ? a * x : x;
      case GateFunction::ThresholdedRelu:
        return x < a ? T{0} : x;
      case GateFunction::ScaledTanh:
        return a * std::tanh(b * x);
      case GateFunction::HardSigmoid:
        return std::clamp<T>(a * x + b, 0, 1);
      case GateFunction::Elu:
        return x < 0 ? a * std::expm1(x) : x;
      case GateFunction::Softsign:
        return x / (1 + std::abs(x));
      case GateFunction::Softplus:
        return std::max<T>(x, 0) + std::log1p(std::exp(-std::abs(x)));
    }
    return x;
  }
};

// One layer of ONNX's RNN, GRU or LSTM with fixed sizes.
struct RnnProblem {
  RnnKind kind = RnnKind::Lstm;
  int64_t steps = 0, batch = 0, inputs = 0, hidden = 0;
  int directions = 1;
  bool reverse = false;  // the only direction runs backward
  bool batch_first = false;
  bool input_forget = false;         // LSTM: the forget gate is 1 - the input gate
  bool linear_before_reset = false;  // GRU
  bool has_bias = false, has_peepholes = false;
  float clip = 0;                    // of what goes into the gates' activations; 0 for none
  GateActivation activations[2][3];  // f, g, h for each direction

  int gates() const { return kind == RnnKind::Lstm ? 4 : kind == RnnKind::Gru ? 3 : 1; }
};

// The tensors as ONNX has them; nullptr for those left out.
template <class T>
struct RnnTensors {
  const T *x, *w, *r, *b, *p, *initial_h, *initial_c;
  const int32_t* sequence_lens;  // each in [0, steps]
  T *y, *y_h, *y_c;
  // float only: weights in the form of pack_rnn_weights; nullptr where they are not known in advance.
  const float *packed_w, *packed_r;
};

// Bytes and filling of the packed input weights W or recurrent weights R of all directions.
size_t packed_rnn_bytes(const RnnProblem& problem, bool recurrent);
void pack_rnn_weights(const RnnProblem& problem, bool recurrent, const float* weights, float* dst);

// For T = float, with packed products and vector gates, and T = double, in plain loops.
template <class T>
size_t rnn_workspace_bytes(const RnnProblem& problem, bool packed_w, bool packed_r);
template <class T>
void run_rnn(const RnnProblem& problem, const RnnTensors<T>& tensors, std::byte* workspace, const Parallel& parallel);

}  // namespace fastort::kernels
