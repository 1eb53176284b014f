#pragma once

#include <cstdint>

namespace fastort::kernels {

// The gates of one row with the default activations (sigmoid and tanh). `x` and `rec` are the two products whose sum
// goes into the gates, `hidden` numbers for each gate; the sum is bounded to [-clip, clip].

// `x` and `rec` in the order i, o, f, c.
void lstm_gates(const float* x, const float* rec, float* c, float* h, int64_t hidden, float clip);

// linear_before_reset; `x` and `rec` in the order z, r, h.
void gru_gates_linear(const float* x, const float* rec, float* h, int64_t hidden, float clip);

// Otherwise in two parts: the update gate replaces rec's first part, and `reset_h` becomes r * h ...
void gru_gates_reset(const float* x, float* rec, const float* h, float* reset_h, int64_t hidden, float clip);
// ... from which the caller makes rec's third part.
void gru_gates_update(const float* x, const float* rec, float* h, int64_t hidden, float clip);

// h = tanh(x + rec)
void rnn_gates(const float* x, const float* rec, float* h, int64_t hidden, float clip);

}  // namespace fastort::kernels
