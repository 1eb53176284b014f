#include "kernels/rnn/rnn.h"

#include <cstring>
#include <limits>
#include <type_traits>

#include "kernels/gemm/sgemm.h"
#include "kernels/rnn/gates.h"

namespace fastort::kernels {

namespace {

size_t aligned(size_t bytes) { return (bytes + 63) / 64 * 64; }

// Columns of the recurrent product that are computed before the gates: the hidden gate of a GRU waits for the reset.
int64_t first_columns(const RnnProblem& p) {
  return p.kind == RnnKind::Gru && !p.linear_before_reset ? 2 * p.hidden : p.gates() * p.hidden;
}

size_t packed_first_bytes(const RnnProblem& p) { return aligned(packed_b_bytes(p.hidden, first_columns(p))); }

size_t packed_bytes(const RnnProblem& p, bool recurrent) {
  const int64_t columns = p.gates() * p.hidden;
  if (!recurrent) return aligned(packed_b_bytes(p.inputs, columns));
  return packed_first_bytes(p) + aligned(packed_b_bytes(p.hidden, columns - first_columns(p)));
}

// Where each direction's scratch lies in the workspace.
template <class T>
struct Scratch {
  size_t x_gates, rec, h, c, reset_h, x_bias, rec_bias, each;
  size_t packed_w, packed_r, total;

  Scratch(const RnnProblem& p, bool has_packed_w, bool has_packed_r) {
    size_t at = 0;
    const auto take = [&](int64_t count) {
      const size_t begin = at;
      at += aligned(static_cast<size_t>(count) * sizeof(T));
      return begin;
    };
    const int64_t gates = p.gates() * p.hidden, state = p.batch * p.hidden;
    x_gates = take(p.steps * p.batch * gates);
    rec = take(p.batch * gates);
    h = take(state);
    c = take(p.kind == RnnKind::Lstm ? state : 0);
    reset_h = take(p.kind == RnnKind::Gru ? state : 0);
    x_bias = take(gates);
    rec_bias = take(gates);
    each = at;
    const size_t directions = static_cast<size_t>(p.directions);
    packed_w = each * directions;
    const bool pack = std::is_same_v<T, float>;
    packed_r = packed_w + (pack && !has_packed_w ? packed_rnn_bytes(p, false) : 0);
    total = packed_r + (pack && !has_packed_r ? packed_rnn_bytes(p, true) : 0);
  }
};

// One direction of one run.
template <class T>
class Direction {
 public:
  Direction(const RnnProblem& problem, const RnnTensors<T>& tensors, int index, std::byte* workspace,
            const Parallel& parallel)
      : p_(problem),
        t_(tensors),
        parallel_(parallel),
        index_(index),
        gates_(problem.gates() * problem.hidden),
        activations_(problem.activations[index]) {
    const Scratch<T> scratch(problem, tensors.packed_w != nullptr, tensors.packed_r != nullptr);
    std::byte* const own = workspace + scratch.each * static_cast<size_t>(index);
    const auto at = [&](size_t offset) { return reinterpret_cast<T*>(own + offset); };
    x_gates_ = at(scratch.x_gates);
    rec_ = at(scratch.rec);
    h_ = at(scratch.h);
    c_ = at(scratch.c);
    reset_h_ = at(scratch.reset_h);
    x_bias_ = at(scratch.x_bias);
    rec_bias_ = at(scratch.rec_bias);
    if constexpr (std::is_same_v<T, float>) {
      const float* all_w = tensors.packed_w ? tensors.packed_w : reinterpret_cast<float*>(workspace + scratch.packed_w);
      const float* all_r = tensors.packed_r ? tensors.packed_r : reinterpret_cast<float*>(workspace + scratch.packed_r);
      packed_w_ = all_w + static_cast<size_t>(index) * packed_bytes(problem, false) / sizeof(float);
      packed_r_ = all_r + static_cast<size_t>(index) * packed_bytes(problem, true) / sizeof(float);
    }
    const auto is = [&](int i, GateFunction function) { return activations_[i].function == function; };
    const bool lstm = p_.kind == RnnKind::Lstm, rnn = p_.kind == RnnKind::Rnn;
    vector_gates_ =
        std::is_same_v<T, float> && !p_.has_peepholes && !p_.input_forget &&
        (rnn ? is(0, GateFunction::Tanh)
             : is(0, GateFunction::Sigmoid) && is(1, GateFunction::Tanh) && (!lstm || is(2, GateFunction::Tanh)));
    clip_ = p_.clip > 0 ? static_cast<T>(p_.clip) : std::numeric_limits<T>::infinity();
  }

  // X * W^T + bias for all steps.
  void project() {
    add_biases();
    product(t_.x, p_.inputs, p_.steps * p_.batch, part(t_.w, index_ * gates_ * p_.inputs), packed_w_, p_.inputs, gates_,
            x_bias_, x_gates_);
  }

  void recur() {
    copy_state(t_.initial_h, h_);
    if (p_.kind == RnnKind::Lstm) copy_state(t_.initial_c, c_);
    const T* const r = part(t_.r, index_ * gates_ * p_.hidden);
    const int64_t first = first_columns(p_);
    for (int64_t step = 0; step < p_.steps; ++step) {
      product(h_, p_.hidden, p_.batch, r, packed_r_, p_.hidden, first, rec_bias_, rec_);
      if (first < gates_) {
        rows([&](int64_t b) {
          if (step < length(b))
            gru_reset(x_row(b, step), rec_ + b * gates_, h_ + b * p_.hidden, reset_h_ + b * p_.hidden);
        });
        const float* packed = packed_r_ ? packed_r_ + packed_first_bytes(p_) / sizeof(float) : nullptr;
        product(reset_h_, p_.hidden, p_.batch, part(r, first * p_.hidden), packed, p_.hidden, gates_ - first, nullptr,
                rec_ + first);
      }
      rows([&](int64_t b) {
        if (step >= length(b)) return;
        T* const h = h_ + b * p_.hidden;
        update(x_row(b, step), rec_ + b * gates_, h, c_ + b * p_.hidden);
        if (t_.y) std::memcpy(y_row(b, time(b, step)), h, static_cast<size_t>(p_.hidden) * sizeof(T));
      });
    }
    give_state(h_, t_.y_h);
    if (p_.kind == RnnKind::Lstm) give_state(c_, t_.y_c);
    clear_tails();
  }

 private:
  // Weights that are packed need not be there in their first form.
  static const T* part(const T* weights, int64_t offset) { return weights ? weights + offset : nullptr; }
  int64_t length(int64_t b) const { return t_.sequence_lens ? t_.sequence_lens[b] : p_.steps; }
  int64_t time(int64_t b, int64_t step) const { return p_.reverse || index_ == 1 ? length(b) - 1 - step : step; }
  const T* x_row(int64_t b, int64_t step) const {
    const int64_t t = time(b, step);
    return x_gates_ + (p_.batch_first ? b * p_.steps + t : t * p_.batch + b) * gates_;
  }
  T* y_row(int64_t b, int64_t t) const {
    return t_.y + (p_.batch_first ? (b * p_.steps + t) * p_.directions + index_
                                  : (t * p_.directions + index_) * p_.batch + b) *
                      p_.hidden;
  }
  int64_t state_row(int64_t b) const {
    return (p_.batch_first ? b * p_.directions + index_ : index_ * p_.batch + b) * p_.hidden;
  }
  template <class F>
  void rows(F&& body) const {
    parallel_.range(p_.batch, 1 + 4096 / std::max<int64_t>(1, p_.hidden), [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) body(b);
    });
  }

  void copy_state(const T* src, T* dst) const {
    const size_t bytes = static_cast<size_t>(p_.hidden) * sizeof(T);
    for (int64_t b = 0; b < p_.batch; ++b, dst += p_.hidden) {
      if (src) {
        std::memcpy(dst, src + state_row(b), bytes);
      } else {
        std::memset(dst, 0, bytes);
      }
    }
  }
  void give_state(const T* src, T* dst) const {
    if (!dst) return;
    for (int64_t b = 0; b < p_.batch; ++b)
      std::memcpy(dst + state_row(b), src + b * p_.hidden, static_cast<size_t>(p_.hidden) * sizeof(T));
  }
  // Zeros behind the end of each sequence.
  void clear_tails() const {
    if (!t_.y) return;
    for (int64_t b = 0; b < p_.batch; ++b)
      for (int64_t t = length(b); t < p_.steps; ++t)
        std::memset(y_row(b, t), 0, static_cast<size_t>(p_.hidden) * sizeof(T));
  }

  void add_biases() {
    std::fill(x_bias_, x_bias_ + gates_, T{0});
    std::fill(rec_bias_, rec_bias_ + gates_, T{0});
    if (!p_.has_bias) return;
    const T* const wb = t_.b + index_ * 2 * gates_;
    const T* const rb = wb + gates_;
    // The recurrent bias of a GRU's hidden gate is scaled by the reset gate.
    const int64_t apart = p_.kind == RnnKind::Gru && p_.linear_before_reset ? 2 * p_.hidden : gates_;
    for (int64_t j = 0; j < gates_; ++j) x_bias_[j] = j < apart ? wb[j] + rb[j] : wb[j];
    for (int64_t j = apart; j < gates_; ++j) rec_bias_[j] = rb[j];
  }

  // c[m, n] = a[m, k] * w[n, k]^T + bias; rows of c are gates_ apart.
  void product(const T* a, int64_t a_stride, int64_t m, const T* w, const float* packed, int64_t k, int64_t n,
               const T* bias, T* c) const {
    if constexpr (std::is_same_v<T, float>) {
      SgemmSizes sizes;
      sizes.m = m;
      sizes.n = n;
      sizes.k = k;
      sizes.a_stride = a_stride;
      sizes.c_stride = gates_;
      sizes.b_packed = true;
      Epilogue epilogue;
      epilogue.bias = bias;
      Sgemm(sizes).run({a, packed, c, nullptr}, epilogue, nullptr, parallel_);
    } else {
      parallel_.range(m * n, 1 + 16384 / std::max<int64_t>(1, k), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t row = i / n, col = i % n;
          T sum = bias ? bias[col] : T{0};
          for (int64_t j = 0; j < k; ++j) sum += a[row * a_stride + j] * w[col * k + j];
          c[row * gates_ + col] = sum;
        }
      });
    }
  }

  T bounded(T x) const { return x < -clip_ ? -clip_ : x > clip_ ? clip_ : x; }
  T activate(int i, T x) const { return activations_[i](bounded(x)); }

  void gru_reset(const T* x, T* rec, const T* h, T* reset_h) const {
    const int64_t n = p_.hidden;
    if constexpr (std::is_same_v<T, float>) {
      if (vector_gates_) return gru_gates_reset(x, rec, h, reset_h, n, clip_);
    }
    for (int64_t i = 0; i < n; ++i) {
      reset_h[i] = activate(0, x[n + i] + rec[n + i]) * h[i];
      rec[i] = activate(0, x[i] + rec[i]);
    }
  }

  void update(const T* x, const T* rec, T* h, T* c) const {
    const int64_t n = p_.hidden;
    if constexpr (std::is_same_v<T, float>) {
      if (vector_gates_) {
        if (p_.kind == RnnKind::Lstm) return lstm_gates(x, rec, c, h, n, clip_);
        if (p_.kind == RnnKind::Rnn) return rnn_gates(x, rec, h, n, clip_);
        return p_.linear_before_reset ? gru_gates_linear(x, rec, h, n, clip_) : gru_gates_update(x, rec, h, n, clip_);
      }
    }
    for (int64_t i = 0; i < n; ++i) {
      if (p_.kind == RnnKind::Rnn) {
        h[i] = activate(0, x[i] + rec[i]);
      } else if (p_.kind == RnnKind::Lstm) {
        lstm(x, rec, h, c, i);
      } else {
        const T r = p_.linear_before_reset ? activate(0, x[n + i] + rec[n + i]) : T{1};
        const T z = p_.linear_before_reset ? activate(0, x[i] + rec[i]) : rec[i];
        const T fresh = activate(1, x[2 * n + i] + r * rec[2 * n + i]);
        h[i] = (1 - z) * fresh + z * h[i];
      }
    }
  }

  void lstm(const T* x, const T* rec, T* h, T* c, int64_t i) const {
    const int64_t n = p_.hidden;
    const T* const p = p_.has_peepholes ? t_.p + index_ * 3 * n : nullptr;
    const auto gate = [&](int64_t g) { return x[g * n + i] + rec[g * n + i]; };
    const T old = c[i];
    const T in = activate(0, gate(0) + (p ? p[i] * old : T{0}));
    const T forget = p_.input_forget ? 1 - in : activate(0, gate(2) + (p ? p[2 * n + i] * old : T{0}));
    const T next = forget * old + in * activate(1, gate(3));
    const T out = activate(0, gate(1) + (p ? p[n + i] * next : T{0}));
    c[i] = next;
    h[i] = out * activations_[2](next);
  }

  const RnnProblem& p_;
  const RnnTensors<T>& t_;
  const Parallel& parallel_;
  int64_t index_;
  int64_t gates_;  // numbers in a row of all gates
  const GateActivation* activations_;
  T *x_gates_, *rec_, *h_, *c_, *reset_h_, *x_bias_, *rec_bias_;
  const float* packed_w_ = nullptr;
  const float* packed_r_ = nullptr;
  bool vector_gates_;
  T clip_;
};

}  // namespace

size_t packed_rnn_bytes(const RnnProblem& problem, bool recurrent) {
  return packed_bytes(problem, recurrent) * static_cast<size_t>(problem.directions);
}

void pack_rnn_weights(const RnnProblem& p, bool recurrent, const float* weights, float* dst) {
  const int64_t columns = p.gates() * p.hidden, depth = recurrent ? p.hidden : p.inputs;
  const int64_t first = recurrent ? first_columns(p) : columns;
  for (int d = 0; d < p.directions; ++d) {
    pack_b(weights, 1, depth, depth, first, dst);
    if (first < columns)
      pack_b(weights + first * depth, 1, depth, depth, columns - first, dst + packed_first_bytes(p) / sizeof(float));
    weights += columns * depth;
    dst += packed_bytes(p, recurrent) / sizeof(float);
  }
}

template <class T>
size_t rnn_workspace_bytes(const RnnProblem& problem, bool packed_w, bool packed_r) {
  return Scratch<T>(problem, packed_w, packed_r).total;
}

template <class T>
void run_rnn(const RnnProblem& problem, const RnnTensors<T>& tensors, std::byte* workspace, const Parallel& parallel) {
  if constexpr (std::is_same_v<T, float>) {
    const Scratch<T> scratch(problem, tensors.packed_w != nullptr, tensors.packed_r != nullptr);
    const auto at = [&](size_t offset) { return reinterpret_cast<float*>(workspace + offset); };
    if (!tensors.packed_w) pack_rnn_weights(problem, false, tensors.w, at(scratch.packed_w));
    if (!tensors.packed_r) pack_rnn_weights(problem, true, tensors.r, at(scratch.packed_r));
  }
  for (int d = 0; d < problem.directions; ++d) Direction<T>(problem, tensors, d, workspace, parallel).project();
  parallel.chunks(problem.directions, [&](int d) { Direction<T>(problem, tensors, d, workspace, parallel).recur(); });
}

template size_t rnn_workspace_bytes<float>(const RnnProblem&, bool, bool);
template size_t rnn_workspace_bytes<double>(const RnnProblem&, bool, bool);
template void run_rnn<float>(const RnnProblem&, const RnnTensors<float>&, std::byte*, const Parallel&);
template void run_rnn<double>(const RnnProblem&, const RnnTensors<double>&, std::byte*, const Parallel&);

}  // namespace fastort::kernels
